"""What a plugin says of itself: its manifest, its settings, its commands and its queries.

Declarations only: nothing here runs a plugin. `Description` is the same in JSON, as the child process that
looked at the plugin tells it to the daemon.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, dataclass_transform

import msgspec

API = 1
"""The number of the plugin interface. The host speaks this one and the one before."""

F = TypeVar("F", bound=Callable[..., Any])

Mark = Literal["_rosey_command", "_rosey_query"]
COMMAND: Mark = "_rosey_command"
QUERY: Mark = "_rosey_query"


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of a plugin's settings: typed fields with defaults. A misspelt key is an error."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a plugin is and what it asks for.

    Attributes:
        name: as in rosey.toml and in subjects: `[a-z][a-z0-9_-]{0,29}`.
        summary: one sentence for people.
        settings: a subclass of `Settings`.
        asks: the grants it needs; it does not start before the owner granted them all.
        may: grants that it can use and does without; the owner may give them or not.
        keeps: what it stores about users, in words, empty for nothing.
        shared: one instance over all channels instead of one for each.
        durable: its events come from the event log: in order, each at least once, over restarts of everything. Only
            events that are kept can be heard so.
        api: the plugin interface it was written for.
    """

    name: str
    summary: str
    settings: type[Settings] = Settings
    asks: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    keeps: str = ""
    shared: bool = False
    durable: bool = False
    api: int = API


class CommandSpec(msgspec.Struct, frozen=True):
    """A command as declared. `cooldown` is seconds for one user, `channel_cooldown` for the whole channel."""

    name: str
    method: str = ""
    usage: str = ""
    help: str = ""
    aliases: tuple[str, ...] = ()
    rank: float = 0
    cooldown: float = 0
    channel_cooldown: float = 0


class Description(msgspec.Struct, frozen=True):
    """A plugin seen from outside: its manifest in plain values, and what it hooks.

    `schema` is the JSON Schema of its settings.
    """

    name: str
    summary: str
    api: int
    asks: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    keeps: str = ""
    shared: bool = False
    durable: bool = False
    hooks: tuple[str, ...] = ()
    commands: tuple[CommandSpec, ...] = ()
    queries: tuple[str, ...] = ()
    schema: dict[str, Any] = {}

    @property
    def usable(self) -> frozenset[str]:
        """Every grant that is of use to it."""
        return frozenset(self.asks + self.may)


def command(
    name: str,
    *,
    usage: str = "",
    aliases: tuple[str, ...] = (),
    rank: float = 0,
    cooldown: float = 0,
    channel_cooldown: float = 0,
) -> Callable[[F], F]:
    """Make a method the owner of `!name`. The method's docstring is its help; the string it returns is the reply.

    Args:
        name: without the prefix, lower case.
        usage: its arguments, as help shows them (`NAME [COUNT]`).
        aliases: other names for it.
        rank: the least CyTube rank that may use it.
        cooldown: seconds before the same user may use it again.
        channel_cooldown: seconds before anybody in the channel may.
    """

    def mark(method: F) -> F:
        summary = (method.__doc__ or "").strip().partition("\n")[0]
        spec = CommandSpec(
            name=name,
            method=method.__name__,
            usage=usage,
            help=summary,
            aliases=aliases,
            rank=rank,
            cooldown=cooldown,
            channel_cooldown=channel_cooldown,
        )
        setattr(method, COMMAND, spec)
        return method

    return mark


def query(name: str) -> Callable[[F], F]:
    """Make a method answer requests: from other plugins by `ctx.query`, and from the bus."""

    def mark(method: F) -> F:
        setattr(method, QUERY, name)
        return method

    return mark


def marked(cls: type[Any], mark: Mark) -> dict[str, Any]:
    """The methods of a plugin's class that carry a mark: method name to what the mark says."""
    functions = {name: getattr(cls, name, None) for name in dir(cls)}
    return {name: getattr(function, mark) for name, function in functions.items() if hasattr(function, mark)}
