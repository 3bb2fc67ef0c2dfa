"""What the parts of a simulated room have in common: the room, what a newcomer hears, the events they answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from rosey_core.testing.room import Room
    from rosey_core.testing.users import User

Answer = Callable[["User", Any], object]
"""Takes an event from a user. What it returns is the acknowledgement; `None` for events that have none."""


class Part:
    """One idea of a room.

    Attributes:
        SHAPES: for each "typed" event, what its payload must look like (see `payloads.complaint`).
    """

    SHAPES: ClassVar[Mapping[str, Mapping[str, str]]] = {}

    def __init__(self, room: Room) -> None:
        self.room = room

    def answers(self) -> dict[str, Answer]:
        """The events from users in the room that this part answers."""
        return {}

    def joined(self, user: User) -> None:
        """Tell a newcomer what this part holds."""

    def left(self, user: User) -> None:
        """Forget somebody who left."""

    def stop(self) -> None:
        """Forget every timer."""
