"""Calls one plugin object in this process: hooks in its lanes, questions beside them.

Whatever the plugin does (raise anything, hang, exit) ends here: it is counted, logged once in a while, and the next
event goes on. A plugin that is over its budget three times in a row at the same thing is parked.

Things that don't work: pluggy's own caller (stops at the first exception, can't await); `gather` over all hooks
(costs more than the rest of the way); a time-out around each call (8 us on 3.11; a busy stamp is 0.2 us).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from structlog.typing import FilteringBoundLogger

from rosey_core.charge import CALL, Call
from rosey_core.envelope import NOTHING, Metadata, NormalizedEvent
from rosey_core.errors import NotReady, PluginError, Unavailable
from rosey_core.errors import told as told_of
from rosey_core.host.budget import Budgets
from rosey_core.host.context import Context
from rosey_core.host.home import Counts, Deliver, Failure
from rosey_core.host.hookspecs import EVENT_HOOKS, Hears, examine
from rosey_core.host.ownership import OWNER, Owner, owned_by

HOOK_SECONDS = 5.0
QUESTIONS_AT_ONCE = 8
STRIKES = 3
LOG_AGAIN = 60.0


def heard(hears: Hears, metadata: Metadata) -> bool:
    """Whether a hook that hears `hears` is told of an event with this metadata."""
    if metadata is NOTHING:
        return True
    stopped = metadata.verdict is not None and metadata.verdict.stop
    return not (
        (metadata.history and not hears.history)
        or (metadata.own and not hears.own)
        or (metadata.server and not hears.server)
        or (metadata.shadow and not hears.shadow)
        or (stopped and not hears.stopped)
    )


Invoke = Callable[[Context, Any], Any]


class Dispatch:
    """The calls of one plugin object.

    Args:
        name: the plugin's name.
        make: makes the object; what it raises comes through, and `ManifestError` for a bad hook.
        budgets: the ticker that cuts off calls.
        log: bound to the plugin's name.
        parked: is told why the plugin must stop.

    Attributes:
        over: whoever sets it ends the lanes at the end of what each does just now.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], object],
        *,
        budgets: Budgets,
        log: FilteringBoundLogger,
        parked: Callable[[str], None],
    ) -> None:
        self.name = name
        self.counts = Counts()
        self.over = False
        self.owner = Owner(name, self.failed)
        self._budgets = budgets
        self._log = log
        self._parked = parked
        self._strikes: dict[str, int] = {}
        self._quiet_until: dict[str, float] = {}
        self._unlogged: dict[str, int] = {}
        self._questions = asyncio.Semaphore(QUESTIONS_AT_ONCE)
        self._lines = asyncio.Semaphore(QUESTIONS_AT_ONCE)
        self._now = asyncio.get_running_loop().time
        try:
            with owned_by(self.owner):
                self.plugin = make()
            self.hooks = examine(self.plugin)
        except BaseException:
            self.owner.closed = True
            self.owner.abandon()
            raise
        self._by_type = {
            event_type: (event_type, hook.invoker(), hook.hears)
            for hook_name, event_type in EVENT_HOOKS.items()
            if (hook := self.hooks.get(hook_name))
        }
        raw, many = self.hooks.get("on_raw"), self.hooks.get("on_events")
        self._raw = ("raw", raw.invoker(), raw.hears) if raw else None
        self._many = (many.invoker(), many.hears) if many else None

    def wants(self, event_type: str) -> bool:
        """Whether any hook is for this event type."""
        return (
            self._many is not None
            or event_type in self._by_type
            or (self._raw is not None and event_type.startswith("raw."))
        )

    def deliver_to(self, ctx: Context, *, durable: bool = False) -> Deliver:
        """The end of this plugin's lane in one channel; `ctx` is that channel's.

        A `durable` one ends a list at the first event that the plugin fails at, and says so.
        """
        call: Call | None = None
        by_type, raw, many = self._by_type, self._raw, self._many

        async def deliver(events: Sequence[NormalizedEvent]) -> Failure | None:
            nonlocal call
            if call is None:
                call = Call(HOOK_SECONDS, self._late_at_event if durable else self._late)
                call.task = asyncio.current_task()
                self._budgets.watch(call)
                OWNER.set(self.owner)
                CALL.set((call, 0))
            if durable:
                ctx.begin(events)
            if many is not None:
                chosen = [event for event in events if heard(many[1], event.metadata)]
                if chosen:
                    error = await self._run(call, "on_events", many[0], ctx, chosen)
                    if error is not None and durable:
                        return _failure(0, error)
            if not by_type and raw is None:
                return None
            for number, event in enumerate(events):
                kind = event.event_type
                hook = by_type.get(kind) or (raw if kind.startswith("raw.") else None)
                if hook is not None and (event.metadata is NOTHING or heard(hook[2], event.metadata)):
                    view = ctx.about(event) if durable else ctx
                    error = await self._run(call, hook[0], hook[1], view, event)
                    if error is not None and durable:
                        return _failure(number, error)
            return None

        return deliver

    async def _run(
        self, call: Call, what: str, invoke: Invoke, ctx: Context, subject: object
    ) -> BaseException | None:
        """Call a hook; what it raised."""
        # `begin` and `end` are written out: nothing in the daemon runs as often as this.
        self.counts.calls += 1
        call.what = what
        call.number += 1
        call.since = self._now()
        try:
            result = invoke(ctx, subject)
            if result is not None and hasattr(result, "__await__"):
                await result
        except BaseException as error:
            return await self._ended(call, error, late=call.end())
        call.since = 0.0
        if call.odd or self._strikes or self.over or call.task.cancelling():  # type: ignore[union-attr]  # a lane is one
            return await self._ended(call, None, late=call.end())
        return None

    async def _ended(self, call: Call, error: BaseException | None, *, late: bool) -> BaseException | None:
        """Reckon with a call of a lane; what it failed with.

        Raises `CancelledError` when the lane is to end, whatever came of it.
        """
        if self.over:
            raise asyncio.CancelledError
        if await taken_back():
            error = asyncio.CancelledError("it cancelled the task that it was called in")
        if late:
            return TimeoutError(f"{call.what} was over its budget")  # counted when it was cut off
        if error is not None:
            self.failed(error, call.what)
        else:
            self._strikes.pop(call.what, None)
        return error

    async def ask(
        self, what: str, function: Callable[[], Any], *, seconds: float, expected: bool = False, judging: bool = False
    ) -> Any:
        """Call `function` beside the lanes and return what it returns.

        It runs in a task of its own, so that it can neither cancel nor hold up whoever asks.

        Args:
            what: what it is, for counts and logs.
            function: the call.
            seconds: how long it may take.
            expected: a `PluginError` is an answer like others, and no failure.
            judging: it is a question to a judge; those do not wait behind others.

        Raises:
            Unavailable: when it took longer than `seconds`, or more than eight are under way already.
            PluginError: when it raised; the text is the exception's.
        """
        slots = self._lines if judging else self._questions
        if slots.locked():
            raise Unavailable(f"{self.name} is busy")
        await slots.acquire()
        self.counts.calls += 1
        loop = asyncio.get_running_loop()
        cut: asyncio.Future[None] = loop.create_future()

        def told(call: Call) -> None:
            self._late(call)
            if not cut.done():
                cut.set_result(None)

        call = Call(seconds, told)
        with owned_by(self.owner):
            task = call.task = loop.create_task(self._tried(call, what, function), name=f"{self.name}: {what}")
        task.add_done_callback(lambda _: slots.release())
        try:
            await asyncio.wait((task, cut), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if cut.done():
            raise Unavailable(f"{self.name} took longer than {seconds:g} s")
        result, error = (None, asyncio.CancelledError()) if task.cancelled() else task.result()
        if isinstance(error, asyncio.CancelledError):
            error = asyncio.CancelledError("it cancelled itself")
        if error is None or (expected and isinstance(error, PluginError)):
            self._strikes.pop(what, None)
            if error is not None:
                raise error
            return result
        self.failed(error, what)
        raise PluginError(f"{self.name} failed: {told_of(error)}") from error

    async def _tried(self, call: Call, what: str, function: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        """What it returned and what it raised."""
        CALL.set((call, 0))
        self._budgets.watch(call)
        call.begin(what, self._now())
        try:
            result = function()
            if result is not None and hasattr(result, "__await__"):
                result = await result
        except BaseException as error:
            return None, error
        else:
            return result, None
        finally:
            self._budgets.release(call)
            call.end()

    async def hook(self, name: str, ctx: Context, subject: object = None, *, seconds: float) -> Any:
        """Call one of the hooks that are questions (`start`, `stop`, `judge`), if the plugin has it. As `ask`."""
        found = self.hooks.get(name)
        if found is None:
            return None
        invoke = found.invoker()
        return await self.ask(
            name,
            lambda: invoke(ctx, subject),
            seconds=seconds,
            expected=name == "start",  # it says so when it is not ready
            judging=name == "judge",
        )

    def overran(self, what: str) -> None:
        """Count that it took too long."""
        self.counts.overdue += 1
        self.counts.last_error = f"{what} was over its budget"
        self._say("plugin.overdue", what)

    def _late(self, call: Call) -> None:
        what = call.what
        self.overran(what)
        strikes = self._strikes[what] = self._strikes.get(what, 0) + 1
        if strikes >= STRIKES:
            self._parked(f"{what} was over its budget {STRIKES} times in a row")

    def _late_at_event(self, call: Call) -> None:
        """The lane tries again by itself, and gives that event up at last; only who swallows every cut is parked."""
        self.overran(call.what)
        if call.cuts >= STRIKES:
            self._parked(f"{call.what} went on when it was cut off, {call.cuts} times")

    def failed(self, error: BaseException, what: str) -> None:
        """Count what it raised."""
        self.counts.errors += 1
        self.counts.last_error = f"{what}: {told_of(error)}"
        self._say("plugin.failed", what, error)

    def _say(self, event: str, what: str, error: BaseException | None = None) -> None:
        """Log the first of its kind with its traceback, then the number of the rest once a minute."""
        now = self._now()
        kind = f"{event} {what} {type(error).__name__}"
        if now < self._quiet_until.get(kind, 0.0):
            self._unlogged[kind] = self._unlogged.get(kind, 0) + 1
            return
        self._quiet_until[kind] = now + LOG_AGAIN
        self._log.error(event, what=what, exc_info=error, more=self._unlogged.pop(kind, 0))


def _failure(handled: int, error: BaseException) -> Failure:
    return Failure(handled, told_of(error), error.retry if isinstance(error, NotReady) else 0.0)


async def taken_back() -> bool:
    """Take back every cancellation of the task that runs; whether there was one."""
    task = asyncio.current_task()
    found = False
    while task is not None and task.cancelling():
        found = True
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)  # what was asked for and did not arrive yet arrives here
        task.uncancel()
    return found
