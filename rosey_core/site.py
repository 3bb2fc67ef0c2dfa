"""One channel, wired: session, sender, pipeline, desk. It owns no behaviour but starting, watching and stopping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from structlog.typing import FilteringBoundLogger

from rosey_core.channel.channel import Channel
from rosey_core.clock import WallClock
from rosey_core.config import ChannelConfig
from rosey_core.cytube.gate import ConnectGate
from rosey_core.cytube.sender import Sender
from rosey_core.cytube.session import Secrets, Session
from rosey_core.eventlog.log import EventLog
from rosey_core.events import ConnectionLost, StatsStatus
from rosey_core.host.commands import Command
from rosey_core.host.desk import Control, Desk
from rosey_core.host.house import House
from rosey_core.pipeline import Pipeline, Publish
from rosey_core.sequence import Sequence

STATUS_EVERY = 60.0


class Site:
    """A channel of the daemon.

    Args:
        name: its name in rosey.toml.
        config: its settings.
        secrets: what was read for it.
        state: the state directory.
        gate: lets connections to its server through.
        publish: puts events on the bus.
        eventlog: keeps what happens.
        clock: tells the time.
        log: bound to the channel's name.
    """

    def __init__(
        self,
        name: str,
        config: ChannelConfig,
        secrets: Secrets,
        *,
        state: Path,
        gate: ConnectGate,
        publish: Publish,
        eventlog: EventLog,
        clock: WallClock,
        log: FilteringBoundLogger,
    ) -> None:
        self.name = name
        self._config = config
        self._log = log
        self._began = time.monotonic()
        self._desk: Desk | None = None
        self._sequence = Sequence(state / "seq" / name, above=eventlog.head(name))
        channel = Channel()
        self.session = Session(
            name, config, secrets, hear=lambda drafts: self.pipeline.hear(drafts), gate=gate, log=log
        )
        self.sender = Sender(self.session.emit, channel)
        self.pipeline = Pipeline(
            name,
            prefix=config.prefix,
            state=channel,
            sender=self.sender,
            publish=publish,
            eventlog=eventlog,
            sequence=self._sequence,
            clock=clock,
            log=log,
        )

    def furnish(self, house: House, *, rows: Mapping[str, Command], on_silence: str, control: Control) -> None:
        """Connect the plugins, and the desk with its table of commands."""
        self._desk = Desk(
            self.pipeline,
            house,
            prefix=self._config.prefix,
            rows=rows,
            control=control,
            control_rank=self._config.plugin_rank,
            log=self._log,
        )
        self.pipeline.house = house
        self.pipeline.on_silence = on_silence
        self.pipeline.on_line = self._desk.line
        self.pipeline.look_again()

    def change(self, *, rows: Mapping[str, Command], on_silence: str) -> None:
        """Another table of commands, and another answer to judges that say nothing."""
        if self._desk is not None:
            self._desk.rows = rows
        self.pipeline.on_silence = on_silence

    async def tell_status(self) -> None:
        """Tell `stats.status` once a minute until cancelled."""
        while True:
            await asyncio.sleep(STATUS_EVERY)
            counts = self.sender.counts()
            self.pipeline.tell(
                StatsStatus(
                    uptime=round(time.monotonic() - self._began, 1),
                    joined=self.session.state == "joined",
                    events=self.pipeline.events,
                    dropped=counts.get("dropped", 0),
                )
            )

    async def drain(self, seconds: float) -> None:
        """Let questions be answered and lines be sent, within `seconds`."""
        end = time.monotonic() + seconds
        if self._desk is not None:
            try:
                async with asyncio.timeout(seconds / 2):
                    await self._desk.drained()
            except TimeoutError:
                self._log.warning("command.cut_off")
        await self.sender.drain(max(0.05, end - time.monotonic()))

    def leave(self) -> None:
        """Tell that the bot is gone: so that a stop is no kill to who reads the event log later."""
        if self.session.state == "joined":
            self.pipeline.tell(ConnectionLost("rosey stops"))

    def status(self) -> dict[str, Any]:
        """The channel as `rosey status` shows it."""
        state = self.pipeline.state
        return {
            "state": self.session.state,
            "reason": self.session.reason,
            "server": self._config.server,
            "room": self._config.room,
            "name": self.session.me,
            "rank": state.my_rank,
            "users": len(state.users),
            "connected": state.connected,
            "playing": state.media.title if state.media else "",
            "playlist": len(state.playlist),
            "events": self.pipeline.events,
            "failures": self.pipeline.failures,
            "undecodable": self.session.translator.undecodable,
            "fault": self._sequence.fault,
            "silenced": self.pipeline.silenced(),
            "actions": self.sender.counts(),
        }
