"""The form of a rule: how one kind of action goes to CyTube, what it needs there, and what answers it.

The rules themselves stand in `spoken` (what goes out as lines), `programme`, `upkeep` and `outgoing` (which has the
whole table). All of it is pure: the clock, the queues and the limits are the `sender`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from rosey_core.actions import Action, Outcome
from rosey_core.events import Data, ErrorMessage, Media, User

A = TypeVar("A", bound=Action)

Frame = tuple[Any, ...]
"""CyTube's event name, and its payload where it has one."""

LINE = "line"
"""Everything that CyTube takes as a line: chat, its commands, private messages."""
QUEUE = "queue"
LIST = "list"
LOCK = "lock"

PIPELINED = frozenset({LIST})
"""Kinds of which one action need not wait for the answer to the one before: each answer names its item."""

MAX_FRAME = 1_000_000
"""Bytes: CyTube ends the connection for a frame of more than 1 MiB."""

DONE = Outcome("done")

is_user_name = re.compile(r"[\w-]{1,20}", re.ASCII).fullmatch
"""CyTube's own rule for names. What passes it can't smuggle a second argument or command into a line."""


class Names(Protocol):
    """Who is in the room."""

    def get(self, name: str) -> User | None:
        """The user of that name in any capitals, or `None`."""


class Room(Protocol):
    """What the rules read of the channel; `channel.Channel` is one."""

    @property
    def me(self) -> str:
        """The bot's name; empty while it is anonymous."""

    @property
    def my_rank(self) -> float:
        """The bot's rank."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The room's options, under CyTube's names."""

    @property
    def locked(self) -> bool:
        """Whether the playlist is locked."""

    @property
    def leader(self) -> str:
        """Who leads playback; empty when the server does."""

    @property
    def media(self) -> Media | None:
        """What plays."""

    @property
    def users(self) -> Names:
        """Who is here."""

    @property
    def playlist(self) -> Container[int]:
        """The uids in the playlist."""

    def can(self, node: str) -> bool:
        """Whether the bot passes a permission node now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Generic[A]):
    """How one kind of action goes out.

    Attributes:
        action: the kind.
        frames: what to send, in order; several only for a text of several lines.
        confirm: what an event means for an action under way: an outcome, or `None` when it says nothing of it.
            A frame that nothing answers ends as `unknown`, never as `done`.
        needs: permission nodes that all must pass. `also` gives more of them, by the action's fields.
        rank: the least rank.
        kicks: CyTube throws out who sends it without the right.
        invalid: why no CyTube would take it, whatever the room; empty when it is fine.
        unfit: why this room does not take it now; empty when it is fine.
        already: there is nothing to do. For what CyTube can only toggle.
        kind: order is kept within a kind; except for `PIPELINED` ones the next waits for the answer.
        alone: of a pipelined kind, it waits for the answers to what left before it all the same.
        limit: which of CyTube's limits counts it: `chat`, `pm`, `queue`, or none.
        cost: how often the limit counts it.
        timeout: seconds after which no answer will come.
        silent: CyTube never says that it did it.
        echo: CyTube repeats the line to its sender.
        again: it may be sent again when CyTube drops it as too fast; false where half of it is done by then.
        errors: a pattern for the texts of `errorMsg` that are about it.
        ack: the frame asks for an acknowledgement.
    """

    action: type[A]
    frames: Callable[[A], tuple[Frame, ...]]
    confirm: Callable[[A, str, Data], Outcome | None]
    kind: str
    needs: tuple[str, ...] = ()
    also: Callable[[A], tuple[str, ...]] = lambda _: ()
    rank: float = float("-inf")
    kicks: bool = False
    alone: bool = False
    invalid: Callable[[A], str] = lambda _: ""
    unfit: Callable[[A, Room], str] = lambda _, __: ""
    already: Callable[[A, Room], bool] = lambda _, __: False
    limit: str = ""
    cost: Callable[[A], int] = lambda _: 1
    timeout: float = 3.0
    silent: bool = False
    echo: bool = False
    again: bool = True
    errors: str = ""
    ack: bool = False

    def checked(self, action: A) -> A:
        """A copy of the action that nobody changes any more, with all fields of the types that they should have.

        Raises:
            ValueError: no CyTube would take it; the text says why.
        """
        try:
            action = msgspec.convert(msgspec.to_builtins(action), self.action)
            reason = self.invalid(action)
            size = 0 if reason else max(len(msgspec.json.encode(frame)) for frame in self.frames(action))
        except Exception as error:  # the fields hold whatever a plugin put there
            raise ValueError(f"{action.name}: {error}") from error
        if size > MAX_FRAME:
            reason = f"its {size} bytes are more than CyTube takes at once ({MAX_FRAME})"
        if reason:
            raise ValueError(reason)
        return action

    def refusal(self, action: A, room: Room) -> str:
        """Why CyTube would not do this here and now, as a sentence; empty when it would."""
        if self.kind == LINE and not room.me:
            return "the bot is not logged in, and CyTube takes no lines from anonymous visitors"
        if room.my_rank < self.rank:
            return f"it takes rank {self.rank:g} in this room, and the bot has {room.my_rank:g}"
        for node in (*self.needs, *self.also(action)):
            if not room.can(node):
                return (
                    f"the bot's rank ({room.my_rank:g}) does not have this room's permission {node!r}: "
                    f"raise its rank, or lower what the permission needs"
                )
        return self.unfit(action, room)

    def error(self, frame: Frame, data: ErrorMessage) -> bool:
        """Whether an `errorMsg` is certainly about that frame."""
        return data.kind == "errorMsg" and (
            data.text.startswith(f"Unexpected error for message {frame[0]}:")
            or (self.errors != "" and re.search(self.errors, data.text) is not None)
        )


def one(*frame: Any) -> tuple[Frame, ...]:
    """A single frame."""
    return (frame,)


def done(sure: bool) -> Outcome | None:  # noqa: FBT001  it reads as a sentence: done(it is so)
    """`DONE` if so, else nothing yet."""
    return DONE if sure else None


def plain(rows: Iterable[Data]) -> list[Any]:
    """A list for a result, the same in every process: what JSON makes of it."""
    return [msgspec.to_builtins(row) for row in rows]


def never(action: Action, me: str, data: Data) -> Outcome | None:  # noqa: ARG001  the form of `confirm`
    """For what CyTube does not answer."""
    return None


def same(one: str, other: str) -> bool:
    """Whether two names mean one user: CyTube compares them without capitals."""
    return one.lower() == other.lower()


def nameless(name: str) -> str:
    """Why that is no user name."""
    return "" if is_user_name(name) else f"{name[:40]!r} is no CyTube name: 1 to 20 of a-z, A-Z, 0-9, _ and -"
