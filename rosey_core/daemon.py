"""The daemon: builds everything, wires it, starts it in the right order, and stops it.

Start: nats-server first (it is ready when our imports are done), then plugins are described, the control socket
listens, the bus connects, plugins start, and the sessions run. Ready means that all of this happened, not that
CyTube answered: a site that is down must not fail a boot.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from rosey_core import __version__, log, subjects
from rosey_core.bus.broker import Broker
from rosey_core.bus.bus import Bus
from rosey_core.bus.stream import Stream
from rosey_core.clock import wall
from rosey_core.config import ChannelConfig, Loaded, Secret
from rosey_core.control import Control
from rosey_core.cytube.gate import ConnectGate
from rosey_core.cytube.proxy import read as read_proxy
from rosey_core.cytube.session import Secrets
from rosey_core.envelope import encode, gap_event
from rosey_core.errors import ConfigError, RoseyError
from rosey_core.eventlog.log import EventLog
from rosey_core.eventlog.sqlite import SqliteLog
from rosey_core.events import CoreGap
from rosey_core.host import own_events
from rosey_core.host.check import commands_of
from rosey_core.host.dispatch import taken_back
from rosey_core.host.house import House
from rosey_core.host.ownership import exception_handler, task_factory
from rosey_core.host.registry import Known
from rosey_core.host.workers import Workers
from rosey_core.letters import Letters
from rosey_core.logins import Logins
from rosey_core.pipeline import PLATFORM, Pipeline
from rosey_core.preflight import preflight
from rosey_core.privacy import Privacy
from rosey_core.reload import Running
from rosey_core.requests import Requests
from rosey_core.service import LoopWatch, calm_gc, keep_told, notify, status_line, watchdog
from rosey_core.settings.secret import read_secret
from rosey_core.site import Site
from rosey_core.storage.storage import Storage
from rosey_core.verbs import Verbs

STOP_SECONDS = 4.0
RESTART = 5.0


class Daemon:
    """A whole rosey.

    Args:
        loaded: a configuration that passed its checks.
        again: reads it again; raises `ConfigError`.
    """

    def __init__(self, loaded: Loaded, again: Callable[[], Loaded]) -> None:
        self._loaded = loaded
        self._config = loaded.config
        self._log = log.get("rosey")
        self._began = time.monotonic()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._broker: Broker | None = None
        self._sites: dict[str, Site] = {}
        self._pipelines: dict[str, Pipeline] = {}
        self._logins = Logins(loaded, self._read_secret)
        self._bus = Bus(self._logins.own, name="core", gap=_gap, log=self._log.bind(part="bus"))
        self._stream = Stream(self._bus, self._config, self._log.bind(part="nats"))
        kept = SqliteLog(loaded.state / "events.db")
        noted = self._log.bind(part="event log")
        self._eventlog = EventLog(kept, self._config.eventlog, clock=wall, log=noted)
        self._storage = Storage(loaded.state / "store.db", clock=wall, log=self._log)
        self._workers = Workers(
            self._bus, self._pipelines, self._ask_plugin, self._storage.do, self._logins.worker, self._log
        )
        self._house = House(
            self._config,
            loaded.state,
            clock=wall,
            log=self._log,
            publish=partial(own_events.publish, self._bus),
            read_secret=self._read_secret,
            eventlog=self._eventlog,
            store=self._storage.do,
            workers=self._workers,
        )
        self._requests = Requests(
            self._pipelines, self._config.first_channel, self._house, self._bus.answer, self._log
        )
        self._running = Running(
            loaded,
            again,
            house=self._house,
            logins=self._logins,
            sites=self._sites,
            listen=self._answer_queries,
            log=self._log,
        )
        letters, privacy = Letters(self._house, self._eventlog), Privacy(self._house, self._eventlog, self._storage)
        more = {**letters.table, **privacy.table}
        self._verbs = Verbs(self._running, self._house, more, self._tell, self._stream.look)
        self._watch = LoopWatch(self._log)
        self._ready_after = 0.0
        self._ending = False

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; a second one ends the process at once.

        Raises:
            ConfigError: for what can only be found at the start: what `preflight` tells, a plugin's settings, two
                commands of one name.
            RoseyError: when it can't run: another daemon.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Not the loop's own way: this one works also while a plugin holds up the loop.
            signal.signal(number, partial(self._signalled, loop))
        # Who closes the terminal in which it runs wants its end.
        loop.add_signal_handler(signal.SIGHUP, self._stop.set if _on_terminal() else self._hang_up)
        loop.set_task_factory(task_factory)
        loop.set_exception_handler(exception_handler)
        if faults := preflight(self._loaded, start=True)[0]:
            raise ConfigError("\n".join(faults))
        secrets = {name: self._secrets(channel) for name, channel in self._config.channels.items()}
        control = self._control = Control(self._loaded.state, self._verbs.table, self._log)
        await control.start()
        try:
            # Not before the state directory is ours: another daemon of it has its nats-server in it.
            starting = loop.create_task(self._start(secrets), name="start")
            stopping = loop.create_task(self._stop.wait(), name="stop")
            await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                await stopping
            starting.cancel()
            await asyncio.wait((starting,), timeout=1.0)
        finally:
            await self._shut_down()
            if self._broker is not None:
                await self._broker.stop()
            control.release()

    def _signalled(self, loop: asyncio.AbstractEventLoop, number: int, _: FrameType | None) -> None:
        if self._stop.is_set():
            os._exit(128 + number)
        self._stop.set()
        loop.call_soon_threadsafe(lambda: None)  # so that it wakes up and sees it

    async def _start(self, secrets: dict[str, Secrets]) -> None:
        config, state = self._config, self._loaded.state
        self._broker = self._logins.start(self._log.bind(part="nats"))
        self._keep("loop watch", self._watch.run)
        self._keep("watchdog", watchdog)
        if self._broker is not None:
            self._broker.refused = self._workers.refused
        opening = asyncio.create_task(self._eventlog.open(), name="event log")
        known = self._running.known = await self._running.look(self._loaded)
        await opening
        await self._eventlog.retain(config.plugins)
        self._keep("event log", self._eventlog.run)
        bus, house = self._bus, self._house
        gates: dict[str, ConnectGate] = {}
        for name, channel in config.channels.items():
            host = urlsplit(channel.server).netloc
            self._sites[name] = Site(
                name,
                channel,
                secrets[name],
                state=state,
                gate=gates.setdefault(host, ConnectGate()),
                publish=bus.publish,
                eventlog=self._eventlog,
                clock=wall,
                log=self._log.bind(channel=name),
            )
        self._pipelines.update((name, site.pipeline) for name, site in self._sites.items())
        house.load(known.values(), self._pipelines)
        for name, site in self._sites.items():
            rows, _ = commands_of(config, known.values(), name)
            site.furnish(house, rows=rows, on_silence=config.on_silence, control=self._verbs.chat)
        house.changed = self._look_again
        await self._listen()
        self._keep("stream", self._stream.run)
        await bus.start()
        self._keep("budgets", house.budgets.run)
        self._keep("store", self._storage.run)
        house.start()
        for name, site in self._sites.items():
            self._keep(f"sender {name}", site.sender.run)
            self._keep(f"status {name}", site.tell_status)
            self._keep(f"session {name}", site.session.run)
        self._report()
        await house.required()
        calm_gc()
        self._ready_after = time.monotonic() - self._began
        notify(f"READY=1\nSTATUS={self._line()}")
        self._keep("systemd's status", partial(keep_told, self._line))
        self._log.info("ready", version=__version__, seconds=round(self._ready_after, 3))

    # --- starting ---

    def _secrets(self, channel: ChannelConfig) -> Secrets:
        proxy = channel.proxy if isinstance(channel.proxy, str) else self._read_secret(channel.proxy)
        if (through := read_proxy(proxy)) is not None:  # what is no address is told now, not when it is needed
            log.add_secret(through.password)
        return Secrets(
            password=self._read_secret(channel.password),
            room_password=self._read_secret(channel.room_password),
            proxy=proxy,
        )

    def _read_secret(self, secret: Secret | None) -> str:
        """Read a secret; from now on no log line holds it."""
        value = read_secret(secret, self._loaded)
        log.add_secret(value)
        return value

    async def _ask_plugin(self, plugin: str, name: str, channel: str, args: Mapping[str, Any]) -> Any:
        return await self._house.query(plugin, name, channel, args)

    def _look_again(self) -> None:
        for pipeline in self._pipelines.values():
            pipeline.look_again()

    async def _listen(self) -> None:
        await self._workers.listen()
        await self._bus.subscribe(subjects.commands_all(), self._requests.action)
        await self._answer_queries(self._running.known)

    async def _answer_queries(self, plugins: Mapping[str, Known]) -> None:
        """Listen to the queries of these plugins, beside those of before: who is gone is told to be."""
        for known in plugins.values():
            if known.state != "ready" or known.description is None:
                continue
            for name in known.description.queries:
                take = partial(_take_query, self._requests, known.name, name)
                for subject in subjects.plugin_query(known.name, name):
                    await self._bus.subscribe(subject, take)

    def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run a part of the daemon; when it fails it is logged and begun again. None of them takes others along."""

        async def kept() -> None:
            while True:
                try:
                    await work()
                    return
                except asyncio.CancelledError:
                    if self._stop.is_set() or self._ending:
                        raise
                    await taken_back()  # a plugin that cancels all tasks there are
                    self._log.error("part.cancelled", part=name)
                except Exception:
                    self._log.exception("part.failed", part=name, again_in=RESTART)
                    await asyncio.sleep(RESTART)

        self._spawn(kept(), name)

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _report(self) -> None:
        for known in self._running.known.values():
            if known.state in {"broken", "held", "missing"}:
                self._log.error(f"plugin.{known.state}", plugin=known.name, reason=known.reason)

    # --- stopping ---

    async def _shut_down(self) -> None:
        """End what runs, in the order in which things flow, within five seconds."""
        self._ending = True
        asked = self._stop.is_set()  # else it could not start, and its error says all
        if asked:
            notify("STOPPING=1")
            self._log.info("stopping")
        began = time.monotonic()
        await self._control.stop()
        for site in self._sites.values():
            site.pipeline.on_line = lambda _: None
        if self._ready_after:
            await asyncio.gather(*(site.drain(STOP_SECONDS * 0.4) for site in self._sites.values()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await self._requests.drained()
        await self._house.stop(STOP_SECONDS * 0.3)
        for site in self._sites.values():
            site.leave()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=1.0)
        await self._eventlog.close()
        await self._bus.close(max(0.1, STOP_SECONDS - 0.5 - (time.monotonic() - began)))
        if asked:
            self._log.info("stopped", seconds=round(time.monotonic() - began, 2))

    # --- being asked ---

    def _line(self) -> str:
        sessions = {name: site.session for name, site in self._sites.items()}
        states = {name: (session.state, session.reason) for name, session in sessions.items()}
        return status_line(states, self._eventlog.fault, self._storage.fault)

    def _hang_up(self) -> None:
        self._spawn(self._reload(), "reload")

    async def _reload(self) -> None:
        try:
            await self._running.reload()
        except RoseyError as error:
            self._log.error("reload.refused", reason=str(error))

    def _tell(self) -> dict[str, Any]:
        """What the daemon itself says of how it is."""
        return {
            "ready_after": round(self._ready_after, 3),
            "uptime": round(time.monotonic() - self._began, 1),
            "nats": {
                "mode": self._config.nats.mode,
                "url": self._broker.url if self._broker else self._config.nats.url,
                "connected": self._bus.connected,
                "reason": self._bus.reason,
                "starts": self._broker.starts if self._broker else 0,
                **self._bus.counts(),
                "stream": self._stream.status(),
            },
            "loop": {
                "lag_ms": round(self._watch.lag * 1000, 1),
                "blocked": self._watch.times,
                "longest": round(self._watch.longest[0], 2),
                "place": self._watch.longest[1],
            },
            "eventlog": self._eventlog.status(),
            "store": {"fault": self._storage.fault},
            "channels": {name: site.status() for name, site in self._sites.items()},
        }


def _on_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _take_query(requests: Requests, plugin: str, name: str, _: str, payload: bytes, reply: str) -> None:
    requests.query(plugin, name, payload, reply)


def _gap(channel: str, count: int, first: int, last: int, certain: bool) -> tuple[str, bytes]:  # noqa: FBT001  the bus calls it by position
    """What the bus publishes where events of a channel were lost on the way to it."""
    gap = CoreGap(count=count, first=first, last=last, where="nats", certain=certain)
    return subjects.platform_event(channel, "core.gap"), encode(gap_event(channel, gap, wall(), PLATFORM))
