"""What a plugin is given with each call: the channel, its settings, and ways to act.

Every way out is checked here against the owner's grants. A plugin that may not do something gets a receipt that
says so, never an exception in the middle of its hook.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.actions import Action, Outcome, SendMessage, SendPm
from rosey_core.cause import Cause, Causes
from rosey_core.channel.channel import Channel
from rosey_core.charge import waiting
from rosey_core.clock import WallClock
from rosey_core.config import Secret
from rosey_core.envelope import NormalizedEvent
from rosey_core.errors import PluginError, Unavailable
from rosey_core.host.home import Counts
from rosey_core.host.ownership import Owner
from rosey_core.host.store import Store
from rosey_core.manifest import Settings
from rosey_core.receipt import Receipt
from rosey_core.storage.items import Operation

NEEDED: Final = object()
"""In the place of a fallback: there is none."""


ANSWERED = 4_096
"""Events whose answers are counted; those of older ones begin anew."""


class Port(Protocol):
    """What a channel lets plugins do; the pipeline's side of a context."""

    name: str
    prefix: str
    state: Channel

    @property
    def seen(self) -> int:
        """The number of the last event that is in the state."""

    def act(self, action: Action, *, plugin: str, reply: bool, cause: Cause | None = None) -> Receipt:
        """Queue an action; with a cause, it is done once for that event."""


class Host(Protocol):
    """What the host lets plugins do beyond one channel."""

    clock: WallClock

    async def query(self, plugin: str, name: str, channel: str, args: dict[str, Any]) -> Any:
        """Ask another plugin."""

    def publish(self, plugin: str, name: str, data: Any) -> None:
        """Publish a plugin's own event."""

    def secret(self, secret: Secret) -> str:
        """Read a secret."""

    async def store(self, plugin: str, operation: Operation, /) -> msgspec.Raw:
        """Do what a plugin wants of the store; the result as JSON."""


class Context:
    """A plugin's view of one channel.

    Attributes:
        channel_name: the channel's name in rosey.toml.
        prefix: what commands start with in this channel.
        settings: the plugin's settings for this channel.
        directory: a directory of the plugin's own.
        log: a logger that names the plugin.
        reply: whether what is said now answers somebody, and goes before chatter. For the host.
        clock: tells the time as UTC seconds; tests make it virtual.
    """

    def __init__(
        self,
        *,
        port: Port,
        host: Host,
        plugin: str,
        grants: frozenset[str],
        settings: Settings,
        directory: Path,
        log: FilteringBoundLogger,
        owner: Owner,
        counts: Counts,
        reply: bool = False,
        durable: bool = False,
    ) -> None:
        self._durable = durable
        self._causes: Causes | None = None
        self._answered: dict[str, Causes] = {}
        self._port = port
        self._host = host
        self._plugin = plugin
        self._grants = grants
        self._owner = owner
        self._counts = counts
        self.reply = reply
        self.channel_name = port.name
        self.prefix = port.prefix
        self.settings = settings
        self._directory = directory
        self.log = log
        self.clock = host.clock

    @property
    def channel(self) -> Channel:
        """The channel as it is now, to read. Asks `channel.state`."""
        if "channel.state" not in self._grants:
            raise PluginError(
                f'{self._plugin} reads ctx.channel and was not granted it: add "channel.state" to the asks of its '
                f"manifest, and to its grant in rosey.toml"
            )
        return self._port.state

    @property
    def store(self) -> Store:
        """What the plugin keeps in this channel; `store.shared` is what it keeps across all. Asks `store`."""
        if "store" not in self._grants:
            self._refuse("store")
            raise PluginError(
                f'{self._plugin} uses ctx.store and was not granted it: add "store" to the asks of its manifest, and '
                f"to its grant in rosey.toml"
            )
        return Store(self._host.store, self._plugin, self.channel_name)

    @property
    def directory(self) -> Path:
        """A directory of the plugin's own, made on first use."""
        self._directory.mkdir(parents=True, exist_ok=True)
        return self._directory

    def about(self, event: NormalizedEvent) -> Context:
        """The same view, in which everything that is done answers `event`.

        In a durable plugin an event may come again; what was done for it is not done again then. Hooks of one event
        have such a context from the start, `on_events` has not.
        """
        view = copy.copy(self)
        causes = self._answered.get(event.id)
        if causes is None:
            while len(self._answered) >= ANSWERED:
                del self._answered[next(iter(self._answered))]
            causes = self._answered[event.id] = Causes(event)
        view._causes = causes  # noqa: SLF001  it is one of us
        return view

    def begin(self, events: Sequence[NormalizedEvent]) -> None:
        """These events come now, maybe again: what answers them is counted anew. For the host."""
        for event in events:
            self._answered.pop(event.id, None)

    def say(self, text: str, *, me: bool = False, late: bool = False) -> Receipt:
        """Say a line in the chat. The receipt comes at once; `await receipt.outcome()` tells what became of it.

        In a durable plugin it is `stale` when its event is older than a minute, unless `late`.
        """
        return self.act(SendMessage(text=text, me=me), late=late)

    def pm(self, to: str, text: str, *, late: bool = False) -> Receipt:
        """Send a private message to somebody who is in the room."""
        return self.act(SendPm(to=to, text=text), late=late)

    def act(self, action: Action, *, late: bool = False) -> Receipt:
        """Do something in the channel. `late` is as in `say`."""
        if self._owner.closed:
            return Receipt.of(action.name, Outcome("refused", f"{self._plugin} was stopped"))
        if action.grant not in self._grants:
            return Receipt.of(action.name, Outcome("refused", self._refuse(action.grant)))
        if self._durable and self._causes is None:
            reason = (
                f"{self._plugin} is durable, so this list of events may come again: say which event of it this "
                f"answers, ctx.about(event).act(...)"
            )
            self._counts.refuse(reason)
            return Receipt.of(action.name, Outcome("refused", reason))
        cause = None if self._causes is None else self._causes.next(action, late=late)
        return self._port.act(action, plugin=self._plugin, reply=self.reply, cause=cause)

    def _refuse(self, grant: str) -> str:
        why = f"{self._plugin} was not granted {grant}"
        self._counts.refuse(why)
        return why

    async def query(self, plugin: str, name: str, /, *, fallback: Any = NEEDED, **args: Any) -> Any:
        """Ask another plugin's query. Asks `query:PLUGIN`.

        Args:
            plugin: its name.
            name: the query's.
            fallback: what to return when that plugin does not run or took too long.
            args: the query's arguments.

        Raises:
            Unavailable: there is no fallback, and that plugin does not run or took too long.
            PluginError: when the query does not exist, was not granted, or failed.
        """
        if f"query:{plugin}" not in self._grants:
            raise PluginError(self._refuse(f"query:{plugin}"))
        try:
            with waiting():
                return await self._host.query(plugin, name, self.channel_name, args)
        except Unavailable:
            if fallback is NEEDED:
                raise
            return fallback

    def publish(self, name: str, data: Any) -> None:
        """Publish an event of the plugin's own on the bus, under its name; `data` is what msgspec can encode.

        Raises:
            PluginError: the name is none, the event is bigger than NATS takes, or too many wait already.
        """
        self._host.publish(self._plugin, name, data)

    def secret(self, secret: Secret) -> str:
        """Read a secret that the settings name. From now on it is replaced in every log line.

        Raises:
            ConfigError: when it can't be read; the text says where it was looked for.
        """
        return self._host.secret(secret)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """Run something beside the hooks. It is cancelled when the plugin stops; what it raises is logged."""
        return self._owner.spawn(work, name)
