"""All plugins that run inside the daemon: made, started, asked, stopped.

It owns which plugin is where; how an instance lives is `life`'s. It does not know CyTube nor NATS: channels reach it
as `Port`s, and the bus as a function that publishes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.clock import WallClock
from rosey_core.config import Config, Secret
from rosey_core.errors import PluginError, Unavailable, told
from rosey_core.grants import grant_to_read
from rosey_core.host.budget import Budgets
from rosey_core.host.context import Context, Port
from rosey_core.host.describe import load
from rosey_core.host.dispatch import Counts, Inside
from rosey_core.host.judges import STRIKES, Judge
from rosey_core.host.lane import Lane
from rosey_core.host.life import Life
from rosey_core.host.queries import Query, queries_of
from rosey_core.host.registry import Known, enabled_in, settings_of
from rosey_core.manifest import COMMAND, Manifest, marked

QUERY_SECONDS = 2.0


class Place:
    """One plugin in one channel: where its events go, and how it is asked there."""

    def __init__(self, known: Known, port: Port, life: Life) -> None:
        self.known = known
        self.name = known.name
        self.port = port
        self.life = life
        self.grants = frozenset[str]()
        self.lane: Lane | None = None
        self.commands: dict[str, Callable[..., Any]] = {}
        self.queries: dict[str, Query] = {}
        self.judge: Judge | None = None
        self.context: Callable[..., Context] = Context

    @property
    def running(self) -> Inside | None:
        """The instance, while it takes questions."""
        return self.life.inside if self.life.state == "running" else None

    def status(self) -> dict[str, Any]:
        """The place as `rosey status` shows it."""
        reason = self.life.reason
        if self.judge is not None and (seconds := self.judge.rest(asyncio.get_running_loop().time())):
            reason = f"as a judge it was late {STRIKES} times and is not asked for {seconds:.0f} s"
        counts = self.life.inside.counts if self.life.inside else Counts()
        return {
            "channel": self.port.name,
            "run": "inside",
            "state": self.life.state,
            "reason": reason,
            "waiting": len(self.lane) if self.lane is not None else 0,
            "dropped": self.lane.dropped if self.lane is not None else 0,
            **msgspec.structs.asdict(counts),
        }


class House:
    """The plugins of a daemon.

    Args:
        config: says which plugin runs in which channel with which settings.
        state: the state directory; a plugin's own is `plugins/NAME` below it.
        clock: tells the time.
        log: bound for each plugin with its name.
        publish: publishes a plugin's own event: plugin, name, JSON. May raise `PluginError`.
        read_secret: reads what a plugin's settings name.

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
    ) -> None:
        self.clock = clock
        self.places: dict[tuple[str, str], Place] = {}
        self.failures: dict[str, str] = {}
        self.budgets = Budgets()
        self.changed: Callable[[], None] = lambda: None
        self.secret = read_secret
        self._config = config
        self._state = state
        self._log = log
        self._publish = publish
        self._lives: dict[tuple[str, str], Life] = {}

    def load(self, known: Iterable[Known], ports: Mapping[str, Port]) -> None:
        """Make a place for every plugin that is ready, in every channel where it is on. Imports, starts nothing."""
        for plugin in known:
            if plugin.state != "ready":
                continue
            try:
                cls = load(plugin.name, plugin.value)
                for channel, port in ports.items():
                    if enabled_in(self._config.plugins[plugin.name], channel):
                        self.places[plugin.name, channel] = self._place(plugin, cls, port)
            except BaseException as error:  # an import may raise anything, and so may a plugin's own settings
                self.failures[plugin.name] = f"it can't be loaded: {told(error)}"
                self._log.exception("plugin.broken", plugin=plugin.name)

    def _place(self, known: Known, cls: type[Any], port: Port) -> Place:
        manifest: Manifest = cls.manifest
        config = self._config.plugins[known.name]
        log = self._log.bind(plugin=known.name, channel=port.name)
        typed = partial(msgspec.convert, type=manifest.settings)
        own = settings_of(config, port.name)
        key = (known.name, "" if manifest.shared else port.name)
        if key not in self._lives:
            self._lives[key] = Life(
                known.name,
                lambda: cls(typed(config.settings if manifest.shared else own)),
                budgets=self.budgets,
                log=self._log.bind(plugin=known.name) if manifest.shared else log,
                changed=lambda: self.changed(),
            )
        life = self._lives[key]
        place = Place(known, port, life)
        if (inside := life.inside) is None:
            return place
        place.grants = frozenset(config.grant) & frozenset(manifest.asks)
        place.context = partial(
            Context,
            port,
            self,
            plugin=known.name,
            grants=place.grants,
            settings=typed(own),
            directory=self._state / "plugins" / known.name,
            log=log,
            spawn=inside.owner.spawn,
        )
        place.commands = {spec.name: getattr(inside.plugin, name) for name, spec in marked(cls, COMMAND).items()}
        place.queries = queries_of(inside.plugin)
        place.lane = life.lane(place.context())
        if "judge" in inside.hooks and "judge" in place.grants:
            place.judge = Judge(inside, place.context, log)
        return place

    def start(self) -> None:
        """Start every plugin that was made."""
        for life in self._lives.values():
            life.start()

    async def stop(self, seconds: float) -> None:
        """Let the lanes run dry, then end every plugin; all within `seconds`."""
        lives = self._lives.values()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds / 2):
                await asyncio.gather(*(life.drained() for life in lives))
        await asyncio.gather(*(life.stop(seconds / 2) for life in lives))

    def lanes(self, channel: str, event_type: str) -> tuple[Lane, ...]:
        """The lanes that an event of this type goes to."""
        needed = grant_to_read(event_type)
        return tuple(
            place.lane
            for (_, name), place in self.places.items()
            if name == channel
            and place.lane is not None
            and place.life.inside is not None
            and place.life.state in {"starting", "waiting", "running"}
            and (not needed or needed in place.grants)
            and place.life.inside.wants(event_type)
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
        if place is None or (inside := place.running) is None:
            state = place.life.state if place else "not enabled"
            raise Unavailable(f"{plugin} is {state} in {channel}")
        query = place.queries.get(name)
        if query is None:
            raise PluginError(f"{plugin} has no query {name}; it has {', '.join(place.queries) or 'none'}")
        arguments = query.arguments(args)
        ctx = place.context()
        return await inside.ask(f"query {name}", lambda: query.function(ctx, **arguments), seconds=QUERY_SECONDS)

    def publish(self, plugin: str, name: str, data: Any) -> None:
        """Publish a plugin's own event."""
        self._publish(plugin, name, msgspec.json.encode(data))
