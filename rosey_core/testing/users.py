"""Who is on the simulated CyTube: accounts, and users, each of whom is one connection and perhaps a name.

This module owns what CyTube knows of a user without any room: name, ranks, address and its cloak, limits. Rooms
and what is told in them are `room`'s; the network is behind `Link`.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from rosey_core.testing.timers import Limiter, Timer

if TYPE_CHECKING:
    from rosey_core.testing.lookup import Media
    from rosey_core.testing.room import Room

VALID_NAME = re.compile(r"[A-Za-z0-9_-]{1,20}")
"""What a user may be called (CyTube 3.86)."""


class Event:
    """One event on its way to one user or many.

    Attributes:
        name: CyTube's name for it.
        args: what it carries; mostly one thing, sometimes none.
        packet: what it looks like on the wire, kept by the network so that it is worked out once.
    """

    __slots__ = ("args", "name", "packet")

    def __init__(self, name: str, args: tuple[Any, ...]) -> None:
        self.name = name
        self.args = args
        self.packet: Any = None


class Link(Protocol):
    """The way to a user's program."""

    def send(self, event: Event) -> None:
        """Send an event; never waits."""

    def end(self) -> None:
        """Say that the session is over (`41`), after what was sent before."""

    def hang_up(self) -> None:
        """Close the connection itself, after what was sent before."""


@dataclass(slots=True)
class Account:
    """A registered account. `rank` is the one on the whole site: 1, or 255 for its administrators."""

    name: str
    password: str
    rank: float = 1
    since_ms: int = 0
    image: str = ""
    text: str = ""
    playlists: dict[str, list[Media]] = field(default_factory=dict)


@dataclass(slots=True)
class Waiting:
    """A user who stands at a room's door: `gate` is `password` or `name`, whichever is asked for."""

    room: Room
    gate: str


class User:
    """One connection: somebody anonymous, who may log in and may enter one room.

    Attributes:
        rank: the rank that counts: the higher of the site's and the room's, or 1.5 while leading.
        known_rank: the room's rank was looked up.
    """

    def __init__(self, link: Link, ip: str, aliases: list[str], now_ms: int, leave: Callable[[User], None]) -> None:
        self.link = link
        self._leave = leave
        self.ip = ip
        self.cloaked = cloak(ip)
        self.aliases = aliases
        self.since_ms = now_ms
        self.name = ""
        self.account: Account | None = None
        self.global_rank: float = -1
        self.rank: float = -1
        self.known_rank = False
        self.rank_before_leading: float = 0
        self.afk = False
        self.muted = False
        self.shadow_muted = False
        self.room: Room | None = None
        self.waiting: Waiting | None = None
        self.asked_to_join = False
        self.asked_for_panel = False
        self.gone = False
        self.chat_limit = Limiter()
        self.queue_limit = Limiter()
        self.list_limit = Limiter()
        self.away_timer: Timer | None = None

    @property
    def lower(self) -> str:
        """The name as CyTube compares it."""
        return self.name.lower()

    def tell(self, name: str, *args: Any) -> None:
        """Send an event to this user alone."""
        self.hear(Event(name, args))

    def hear(self, event: Event) -> None:
        """Send an event that others may hear as well."""
        if not self.gone:
            self.link.send(event)

    def kick(self, reason: str | None) -> None:
        """Throw the user off the site; `None` gives no reason at all."""
        self.tell("kick", {} if reason is None else {"reason": reason})
        self.link.end()
        self._leave(self)

    def named(self, name: str, rank: float, account: Account | None = None) -> None:
        """Take a name: a guest's, or an account's."""
        self.name = name
        self.account = account
        self.global_rank = self.rank = rank
        if account is not None:
            self.since_ms = min(self.since_ms, account.since_ms)

    def profile(self) -> dict[str, str]:
        """Picture and text, which only accounts have."""
        if self.account is None:
            return {"image": "", "text": ""}
        return {"image": self.account.image, "text": self.account.text}

    def packed(self, level: int) -> dict[str, Any]:
        """What others see of this user: `level` 0 is everybody, 1 moderators, 2 the site's administrators."""
        return {"name": self.name, "rank": self.rank, "profile": self.profile(), "meta": self.meta(level)}

    def meta(self, level: int) -> dict[str, Any]:
        """Away and muted; for moderators also the shadow mute, other names and the (cloaked) address."""
        if level == 0:
            return {"afk": self.afk, "muted": self.muted and not self.shadow_muted}
        return {
            "afk": self.afk,
            "muted": self.muted,
            "smuted": self.shadow_muted,
            "aliases": list(self.aliases),
            "ip": self.ip if level == 2 else self.cloaked,
        }

    def level(self) -> int:
        """How much this user sees of others."""
        return 2 if self.global_rank >= 255 else int(self.rank >= 2)


def cloak(ip: str) -> str:
    """An address as moderators see it: hashed part by part, so that neighbours look alike (CyTube 3.86)."""
    if ip == "*":
        return ip
    seen = ""
    parts = []
    for index, part in enumerate(ip.split(".")):
        parts.append(_hash(f"{seen}{part}{index}"))
        seen += part
    return ".".join(parts)


def _hash(text: str) -> str:
    return b64encode(hashlib.md5(text.encode(), usedforsecurity=False).digest()).decode()[:3]
