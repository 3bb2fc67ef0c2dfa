"""One plugin in one channel, as the rest of the daemon finds it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.host.durable import DurableLane
from rosey_core.host.home import Counts, Home
from rosey_core.host.judges import Judge
from rosey_core.host.life import Durable, Life
from rosey_core.host.registry import Known


class Place:
    """One plugin in one channel: where its events go, and how it is asked there."""

    def __init__(
        self,
        known: Known,
        channel: str,
        grants: frozenset[str],
        life: Life[Any],
        durable: Durable | None,
        log: FilteringBoundLogger,
    ) -> None:
        self.name = known.name
        self.run = known.run
        self.channel = channel
        self.grants = grants
        self.life = life
        self.lane = life.lane(channel) if durable is None else life.durable_lane(channel, durable)
        self.judge: Judge | None = None
        hooks = known.description.hooks if known.description else ()
        if life.home is not None and "judge" in hooks and "judge" in grants:
            self.judge = Judge(self.name, life.home, log)

    @property
    def running(self) -> Home | None:
        """The instance, while it takes questions."""
        return self.life.home if self.life.state == "running" else None

    def status(self) -> dict[str, Any]:
        """The place as `rosey status` shows it."""
        reason = self.life.reason
        if isinstance(self.lane, DurableLane) and not reason:
            letters = f"gave up at {self.lane.buried} events: rosey plugins dead {self.name}"
            reason = self.lane.reason or (letters if self.lane.buried else "")
        if self.judge is not None and (seconds := self.judge.rest(asyncio.get_running_loop().time())):
            reason = (
                f"as a judge it was late (times in a row: {self.judge.late}) and is not asked for {seconds:.0f} s"
            )
        counts = self.life.home.counts if self.life.home else Counts()
        return {
            "channel": self.channel,
            "run": self.run,
            "state": self.life.state,
            "reason": reason,
            "waiting": len(self.lane) if self.lane is not None else 0,
            "dropped": self.lane.dropped if self.lane is not None else 0,
            "log": self.life.tail if self.life.state in {"parked", "failed", "restarting"} else [],
            **msgspec.structs.asdict(counts),
        }
