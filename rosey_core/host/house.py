"""All plugins that run inside the daemon: made, started, asked, stopped.

It owns the instances and their lanes. It does not know CyTube nor NATS: channels reach it as `Port`s, and the bus
as a function that publishes.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.clock import WallClock
from rosey_core.config import Config, Secret
from rosey_core.errors import NotReady, PluginError, Unavailable
from rosey_core.grants import grant_to_read
from rosey_core.host.budget import Budgets
from rosey_core.host.context import Context, Port
from rosey_core.host.describe import load
from rosey_core.host.dispatch import Inside
from rosey_core.host.lane import Lane
from rosey_core.host.queries import Query, queries_of
from rosey_core.host.registry import Known, enabled_in, settings_of
from rosey_core.manifest import COMMAND, Settings

START_SECONDS = 30.0
STOP_SECONDS = 5.0
QUERY_SECONDS = 2.0


class Place:
    """One plugin in one channel: where its events go, and how it is asked there.

    `inside` and `commands` are there once the plugin has started; before that its lane gathers events.
    """

    def __init__(self, known: Known, port: Port, grants: frozenset[str]) -> None:
        self.known = known
        self.name = known.name
        self.port = port
        self.grants = grants
        self.state = "starting"
        self.reason = ""
        self.inside: Inside | None = None
        self.lane: Lane | None = None
        self.task: asyncio.Task[None] | None = None
        self.settings: Settings = Settings()
        self.commands: dict[str, Callable[..., Any]] = {}
        self.queries: dict[str, Query] = {}
        self.context: Callable[..., Context] = Context


class House:
    """The plugins of a daemon.

    Args:
        config: says which plugin runs in which channel with which settings.
        state: the state directory; a plugin's own is `plugins/NAME` below it.
        clock: tells the time.
        log: bound for each plugin with its name.
        publish: publishes a plugin's own event: plugin, name, JSON.
        read_secret: reads what a plugin's settings name.
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
        self.budgets = Budgets()
        self.changed: Callable[[], None] = lambda: None
        self._config = config
        self._state = state
        self._log = log
        self._publish = publish
        self.secret = read_secret
        self._shared: dict[str, Inside] = {}
        self._failed: dict[str, str] = {}

    def load(self, known: Iterable[Known], ports: Mapping[str, Port]) -> None:
        """Make a place for every plugin that is ready, in every channel where it is on. Imports, starts nothing."""
        for plugin in known:
            if plugin.state != "ready":
                continue
            config = self._config.plugins[plugin.name]
            grants = frozenset(config.grant) & frozenset(plugin.description.asks if plugin.description else ())
            try:
                cls = load(plugin.name, plugin.value)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                self._failed[plugin.name] = f"it can't be imported: {error!r}"
                self._log.exception("plugin.broken", plugin=plugin.name)
                continue
            for channel, port in ports.items():
                if enabled_in(config, channel):
                    place = Place(plugin, port, grants)
                    self.places[plugin.name, channel] = place
                    self._make(place, cls)
        self.changed()

    def _make(self, place: Place, cls: type[Any]) -> None:
        config = self._config.plugins[place.name]
        kind = cls.manifest.settings
        log = self._log.bind(plugin=place.name, channel=place.port.name)
        try:
            place.settings = msgspec.convert(settings_of(config, place.port.name), kind)
            inside = self._shared.get(place.name)
            if inside is None:
                general = msgspec.convert(config.settings, kind) if cls.manifest.shared else place.settings
                inside = Inside(
                    cls(general),
                    place.name,
                    budgets=self.budgets,
                    log=self._log.bind(plugin=place.name) if cls.manifest.shared else log,
                    parked=partial(self.park, place.name, None if cls.manifest.shared else place.port.name),
                )
                if cls.manifest.shared:
                    self._shared[place.name] = inside
            self._furnish(place, inside, log)
        except (Exception, SystemExit) as error:
            place.state, place.reason = "failed", f"{type(error).__name__}: {error}"
            log.exception("plugin.failed", what="making it")

    def _furnish(self, place: Place, inside: Inside, log: FilteringBoundLogger) -> None:
        place.inside = inside
        place.context = partial(
            Context,
            place.port,
            self,
            plugin=place.name,
            grants=place.grants,
            settings=place.settings,
            directory=self._state / "plugins" / place.name,
            log=log,
            spawn=inside.spawn,
        )
        place.commands = {
            getattr(method, COMMAND).name: method
            for _, method in inspect.getmembers(inside.plugin, inspect.ismethod)
            if hasattr(method, COMMAND)
        }
        place.queries = queries_of(inside.plugin)
        place.lane = Lane(inside.deliver_to(place.context()))

    def start(self) -> None:
        """Start every plugin that was made, each in a task of its own, so that a slow one holds up nobody."""
        groups: dict[int, list[Place]] = {}
        for place in self.places.values():
            if place.inside is not None:
                groups.setdefault(id(place.inside), []).append(place)
        for places in groups.values():
            task = asyncio.get_running_loop().create_task(self._live(places), name=f"plugin {places[0].name}")
            for place in places:
                place.task = task

    async def _live(self, places: list[Place]) -> None:
        """Start one instance, then keep its lanes running: one, or for a shared plugin one in each channel."""
        first = places[0]
        inside = first.inside
        assert inside is not None  # noqa: S101  `start` chose it so
        while True:
            try:
                await inside.hook("start", first.context(), seconds=START_SECONDS)
                break
            except NotReady as error:
                self._become(places, "waiting", str(error))
                self._log.warning("plugin.not_ready", plugin=first.name, reason=str(error), retry=error.retry)
                await asyncio.sleep(error.retry)
            except (PluginError, Unavailable) as error:
                self._become(places, "failed", str(error))
                return
        self._become(places, "running")
        self._log.info("plugin.running", plugin=first.name, channels=[place.port.name for place in places])
        await asyncio.gather(*(place.lane.run() for place in places if place.lane is not None))

    def _become(self, places: Iterable[Place], state: str, reason: str = "") -> None:
        for place in places:
            place.state, place.reason = state, reason
        self.changed()

    def park(self, name: str, channel: str | None, reason: str) -> None:
        """Stop a plugin for good, in one channel or in all, because of `reason`."""
        for place in self.places.values():
            if place.name == name and channel in (None, place.port.name) and place.state != "parked":
                if place.task is not None:
                    place.task.cancel()
                self._log.error("plugin.parked", plugin=name, channel=place.port.name, reason=reason)
                self._become([place], "parked", reason)

    async def stop(self, seconds: float) -> None:
        """Let the lanes run dry, call every `stop`, cancel what is left; all within `seconds`."""
        end = asyncio.get_running_loop().time() + seconds
        running = [place for place in self.places.values() if place.state == "running" and place.lane is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds / 2):
                await asyncio.gather(*(place.lane.drained() for place in running if place.lane is not None))
        for place in self.places.values():
            if place.task is not None:
                place.task.cancel()
        insides = {id(place.inside): place for place in running if place.inside is not None}
        left = max(0.1, min(STOP_SECONDS, end - asyncio.get_running_loop().time()))
        loop = asyncio.get_running_loop()
        stops = [loop.create_task(self._stop(place, left), name=f"stop {place.name}") for place in insides.values()]
        if stops:
            # A plugin may swallow what cuts it off; it holds up nobody for it.
            await asyncio.wait(stops, timeout=left + 0.2)

    async def _stop(self, place: Place, seconds: float) -> None:
        assert place.inside is not None  # noqa: S101  `stop` chose it so
        with contextlib.suppress(PluginError):
            await place.inside.hook("stop", place.context(), seconds=seconds)
        if left := await place.inside.owner.close(min(1.0, seconds)):
            self._log.warning("plugin.tasks_left", plugin=place.name, count=left)

    def lanes(self, channel: str, event_type: str) -> tuple[Lane, ...]:
        """The lanes that an event of this type goes to."""
        needed = grant_to_read(event_type)
        return tuple(
            place.lane
            for (_, name), place in self.places.items()
            if name == channel
            and place.lane is not None
            and place.inside is not None
            and place.state in {"starting", "waiting", "running"}
            and (not needed or needed in place.grants)
            and place.inside.wants(event_type)
        )

    async def query(self, asker: str, plugin: str, name: str, channel: str, args: Mapping[str, Any]) -> Any:
        """Ask a plugin's query.

        Raises:
            Unavailable: if it does not run (in that channel, if it has an instance for each) or took over 2 s.
            PluginError: if there is no such query, or it failed.
        """
        place = self.places.get((plugin, channel))
        if place is None or place.inside is None or place.state != "running":
            state = place.state if place else "not enabled"
            raise Unavailable(f"{plugin} is {state} in {channel}")
        query = place.queries.get(name)
        if query is None:
            raise PluginError(f"{plugin} has no query {name}; it has {', '.join(place.queries) or 'none'}")
        arguments = query.arguments(args)
        ctx = place.context()
        ctx.cause = asker
        return await place.inside.ask(
            f"query {name}", lambda: query.function(ctx, **arguments), seconds=QUERY_SECONDS, ctx=ctx
        )

    def publish(self, plugin: str, name: str, data: Any) -> None:
        """Publish a plugin's own event."""
        self._publish(plugin, name, msgspec.json.encode(data))

    def failures(self) -> dict[str, str]:
        """Plugins that were described well and could not be imported all the same."""
        return dict(self._failed)
