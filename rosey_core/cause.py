"""Why an action is done: the event that it answers, so that a repeat of that event does nothing twice. Pure."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b

import msgspec

from rosey_core.actions import Action
from rosey_core.envelope import NormalizedEvent

STALE = 60.0
"""Seconds after its event an action is no answer any more."""


class Cause(msgspec.Struct, frozen=True):
    """What an action answers.

    Attributes:
        event: the event's id.
        timestamp: when it happened, in UTC seconds.
        number: how many actions of that kind and target the plugin made of this event before.
        late: whether it is done however old the event is.
    """

    event: str
    timestamp: float
    number: int = 0
    late: bool = False


class Causes:
    """The actions that a plugin makes of one event, counted."""

    def __init__(self, event: NormalizedEvent) -> None:
        self._event = event
        self._counts = Counter[str]()

    def next(self, action: Action, *, late: bool) -> Cause:
        """The cause of one more action."""
        key = f"{action.name} {target(action)}"
        number = self._counts[key]
        self._counts[key] += 1
        return Cause(self._event.id, self._event.timestamp, number, late)


def target(action: Action) -> str:
    """Whom or what an action is about, as text; empty for the room."""
    for field in ("user", "to", "uid", "id"):
        if (value := getattr(action, field, None)) is not None:
            return str(value)
    return ""


def identity(cause: Cause, channel: str, plugin: str, action: Action) -> bytes:
    """The id of an action: the same whenever the same event makes the same plugin do it again, whatever it says."""
    text = "\0".join((cause.event, channel, plugin, action.name, target(action), str(cause.number)))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
