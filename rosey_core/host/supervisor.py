"""The life of a plugin in a process of its own: started, watched, started again when it dies, parked at last."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from structlog.typing import FilteringBoundLogger

from rosey_core.errors import PluginError, Unavailable, told
from rosey_core.host.child import Child
from rosey_core.host.home import START_SECONDS
from rosey_core.host.life import Life
from rosey_core.host.outside import Outside, Session

BACK_OFF = (0.1, 0.5)
"""Seconds before it is started again, the first time and at most."""
WORN_OUT = (60, 10.0)
"""After so many short lives in a row it is started again only after so many seconds."""
STEADY = 10.0
"""One that lived so many seconds was a good one."""
TRIES = 5
"""Starts in vain in a row, after which it is parked."""
PING = 2.0
SILENT = 10.0
"""Seconds without an answer after which it is taken for hung, and killed."""
END_SECONDS = 1.0

Spawn = Callable[[], Awaitable[Child]]


class Supervisor(Life[Outside]):
    """A worker's life.

    Args:
        home: its end here.
        spawn: starts its process; raises `OSError`.
        reachable: whether NATS is there, so that silence is the worker's own.
        log, changed: as for every life.
    """

    def __init__(
        self,
        home: Outside,
        spawn: Spawn,
        *,
        reachable: Callable[[], bool],
        log: FilteringBoundLogger,
        changed: Callable[[], None],
    ) -> None:
        super().__init__(home.name, lambda _: home, log=log, changed=changed)
        self._spawn = spawn
        self._reachable = reachable
        self._child: Child | None = None
        home.poisoned = self.park

    @property
    def tail(self) -> list[str]:
        """The last 20 lines that its process printed."""
        return list(self._child.tail) if self._child is not None else []

    async def _live(self, home: Outside) -> None:
        lanes = asyncio.create_task(self._run_lanes(), name=f"lanes of {self.name}")
        try:
            await self._keep(home)
        finally:
            lanes.cancel()

    async def _keep(self, home: Outside) -> None:
        delay, longest = BACK_OFF
        failures = short = 0
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                reason = await self._once(home)
                failures = 0
            except Unavailable as error:
                failures += 1
                reason = str(error)
            except PluginError as error:
                self._become("failed", str(error))
                self._close_lanes()
                await self._end_child(home)
                return
            except Exception as error:
                self._log.exception("plugin.failed", what="its supervisor")
                failures += 1
                reason = told(error)
            await self._end_child(home)
            if failures >= TRIES:
                self.park(f"{TRIES} starts in vain; the last: {reason}")
                return
            short = 0 if loop.time() - began >= STEADY else short + 1
            delay = WORN_OUT[1] if short > WORN_OUT[0] else min(2 * delay, longest) if short else BACK_OFF[0]
            self._become("restarting", reason)
            self._log.warning("plugin.restarting", reason=reason, again_in=round(delay, 2))
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311  spreads load, hides nothing

    async def _once(self, home: Outside) -> str:
        """One life of the process: why it ended. Raises `Unavailable` when it never ran, `PluginError` for ever."""
        try:
            child = self._child = await self._spawn()
        except OSError as error:
            raise Unavailable(f"its process can't be started: {error}") from None
        try:
            async with asyncio.timeout(START_SECONDS):
                await home.arrival(child.ended)
        except TimeoutError:
            raise Unavailable(f"its process did not say hello within {START_SECONDS:g} s") from None
        if child.ended.is_set():
            raise Unavailable(child.reason)
        await self._begin(home)
        self._become("running")
        self._log.info("plugin.running", pid=child.pid)
        return await self._watch(home, child)

    async def _begin(self, home: Outside) -> None:
        try:
            await super()._begin(home)
        except Unavailable:
            if self._child is not None and self._child.ended.is_set():
                raise Unavailable(self._child.reason) from None
            raise

    async def _watch(self, home: Outside, child: Child | Session) -> str:
        """Ping until it ends or falls silent; the reason."""
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while not child.ended.is_set():
            try:
                await home.ping(PING)
                heard = loop.time()
            except PluginError:
                if not self._reachable():
                    heard = loop.time()
            if loop.time() - heard >= SILENT:
                return f"it did not answer for {SILENT:g} s"
            try:
                async with asyncio.timeout(PING):
                    await child.ended.wait()
            except TimeoutError:
                continue
        return child.reason

    async def _wind_up(self, home: Outside, seconds: float, *, stop: bool) -> None:
        await super()._wind_up(home, seconds, stop=stop)
        await self._end_child(home)

    async def _end_child(self, home: Outside) -> None:
        home.gone()
        if self._child is not None:
            await self._child.end(END_SECONDS)
