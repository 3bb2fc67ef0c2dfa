"""What a worker asks of the daemon: actions, queries of other plugins, the store; and the plugin's own events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from rosey_core import subjects
from rosey_core.actions import Action, Outcome
from rosey_core.bus.bus import Bus
from rosey_core.bus.questions import Questions
from rosey_core.cause import Cause
from rosey_core.clock import WallClock
from rosey_core.config import Secret
from rosey_core.errors import Unavailable
from rosey_core.host import messages, own_events
from rosey_core.host.home import QUERY_SECONDS
from rosey_core.host.store import through
from rosey_core.receipt import Receipt

OUTCOME_SECONDS = 300.0
"""After so long an action's outcome is unknown; the daemon's own sender gives up long before."""


class Door:
    """What a worker asks of the daemon.

    Args:
        plugin: its name, which is also its NATS user's.
        bus: its connection.
        clock: tells the time.
        read_secret: reads what the plugin's settings name.
    """

    def __init__(self, plugin: str, bus: Bus, clock: WallClock, read_secret: Callable[[Secret], str]) -> None:
        self.clock = clock
        self.secret = read_secret
        self._plugin = plugin
        self._bus = bus
        self._inbox = f"_INBOX_{plugin}.answers"
        self._questions = Questions(bus.request)
        self.store = through(self.ask)
        self._acting: set[asyncio.Task[None]] = set()
        bus.lost = self._questions.lost

    async def open(self) -> None:
        """Listen to answers."""
        await self._bus.subscribe(f"{self._inbox}.>", self._questions.take)

    async def ask(self, what: str, message: msgspec.Struct, seconds: float) -> bytes:
        """Ask the daemon. Raises `Unavailable`."""
        subject = subjects.worker(self._plugin, "ask", what)
        return await self._questions.ask(subject, messages.encode(message), replies=self._inbox, seconds=seconds)

    async def query(self, plugin: str, name: str, channel: str, args: dict[str, Any]) -> Any:
        """Ask another plugin."""
        return messages.result_of(
            await self.ask("query", messages.Query(plugin, name, channel, args), QUERY_SECONDS + 2)
        )

    def publish(self, plugin: str, name: str, data: Any) -> None:
        """Publish an event of the plugin's own."""
        own_events.publish(self._bus, plugin, name, msgspec.json.encode(data))

    def act(self, channel: str, action: Action, *, reply: bool, cause: Cause | None) -> Receipt:
        """Ask for an action; its receipt tells what became of it."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        way = ("do", channel, *(("reply",) if reply else ()), action.name)
        try:
            payload = msgspec.to_builtins(action) | ({} if cause is None else {"cause": cause})
            work = self._done(subjects.worker(self._plugin, *way), messages.encode(payload), future)
        except (TypeError, ValueError, msgspec.MsgspecError) as error:
            return Receipt.of(action.name, Outcome("refused", str(error)))
        task = asyncio.get_running_loop().create_task(work, name=f"action {action.name}")
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)
        return Receipt("", action.name, future)

    async def _done(self, subject: str, payload: bytes, future: asyncio.Future[Outcome]) -> None:
        try:
            answer = await self._questions.ask(subject, payload, replies=self._inbox, seconds=OUTCOME_SECONDS)
            outcome = outcome_of(answer)
        except Unavailable as error:
            outcome = Outcome("unknown", str(error))
        if not future.done():
            future.set_result(outcome)


def outcome_of(answer: bytes) -> Outcome:
    """What an answer to an action says. Raises `Unavailable` for none."""
    if not answer:
        raise Unavailable("rosey does not listen")
    try:
        told = msgspec.json.decode(answer, type=messages.Answer)
        if told.ok:
            return msgspec.json.decode(told.result, type=Outcome)
    except msgspec.MsgspecError:
        return Outcome("unknown", "the answer can't be read")
    states: tuple[Literal["refused", "dropped", "unknown", "stale"], ...] = ("refused", "dropped", "unknown", "stale")
    for state in states:
        if told.error.code == state:
            return Outcome(state, told.error.message)
    return Outcome("refused", told.error.message)
