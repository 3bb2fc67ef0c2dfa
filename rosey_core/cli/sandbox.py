"""`rosey sandbox`: try rosey without an account and without a network."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--script",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Play a scenario instead of the usual show, without reading what is typed; exit code 1 if it fails.",
)
@click.option("--seconds", type=click.FloatRange(min=0), metavar="N", help="End after so many seconds.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep the bot's files (rosey.toml, its log, its state) here. Default: a temporary directory.",
)
def sandbox(script: Path | None, seconds: float | None, directory: Path | None) -> None:
    """Try rosey here: a simulated CyTube channel with a few viewers, a broker, and the bot with its plugins.

    Nothing leaves this machine. The chat is shown as it goes on. What you type is said in the channel, as a viewer,
    the moderator or the owner; /help tells more.
    """
    import asyncio
    import tempfile

    from rosey_core.errors import RoseyError

    try:
        from rosey_core.cli.stage import perform
    except ModuleNotFoundError as error:
        raise RoseyError(
            f"the sandbox needs {error.name}, which is not installed: pip install 'rosey-bot[sandbox]'"
        ) from error
    with tempfile.TemporaryDirectory(prefix="rosey-") as temporary:
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
        scenario = (str(script), script.read_text(encoding="utf-8")) if script is not None else None
        asyncio.run(perform((directory or Path(temporary)).absolute(), scenario, seconds))
