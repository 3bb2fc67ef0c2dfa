"""All plugins that run inside the daemon: made, started, asked, stopped.

It owns which plugin is where; how an instance lives is `life`'s. It does not know CyTube nor NATS: channels reach it
as `Port`s, and the bus as a function that publishes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.clock import WallClock
from rosey_core.config import Config, PluginConfig, Secret
from rosey_core.errors import PluginError, Unavailable, told
from rosey_core.eventlog.log import EventLog
from rosey_core.host.budget import Budgets
from rosey_core.host.child import Child, spawn
from rosey_core.host.context import Port
from rosey_core.host.describe import load
from rosey_core.host.durable import DurableLane, present
from rosey_core.host.expected import Expected
from rosey_core.host.home import STOP_SECONDS, Home
from rosey_core.host.inside import Inside
from rosey_core.host.judges import Judge
from rosey_core.host.lane import Lane
from rosey_core.host.life import ALIVE, Life
from rosey_core.host.orders import Orders, secrets_of
from rosey_core.host.outside import Outside
from rosey_core.host.place import Place
from rosey_core.host.registry import Known, enabled_in, environment, settings_of
from rosey_core.host.store import Keep
from rosey_core.host.supervisor import Supervisor
from rosey_core.host.workers import Workers
from rosey_core.manifest import Description

REQUIRED_SECONDS = 0.05
"""Between looks at plugins without which rosey is not ready."""
DRAIN_SECONDS = 2.0
"""How long a plugin that is replaced may work on what it has."""


class House:
    """The plugins of a daemon.

    Args:
        config: says which plugin runs in which channel with which settings.
        state: the state directory; a plugin's own is `plugins/NAME` below it.
        clock: tells the time.
        log: bound for each plugin with its name.
        publish: publishes a plugin's own event: plugin, name, JSON. May raise `PluginError`.
        read_secret: reads what a plugin's settings name.
        eventlog: feeds durable plugins.
        store: does what a plugin wants of the store.
        workers: the front for plugins in processes of their own.

    Attributes:
        places: every plugin that could be imported in every channel where it is on, by plugin and channel.
        failures: why a plugin that was described well could not be imported all the same, by its name.
        changed: is called when a plugin comes or goes.
    """

    def __init__(
        self,
        config: Config,
        state: Path,
        *,
        clock: WallClock,
        log: FilteringBoundLogger,
        publish: Callable[[str, str, bytes], None],
        read_secret: Callable[[Secret], str],
        eventlog: EventLog,
        store: Keep,
        workers: Workers,
    ) -> None:
        self.clock = clock
        self.store = store
        self.places: dict[tuple[str, str], Place] = {}
        self.failures: dict[str, str] = {}
        self.budgets = Budgets()
        self.changed: Callable[[], None] = lambda: None
        self.secret = read_secret
        self._config = config
        self._state = state
        self._log = log
        self._publish = publish
        self._eventlog = eventlog
        self._workers = workers
        self._lives: list[Life[Any]] = []
        self._known: dict[str, Known] = {}

    def load(self, known: Iterable[Known], ports: Mapping[str, Port]) -> None:
        """Make a place for every plugin that is ready, in every channel where it is on. Starts nothing."""
        for plugin in known:
            if plugin.state == "ready" and plugin.description is not None:
                config = self._config.plugins[plugin.name]
                self._known[plugin.name] = plugin
                here = {name: port for name, port in ports.items() if enabled_in(config, name)}
                try:
                    self._load(plugin, plugin.description, config, here)
                except BaseException as error:  # an import may raise anything, and so may a plugin's own settings
                    self.failures[plugin.name] = f"it can't be loaded: {told(error)}"
                    self._log.exception("plugin.broken", plugin=plugin.name)

    def _load(self, known: Known, description: Description, config: PluginConfig, ports: Mapping[str, Port]) -> None:
        grants = frozenset(config.grant) & description.usable
        if known.run != "inside":
            self._place(known, grants, ports, self._outside(known, description, grants, config, ports))
            return
        cls = load(known.name, known.value)
        for group in (ports,) if description.shared else ({name: port} for name, port in ports.items()):
            log = self._log.bind(plugin=known.name)
            if not description.shared:
                log = log.bind(channel=next(iter(group)))
            make = partial(self._inside, cls, config, group, grants, log)
            life = Life(known.name, make, log=log, changed=lambda: self.changed())
            self._place(known, grants, group, life)

    def _place(
        self,
        known: Known,
        grants: frozenset[str],
        channels: Mapping[str, Port],
        life: Life[Any],
    ) -> None:
        self._lives.append(life)
        for name in channels:
            log = self._log.bind(plugin=known.name, channel=name)
            durable = None
            if known.description and known.description.durable:
                durable = partial(self._durable, log, channels[name])
            self.places[known.name, name] = Place(known, name, grants, life, durable, log)

    def _durable(self, log: FilteringBoundLogger, port: Port, home: Home, channel: str) -> DurableLane:
        config = self._config.plugins[home.name]
        reader = self._eventlog.reader(home.name, channel, oldest=config.from_ == "oldest")
        if reader.new:
            reader.new = False
            reader.prelude = present(port, reader.position, self.clock())
        return DurableLane(
            home.name,
            channel,
            home.deliver_to(channel),
            wants=home.wants,
            reader=reader,
            graves=self._eventlog,
            max_tries=config.max_tries,
            clock=self.clock,
            log=log,
        )

    def _outside(
        self,
        known: Known,
        description: Description,
        grants: frozenset[str],
        config: PluginConfig,
        ports: Mapping[str, Port],
    ) -> Life[Any]:
        rooms = {name: (port, settings_of(config, name)) for name, port in ports.items()}
        home = Outside(description, grants, config.settings, rooms, self._workers.ask)
        log = self._log.bind(plugin=known.name)
        start = partial(Supervisor, spawn=partial(self._spawn, known, config, log, home.gone))
        life = (Expected if known.run == "unit" else start)(
            home, reachable=lambda: self._workers.connected, log=log, changed=lambda: self.changed()
        )
        self._workers.know(home, life.park)
        return life

    async def _spawn(
        self, known: Known, config: PluginConfig, log: FilteringBoundLogger, ended: Callable[[], None]
    ) -> Child:
        orders = Orders(
            known.name,
            known.value,
            await self._workers.login(known.name),
            directory=str(self._state / "plugins" / known.name),
            parent=os.getpid(),
            secrets=secrets_of(config, self.secret),
            level=self._config.log.level,
            limits=config.limits,
        )
        command = config.program or (config.python or sys.executable, "-m", "rosey_core.host.worker")
        directory = Path(config.path).parent if config.program else None
        return await spawn(
            command, orders, environ=environment(config.python), directory=directory, log=log, ended=ended
        )

    def _inside(
        self,
        cls: type[Any],
        config: PluginConfig,
        ports: Mapping[str, Port],
        grants: frozenset[str],
        log: FilteringBoundLogger,
        parked: Callable[[str], None],
    ) -> Inside:
        shared, name = cls.manifest.shared, cls.manifest.name
        home = Inside(
            cls,
            config.settings if shared else settings_of(config, next(iter(ports))),
            host=self,
            grants=grants,
            directory=self._state / "plugins" / name,
            budgets=self.budgets,
            log=log,
            parked=parked,
        )
        for channel, port in ports.items():
            home.enter(port, settings_of(config, channel))
        return home

    def start(self) -> None:
        """Start every plugin that was made."""
        for life in self._lives:
            life.start()

    async def required(self) -> None:
        """Wait until every plugin runs that rosey can't do without.

        Raises:
            PluginError: one of them can't run.
        """
        names = {name for name, plugin in self._config.plugins.items() if plugin.required and plugin.enabled}
        while True:
            lives = [life for life in self._lives if life.name in names]
            lost = names - {life.name for life in lives}
            if lost:
                raise PluginError(
                    f"the required plugin {min(lost)} can't run; rosey plugins show {min(lost)} says why"
                )
            for life in lives:
                if life.state in {"failed", "parked"}:
                    raise PluginError(f"the required plugin {life.name} {life.state}: {life.reason}")
            if all(life.state == "running" for life in lives):
                return
            await asyncio.sleep(REQUIRED_SECONDS)

    async def replace(
        self, config: Config, known: Iterable[Known], ports: Mapping[str, Port], names: Collection[str]
    ) -> None:
        """End these plugins, and start what the configuration has of them now; others notice nothing.

        What happens meanwhile is kept for the new ones: none of it is lost, and none heard twice.
        """
        old = [life for life in self._lives if life.name in names]
        self._config = config
        self._lives = [life for life in self._lives if life.name not in names]
        self._known = {name: plugin for name, plugin in self._known.items() if name not in names}
        self.places = {key: place for key, place in self.places.items() if place.name not in names}
        self.failures = {name: why for name, why in self.failures.items() if name not in names}
        others = set(self._lives)
        self.load((plugin for plugin in known if plugin.name in names), ports)
        self.changed()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await asyncio.gather(*(life.drained() for life in old))
        await asyncio.gather(*(life.stop(STOP_SECONDS) for life in old))
        for life in self._lives:
            if life not in others:
                life.start()
        self.changed()
        await self._eventlog.retain(config.plugins)

    def lives(self) -> list[tuple[Known, list[Life[Any]]]]:
        """Every plugin that is on, with its instances."""
        return [(known, [life for life in self._lives if life.name == name]) for name, known in self._known.items()]

    async def forget(self, user: str, seconds: float) -> None:
        """Let no lane hold anything of a user."""
        lanes = [place.lane for place in self.places.values() if place.lane is not None]
        await asyncio.gather(*(lane.forget(user, seconds) for lane in lanes))

    def park(self, name: str) -> int:
        """Stop a plugin until somebody releases it; in how many places it was."""
        lives = [life for life in self._lives if life.name == name and life.state in ALIVE]
        for life in lives:
            life.park("parked by hand; rosey plugins release starts it again")
        return len(lives)

    async def stop(self, seconds: float) -> None:
        """Let the lanes run dry, then end every plugin; all within `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds / 2):
                await asyncio.gather(*(life.drained() for life in self._lives))
        await asyncio.gather(*(life.stop(seconds / 2) for life in self._lives))

    def lanes(self, channel: str, event_type: str) -> tuple[Lane, ...]:
        """The lanes that an event of this type goes to."""
        # A durable one reads the event log by itself.
        return tuple(
            place.lane
            for (_, name), place in self.places.items()
            if name == channel
            and isinstance(place.lane, Lane)
            and place.life.state in ALIVE
            and place.life.home is not None
            and place.life.home.wants(event_type)
        )

    def places_of(self, plugin: str) -> list[Place]:
        """Where a plugin is."""
        return [place for place in self.places.values() if place.name == plugin]

    def judges(self, channel: str) -> tuple[Judge, ...]:
        """A channel's judges that run: first those that the owner ordered, then the rest by name."""
        ranked = {name: number for number, name in enumerate(self._config.order)}
        found = [
            place.judge
            for (_, name), place in self.places.items()
            if name == channel and place.judge is not None and place.running is not None
        ]
        return tuple(sorted(found, key=lambda judge: (ranked.get(judge.name, len(ranked)), judge.name)))

    async def query(self, plugin: str, name: str, channel: str, args: Mapping[str, Any]) -> Any:
        """Ask a plugin's query.

        Raises:
            Unavailable: if it does not run (in that channel, if it has an instance for each) or took over 2 s.
            PluginError: if there is no such query, or it failed.
        """
        place = self.places.get((plugin, channel))
        if place is None or (home := place.running) is None:
            state = place.life.state if place else "not enabled"
            raise Unavailable(f"{plugin} {'has failed' if state == 'failed' else f'is {state}'} in {channel}")
        return await home.query(channel, name, args)

    def publish(self, plugin: str, name: str, data: Any) -> None:
        """Publish a plugin's own event."""
        self._publish(plugin, name, msgspec.json.encode(data))
