"""A receipt: the promise to tell what became of an action."""

from __future__ import annotations

from asyncio import Future, get_running_loop, shield

from rosey_core.actions import Outcome
from rosey_core.charge import waiting


class Receipt:
    """What `ctx.say` and its like return as soon as the action is queued.

    Attributes:
        id: the action's id; empty when it never got as far as the queue.
        action: the action's name, such as `chat.send_message`.
    """

    __slots__ = ("_future", "action", "id")

    def __init__(self, id: str, action: str, future: Future[Outcome]) -> None:  # noqa: A002  the field's name
        self.id = id
        self.action = action
        self._future = future

    @classmethod
    def of(cls, action: str, outcome: Outcome) -> Receipt:
        """The receipt of an action whose outcome is known at once: it was not even queued."""
        settled: Future[Outcome] = get_running_loop().create_future()
        settled.set_result(outcome)
        return cls("", action, settled)

    @property
    def settled(self) -> Outcome | None:
        """The outcome, if it is known by now."""
        return self._future.result() if self._future.done() and not self._future.cancelled() else None

    async def outcome(self) -> Outcome:
        """Wait until it is known what became of the action. It always ends: CyTube's silence is an outcome.

        A plugin's call is not charged for the time.
        """
        with waiting():
            return await shield(self._future)
