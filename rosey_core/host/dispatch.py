"""Calls one plugin instance inside the daemon: hooks in its lanes, questions beside them.

Whatever the plugin does (raise anything, hang, exit) ends here: it is counted, logged once in a while, and the next
event goes on. A plugin that is over its budget three times in a row, or swallows cancellation, is parked.

Things that don't work: pluggy's own caller (stops at the first exception, can't await); `gather` over all hooks
(costs more than the rest of the way); a time-out around each call (8 us on 3.11; a busy stamp is 0.2 us).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.envelope import NOTHING, Metadata, NormalizedEvent
from rosey_core.errors import PluginError, Unavailable
from rosey_core.host.budget import Budgets, Call
from rosey_core.host.context import Context
from rosey_core.host.hookspecs import EVENT_HOOKS, Hears, Hook, examine
from rosey_core.host.ownership import OWNER, Owner, cancelled

HOOK_SECONDS = 5.0
QUESTIONS_AT_ONCE = 8
STRIKES = 3
LOG_AGAIN = 60.0


class Counts(msgspec.Struct):
    """What happened to one instance, for `rosey status`."""

    calls: int = 0
    errors: int = 0
    overdue: int = 0
    last_error: str = ""


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


def _invoker(hook: Hook) -> Invoke:
    """A call with just the arguments that the plugin named."""
    function = hook.function
    match hook.argnames:
        case ():
            return lambda _, __: function()
        case ("ctx",):
            return lambda ctx, _: function(ctx)
        case (_,):
            return lambda _, subject: function(subject)
        case ("ctx", _):
            return function
        case _:
            return lambda ctx, subject: function(subject, ctx)


class Inside:
    """One plugin object, run in the daemon.

    Args:
        plugin: the object; its hooks are examined (`ManifestError` for a bad one).
        name: the plugin's name.
        budgets: the ticker that cuts off calls.
        log: bound to the plugin's name.
        parked: is told why, once, when the plugin must stop.
    """

    def __init__(
        self,
        plugin: object,
        name: str,
        *,
        budgets: Budgets,
        log: FilteringBoundLogger,
        parked: Callable[[str], None],
    ) -> None:
        self.plugin = plugin
        self.name = name
        self.hooks = examine(plugin)
        self.counts = Counts()
        self.owner = Owner(name, self._failed)
        self._budgets = budgets
        self._log = log
        self._parked = parked
        self._strikes = 0
        self._quiet_until: dict[str, float] = {}
        self._unlogged: dict[str, int] = {}
        self._slots = asyncio.Semaphore(QUESTIONS_AT_ONCE)
        self._now = asyncio.get_running_loop().time
        self._by_type = {
            event_type: (_invoker(hook), hook.hears)
            for hook_name, event_type in EVENT_HOOKS.items()
            if (hook := self.hooks.get(hook_name))
        }
        raw, many = self.hooks.get("on_raw"), self.hooks.get("on_events")
        self._raw = (_invoker(raw), raw.hears) if raw else None
        self._many = (_invoker(many), many.hears) if many else None

    def wants(self, event_type: str) -> bool:
        """Whether any hook is for this event type."""
        return (
            self._many is not None
            or event_type in self._by_type
            or (self._raw is not None and event_type.startswith("raw."))
        )

    def deliver_to(self, ctx: Context) -> Callable[[Sequence[NormalizedEvent]], Awaitable[None]]:
        """The end of this plugin's lane in one channel; `ctx` is that channel's."""
        call = Call(HOOK_SECONDS)
        by_type, raw, many = self._by_type, self._raw, self._many

        async def deliver(events: Sequence[NormalizedEvent]) -> None:
            if call.task is None:
                call.task = asyncio.current_task()
                self._budgets.watch(call)
                OWNER.set(self.owner)
                ctx.charge(call)
            if many is not None:
                chosen = [event for event in events if heard(many[1], event.metadata)]
                if chosen:
                    await self._run(call, "on_events", many[0], ctx, chosen)
            if not by_type and raw is None:
                return
            for event in events:
                kind = event.event_type
                hook = by_type.get(kind) or (raw if kind.startswith("raw.") else None)
                if hook is not None and (event.metadata is NOTHING or heard(hook[1], event.metadata)):
                    await self._run(call, kind, hook[0], ctx, event)

        return deliver

    async def _run(self, call: Call, what: str, invoke: Invoke, ctx: Context, subject: object) -> None:
        counts = self.counts
        counts.calls += 1
        call.since = self._now()
        ctx.cause = subject
        try:
            result = invoke(ctx, subject)
            if result is not None and hasattr(result, "__await__"):
                await result
            if call.overdue:
                # It swallowed the cancellation and came back late: the same as being cut off.
                call.forgive()
                self._late(what)
            else:
                self._strikes = 0
        except asyncio.CancelledError as error:
            if call.forgive():
                self._late(what)
            elif cancelled():
                raise
            else:
                self._failed(error, what)
        except BaseException as error:
            self._failed(error, what)
        finally:
            call.since = 0.0

    async def ask(self, what: str, function: Callable[[], Any], *, seconds: float, ctx: Context | None = None) -> Any:
        """Call `function` beside the lanes and return what it returns.

        Raises:
            Unavailable: when it took longer than `seconds`, or more than eight are under way already.
            PluginError: when it raised; the text is the exception's.
        """
        if self._slots.locked():
            raise Unavailable(f"{self.name} is busy")
        task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]  # we are in one
        call = Call(seconds)
        call.task = task
        if ctx is not None:
            ctx.charge(call)
        self.counts.calls += 1
        token = OWNER.set(self.owner)
        async with self._slots:
            call.since = asyncio.get_running_loop().time()
            self._budgets.watch(call)
            try:
                result = function()
                if result is not None and hasattr(result, "__await__"):
                    result = await result
            except asyncio.CancelledError as error:
                if call.forgive():
                    self._late(what)
                    raise Unavailable(f"{self.name} took longer than {seconds:g} s") from None
                if cancelled():
                    raise
                self._failed(error, what)
                raise PluginError(f"{self.name} failed: {error!r}") from error
            except PluginError:
                raise
            except BaseException as error:
                self._failed(error, what)
                raise PluginError(f"{self.name} failed: {error!r}") from error
            finally:
                self._budgets.release(call)
                OWNER.reset(token)
            if call.overdue:
                call.forgive()
            self._strikes = 0
            return result

    async def hook(self, name: str, ctx: Context, subject: object = None, *, seconds: float) -> Any:
        """Call one of the hooks that belong to no event (`start`, `stop`, `forget`), if the plugin has it."""
        found = self.hooks.get(name)
        if found is None:
            return None
        invoke = _invoker(found)
        return await self.ask(name, lambda: invoke(ctx, subject), seconds=seconds, ctx=ctx)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """Run `work` as a task that ends with the plugin."""
        return self.owner.spawn(work, name)

    def _late(self, what: str) -> None:
        self.counts.overdue += 1
        self.counts.last_error = f"{what} was over its budget"
        self._strikes += 1
        self._say("plugin.overdue", what)
        if self._strikes >= STRIKES:
            self._parked(f"{what} was over its budget {STRIKES} times in a row")

    def _failed(self, error: BaseException, what: str) -> None:
        self.counts.errors += 1
        self.counts.last_error = f"{what}: {type(error).__name__}: {error}"
        self._say("plugin.failed", what, error)

    def _say(self, event: str, what: str, error: BaseException | None = None) -> None:
        """Log the first of its kind with its traceback, then the number of the rest once a minute."""
        now = asyncio.get_running_loop().time()
        kind = f"{event} {what} {type(error).__name__}"
        if now < self._quiet_until.get(kind, 0.0):
            self._unlogged[kind] = self._unlogged.get(kind, 0) + 1
            return
        self._quiet_until[kind] = now + LOG_AGAIN
        self._log.error(event, what=what, exc_info=error, more=self._unlogged.pop(kind, 0))
