"""The life of a plugin whose process somebody else starts: a unit of systemd's, here or on another machine.

The daemon waits for its hello, and after each silence again; it can neither start nor end the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from rosey_core.host.child import Child
from rosey_core.host.outside import Outside, Session
from rosey_core.host.supervisor import Supervisor

ENDED = frozenset(("parked", "failed"))
"""The states in which a hello is refused: nothing would come of it."""


class Expected(Supervisor):
    """A worker's life, without its process.

    Args:
        home: its end here.
        reachable, log, changed: as for every worker's life.
    """

    def __init__(
        self,
        home: Outside,
        *,
        reachable: Callable[[], bool],
        log: FilteringBoundLogger,
        changed: Callable[[], None],
    ) -> None:
        super().__init__(home, _nobody, reachable=reachable, log=log, changed=changed)
        ways = f"systemctl start rosey-plugin@{home.name}, or rosey plugins run {home.name}"
        self._missing = f"its unit has not said hello yet: {ways}"
        self._met: Session | None = None

    async def _once(self, home: Outside) -> str:
        self._become("waiting", self._missing)
        await home.arrival(asyncio.Event())
        session = self._met = home.session
        if session is None:  # it was heard, and is gone already
            return self._missing
        await self._begin(home)
        self._become("running")
        self._log.info("plugin.running", pid=session.pid)
        reason = await self._watch(home, session)
        self._missing = f"{reason}: systemctl status rosey-plugin@{self.name}"
        return reason

    async def _end_child(self, home: Outside) -> None:
        if home.session is self._met:  # else the next one is here already
            home.gone()

    def _become(self, state: str, reason: str = "") -> None:
        if self.home is not None:
            self.home.refusal = f"is {state}: {reason}" if state in ENDED else ""
        super()._become(state, reason)


async def _nobody() -> Child:
    """Nobody is started here."""
    raise NotImplementedError
