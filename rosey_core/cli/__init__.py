"""The command `rosey`: its verbs, by name, and nothing heavy before one is chosen.

Each verb stands in a module of this package and is imported when it runs, so that `rosey --help` needs click
alone. Installed packages add verbs by the entry-point group `subjects.CLI_ENTRY_POINTS`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

from rosey_core import __version__
from rosey_core.cli.errors import exit_codes
from rosey_core.errors import RoseyError
from rosey_core.subjects import CLI_ENTRY_POINTS

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

VERBS: dict[str, tuple[str, str]] = {
    "sandbox": ("rosey_core.cli.sandbox:sandbox", "Try it here: a simulated channel, a broker and the bot."),
    "run": ("rosey_core.cli.run:run", "Join the channels and run the plugins."),
    "status": ("rosey_core.cli.status:status", "Show how a running rosey is."),
    "plugins": ("rosey_core.cli.plugins:plugins", "List the plugins, show one, or change what runs."),
    "privacy": ("rosey_core.cli.privacy:privacy", "Tell or delete what is kept about a user."),
    "ctl": ("rosey_core.cli.live:ctl", "Let a running rosey read its configuration again."),
    "nats": ("rosey_core.cli.nats:nats", "Show what a NATS server of your own has to know."),
    "check": ("rosey_core.cli.config:check", "Check the configuration and say what is wrong with it."),
    "config": ("rosey_core.cli.config:config", "Show the configuration, or its schema."),
}
"""Each verb: where its click command is, and the line that `rosey --help` shows."""


class Verbs(click.Group):
    """A click group that imports a verb when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs of rosey itself in the table's order, then those of installed packages."""
        del ctx
        return [*VERBS, *sorted(_added().keys() - VERBS.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb, imported."""
        del ctx
        if cmd_name in VERBS:
            module, _, function = VERBS[cmd_name][0].partition(":")
            command = getattr(importlib.import_module(module), function)
        elif (entry := _added().get(cmd_name)) is not None:
            try:
                command = entry.load()
            except Exception as error:
                raise RoseyError(f"the verb {cmd_name} of {_package(entry)} can't be loaded: {error!r}") from error
        else:
            return None
        if not isinstance(command, click.Command):
            raise RoseyError(f"the verb {cmd_name} is no click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that the first word names; a word that names none gets the nearest."""
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0].lower(), known, 1)
            hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known)}"
            ctx.fail(f'there is no verb "{args[0]}"; {hint}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs, from the table and the names of entry points alone."""
        added = _added()
        rows = [
            (name, VERBS[name][1] if name in VERBS else f"(from {_package(added[name])})")
            for name in self.list_commands(ctx)
        ]
        with formatter.section("Verbs"):
            formatter.write_dl(rows)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """The whole command line; also where help can't be printed."""
        with exit_codes():
            return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; what it raises becomes an exit code."""
        with exit_codes():
            return super().invoke(ctx)


def _added() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=CLI_ENTRY_POINTS)}


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rosey")
def main() -> None:
    """A bot for CyTube channels that hosts plugins.

    Every verb explains itself: rosey VERB --help.
    """
