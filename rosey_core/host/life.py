"""The life of one plugin instance: made, started, its lanes run, ended. It owns the instance's state.

Every end goes one way: the lanes stop, what a hook still does is waited for, `stop` is called, the plugin's tasks
are cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from structlog.typing import FilteringBoundLogger

from rosey_core.errors import NotReady, PluginError, told
from rosey_core.host.home import STOP_SECONDS, Home
from rosey_core.host.lane import Lane
from rosey_core.host.ownership import owned_by

H = TypeVar("H", bound=Home)

ALIVE = frozenset(("starting", "waiting", "running", "restarting"))
"""The states in which events are kept for it."""


class Life(Generic[H]):
    """One instance of a plugin, in one channel, or for a shared one in all of its channels.

    Args:
        name: the plugin's name.
        make: makes the home; it is given what parks it.
        log: bound to the plugin's name.
        changed: is called after each change of the state.

    Attributes:
        state: `starting`, `waiting` (starts later), `running`, `restarting` (its process died), `failed`, `parked`
            or `stopped`.
        reason: why it is in that state; empty where that is plain.
        home: the instance; `None` when it could not be made.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[Callable[[str], None]], H],
        *,
        log: FilteringBoundLogger,
        changed: Callable[[], None],
    ) -> None:
        self.name = name
        self.state = "starting"
        self.reason = ""
        self.home: H | None = None
        self._log = log
        self._changed = changed
        self._lanes: list[Lane] = []
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        try:
            self.home = make(self.park)
        except BaseException as error:  # a plugin may raise anything
            self.state, self.reason = "failed", told(error)
            log.exception("plugin.failed", what="making it")

    def lane(self, channel: str) -> Lane | None:
        """A lane to the instance in one more channel. It gathers events until the start is done."""
        if self.home is None:
            return None
        lane = Lane(self.home.deliver_to(channel))
        self._lanes.append(lane)
        return lane

    def start(self) -> None:
        """Start it in a task of its own, so that a slow one holds up nobody."""
        if self.home is not None:
            live = self._live(self.home)
            self._task = asyncio.get_running_loop().create_task(live, name=f"plugin {self.name}")

    async def _live(self, home: H) -> None:
        try:
            await self._begin(home)
            self._become("running")
            self._log.info("plugin.running")
            async with asyncio.TaskGroup() as group:
                for lane in self._lanes:
                    group.create_task(lane.run(), name=f"lane of {self.name}")
        except PluginError as error:
            reason = str(error)
        except Exception as error:
            self._log.exception("plugin.failed", what="its life")
            reason = told(error)
        self._become("failed", reason)
        self._close_lanes()
        await home.tidy()

    async def _begin(self, home: H) -> None:
        """Call `start` until the plugin is ready."""
        while True:
            try:
                await home.start()
            except NotReady as error:
                self._become("waiting", str(error))
                self._log.warning("plugin.not_ready", reason=str(error), retry=error.retry)
                # What the try left behind would run twice after the next.
                await home.tidy()
                await asyncio.sleep(error.retry)
            else:
                return

    def park(self, reason: str) -> None:
        """End it because of `reason`; the end itself goes on beside."""
        if self.state in ALIVE:
            self._log.error("plugin.parked", reason=reason)
            self._end("parked", reason, STOP_SECONDS)

    async def stop(self, seconds: float) -> None:
        """End it, within about `seconds`; a plugin that swallows what cuts it off holds up nobody."""
        if self.state in ALIVE:
            self._end("stopped", "", seconds)
        if self._ending is not None:
            await asyncio.wait((self._ending,), timeout=seconds)

    async def drained(self) -> None:
        """Wait until everything that was put into the lanes has been handled."""
        if self.state == "running":
            await asyncio.gather(*(lane.drained() for lane in self._lanes))

    def _end(self, state: str, reason: str, seconds: float) -> None:
        ran = self.state == "running"
        self._become(state, reason)
        self._close_lanes()
        if self.home is not None:
            self.home.retire()
            with owned_by(None):  # the plugin's own call may be what led here
                end = self._wind_up(self.home, seconds, stop=ran)
                self._ending = asyncio.get_running_loop().create_task(end, name=f"end of {self.name}")

    async def _wind_up(self, home: H, seconds: float, *, stop: bool) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,), timeout=seconds / 3)
        await (home.stop(seconds * 2 / 3) if stop else home.tidy())

    def _close_lanes(self) -> None:
        for lane in self._lanes:
            lane.close()

    def _become(self, state: str, reason: str = "") -> None:
        self.state, self.reason = state, reason
        self._changed()
