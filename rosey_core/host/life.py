"""The life of one plugin instance: made, started, its lanes run, ended. It owns the instance's state.

Every end goes one way: the lanes stop, what a hook still does is waited for, `stop` is called, the plugin's tasks
are cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from structlog.typing import FilteringBoundLogger

from rosey_core.errors import NotReady, PluginError, Unavailable, told
from rosey_core.host.dispatch import taken_back
from rosey_core.host.durable import DurableLane
from rosey_core.host.home import STOP_SECONDS, Home
from rosey_core.host.lane import Lane
from rosey_core.host.ownership import owned_by

H = TypeVar("H", bound=Home)

Durable = Callable[[Home, str], DurableLane]
"""Makes the lane of a durable plugin: its home, the channel."""

AGAIN = 0.1
"""Seconds, at least, before anything is tried again."""
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
        self._lanes: list[Lane | DurableLane] = []
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._over = False
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

    def durable_lane(self, channel: str, make: Durable) -> DurableLane | None:
        """The same for a durable plugin: nothing is gathered, for all is in the event log."""
        if self.home is None:
            return None
        lane = make(self.home, channel)
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
        except Exception as error:
            reason = str(error) if type(error) in {PluginError, Unavailable} else told(error)
            self._log.error("plugin.failed", what="start", reason=reason, exc_info=error)
            self._become("failed", reason)
            self._close_lanes()
            await home.tidy(final=True)
            return
        self._become("running")
        self._log.info("plugin.running")
        await self._run_lanes()

    async def _run_lanes(self) -> None:
        """Run the lanes until this is cancelled, and wait for what each does just then."""
        lanes = [asyncio.create_task(self._run(lane), name=f"lane of {self.name}") for lane in self._lanes]
        try:
            await asyncio.wait(lanes)
        finally:
            self._over = True
            for lane in lanes:
                lane.cancel()
            await asyncio.wait(lanes)

    async def _run(self, lane: Lane | DurableLane) -> None:
        """Run a lane; only its end ends it, and not the plugin that happens to know its task."""
        while True:
            try:
                await lane.run()
            except asyncio.CancelledError:
                if self.state in ALIVE and not self._over:
                    await taken_back()
                if self._over or self.state not in ALIVE:  # it may have ended meanwhile
                    raise
                self._log.error("plugin.failed", what="it cancelled its own lane")
            except Exception:
                self._log.exception("lane.failed")
                await asyncio.sleep(AGAIN)

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
                await asyncio.sleep(max(error.retry, AGAIN))
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

    @property
    def tail(self) -> list[str]:
        """The last lines that its process printed; none where it has no process of its own."""
        return []

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
        await (home.stop(seconds * 2 / 3) if stop else home.tidy(final=True))

    def _close_lanes(self) -> None:
        for lane in self._lanes:
            lane.close()

    def _become(self, state: str, reason: str = "") -> None:
        self.state, self.reason = state, reason
        self._changed()
