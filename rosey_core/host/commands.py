"""Commands from chat: one table, one owner for each, and the checks before it is asked.

It owns parsing, aliases, rank and cool-downs, and `!help`. What a plugin does with a call is its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import msgspec

from rosey_core.envelope import NormalizedEvent
from rosey_core.manifest import CommandSpec
from rosey_core.settings.layers import quoted

_WORD = re.compile(r'"([^"]*)"|(\S+)')


class CommandCall(msgspec.Struct, frozen=True):
    """A command as somebody typed it.

    Attributes:
        user: who, as CyTube spells it.
        rank: their rank at this moment, from the user list.
        name: the command's own name, also when an alias was typed.
        args: the words after it; double quotes hold several together.
        rest: everything after the command, as typed.
        channel: the channel's name.
        event: the line itself.
    """

    user: str
    rank: float
    name: str
    args: tuple[str, ...]
    rest: str
    channel: str
    event: NormalizedEvent


class Command(msgspec.Struct, frozen=True):
    """A row of the table: the command, the name it has here, and the plugin that owns it."""

    name: str
    plugin: str
    spec: CommandSpec


def parse(text: str, prefix: str) -> tuple[str, str] | None:
    """The name (lower case) and the rest of a line, if it is a command."""
    if not text.startswith(prefix):
        return None
    name, _, rest = text[len(prefix) :].partition(" ")
    return (name.lower(), rest.strip()) if name else None


def words(rest: str) -> tuple[str, ...]:
    """Words; `"two words"` is one. A quote that is never closed is a character like others."""
    return tuple(m[1] if m[1] is not None else m[2] for m in _WORD.finditer(rest))


class Clash(msgspec.Struct, frozen=True):
    """One name, two plugins. `command` is the second one's own name for it, which it may have as an alias."""

    name: str
    first: str
    second: str
    command: str

    def __str__(self) -> str:
        return (
            f"both {self.first} and {self.second} have the command {self.name}; rename one of them: "
            f'[plugins.{self.second}] commands = {{ {quoted(self.command)} = "another" }}'
        )


def table(
    offers: Iterable[tuple[str, CommandSpec]], renames: Callable[[str, str], str | None] | None = None
) -> tuple[dict[str, Command], list[Clash]]:
    """Every name, aliases included, with its owner; and the clashes.

    Args:
        offers: plugin name and command.
        renames: the owner's name for a plugin's command: `None` where it keeps its own, empty where it is off.
    """
    rows: dict[str, Command] = {}
    clashes = []
    for plugin, spec in offers:
        renamed = renames(plugin, spec.name) if renames else None
        if renamed == "":
            continue
        # A renamed command loses its aliases: they may be what clashed.
        names = (renamed,) if renamed else (spec.name, *spec.aliases)
        for name in names:
            row = Command(names[0], plugin, spec)
            before = "rosey itself" if name in OWN else rows[name].plugin if name in rows else None
            if before is None:
                rows[name] = row
            elif before != plugin:
                clashes.append(Clash(name, before, plugin, spec.name))
    return rows, clashes


HELP = "help"
PLUGIN = "plugin"
OWN = frozenset((HELP, PLUGIN))
"""Commands that are rosey's own."""


def help_text(rows: Mapping[str, Command], prefix: str, rank: float, wanted: str = "") -> str:
    """What `!help` and `!help NAME` answer to somebody of this rank."""
    wanted = wanted.removeprefix(prefix).lower()
    if not wanted:
        names = sorted({row.name for row in rows.values() if row.spec.rank <= rank})
        return f"Commands: {', '.join(prefix + name for name in (*names, HELP))}. {prefix}{HELP} NAME tells more."
    row = rows.get(wanted)
    if wanted == HELP:
        return f"{prefix}{HELP} [NAME]: lists the commands, or explains one."
    if row is None or row.spec.rank > rank:
        return f"There is no command {prefix}{wanted}. {prefix}{HELP} lists them."
    usage = f"{prefix}{row.name} {row.spec.usage}".rstrip()
    aliases = [name for name, other in rows.items() if other is row or other == row if name != row.name]
    also = f" (also: {', '.join(prefix + alias for alias in aliases)})" if aliases else ""
    return f"{usage}: {row.spec.help or 'no description.'}{also}"


class Cooldowns:
    """Who used what when. Times are loop time."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], float] = {}

    def take(self, row: Command, user: str, now: float) -> bool:
        """Whether `user` may use the command now; if so, the cool-downs start."""
        spec = row.spec
        if not spec.cooldown and not spec.channel_cooldown:
            return True
        mine, all_ = (row.name, user.lower()), (row.name, "")
        until = self._until
        if until.get(mine, now) > now or until.get(all_, now) > now:
            return False
        if len(until) > 10_000:
            self._until = until = {key: end for key, end in until.items() if end > now}
        if spec.cooldown:
            until[mine] = now + spec.cooldown
        if spec.channel_cooldown:
            until[all_] = now + spec.channel_cooldown
        return True
