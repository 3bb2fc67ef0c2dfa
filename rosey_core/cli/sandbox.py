"""`rosey sandbox`: try rosey without an account and without a network."""

from __future__ import annotations

import math
from pathlib import Path

import click

from rosey_core.errors import RoseyError
from rosey_core.testing.script import ALLOWED, parse


def _finite(_context: click.Context, _option: click.Parameter, seconds: float | None) -> float | None:
    if seconds is not None and not math.isfinite(seconds):
        raise click.BadParameter("this is no number of seconds; leave it out for no end")
    return seconds


@click.command(epilog=f"\b\nA scenario is a text; {ALLOWED}")
@click.option(
    "--script",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Play a scenario instead of the usual show, without reading what is typed; exit code 1 if it fails.",
)
@click.option(
    "--seconds", type=click.FloatRange(min=0), callback=_finite, metavar="N", help="End after so many seconds."
)
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

    try:
        from rosey_core.cli.stage import Stopped, perform
        from rosey_core.testing.sandbox import prepare
    except ModuleNotFoundError as error:
        raise RoseyError(
            f"the sandbox needs {error.name}, which is not installed: pip install 'rosey-bot[sandbox]'"
        ) from error
    steps = parse(_read(script), str(script)) if script is not None else None
    with tempfile.TemporaryDirectory(prefix="rosey-", ignore_cleanup_errors=True) as temporary:
        try:
            asyncio.run(perform(prepare(directory or Path(temporary)), steps, seconds))
        except Stopped as stopped:
            raise SystemExit(128 + stopped.number) from None


def _read(script: Path) -> str:
    try:
        return script.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RoseyError(f"{script} can't be read: {error}; a scenario is a text in UTF-8") from None
