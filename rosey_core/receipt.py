"""A receipt: the promise to tell what became of an action."""

from __future__ import annotations

from asyncio import Future, get_running_loop, shield
from typing import Protocol

from rosey_core.actions import Outcome


class Pausable(Protocol):
    """A budget that is not charged while somebody waits for a receipt; times are loop time."""

    def pause(self, now: float) -> None:
        """Stop charging."""

    def resume(self, now: float) -> None:
        """Charge again."""


class Receipt:
    """What `ctx.say` and its like return as soon as the action is queued.

    Attributes:
        id: the action's id.
        action: the action's name, such as `chat.send_message`.
        charged: the budget of the plugin call that holds it, if any.
    """

    __slots__ = ("_future", "action", "charged", "id")

    def __init__(self, id: str, action: str, future: Future[Outcome]) -> None:  # noqa: A002  the field's name
        self.id = id
        self.action = action
        self.charged: Pausable | None = None
        self._future = future

    @property
    def settled(self) -> Outcome | None:
        """The outcome, if it is known by now."""
        return self._future.result() if self._future.done() and not self._future.cancelled() else None

    async def outcome(self) -> Outcome:
        """Wait until it is known what became of the action. It always ends: CyTube's silence is an outcome."""
        if self._future.done() or self.charged is None:
            return await shield(self._future)
        time = get_running_loop().time
        self.charged.pause(time())
        try:
            return await shield(self._future)
        finally:
            self.charged.resume(time())
