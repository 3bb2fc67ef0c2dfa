"""A plugin object in this process, with its view of every channel it is in.

The daemon has one for each plugin that runs inside, and a worker for its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.envelope import NormalizedEvent, Verdict
from rosey_core.errors import PluginError, Unavailable, told
from rosey_core.grants import may_read
from rosey_core.host.budget import Budgets
from rosey_core.host.commands import CommandCall
from rosey_core.host.context import Context, Host, Port
from rosey_core.host.dispatch import Dispatch
from rosey_core.host.home import (
    COMMAND_SECONDS,
    JUDGE_SECONDS,
    PERSON_SECONDS,
    QUERY_SECONDS,
    START_SECONDS,
    Counts,
    Deliver,
    Person,
    Say,
)
from rosey_core.host.queries import queries_of
from rosey_core.manifest import COMMAND, Manifest, marked

TASKS_SECONDS = 1.0
_verdict = msgspec.json.Decoder(Verdict | None)


class Inside:
    """One instance.

    Args:
        cls: the plugin's class.
        settings: what it is made with, not yet typed.
        host: what it may do beyond a channel.
        grants: what the owner allowed.
        directory: a directory of its own.
        budgets: the ticker that cuts off calls.
        log: bound to the plugin's name.
        parked: is told why the plugin must stop.

    Whatever the plugin raises while it is made comes through.
    """

    def __init__(
        self,
        cls: type[Any],
        settings: Mapping[str, Any],
        *,
        host: Host,
        grants: frozenset[str],
        directory: Path,
        budgets: Budgets,
        log: FilteringBoundLogger,
        parked: Callable[[str], None],
    ) -> None:
        manifest: Manifest = cls.manifest
        self.name = manifest.name
        self.durable = manifest.durable
        self._typed = partial(msgspec.convert, type=manifest.settings)
        self._dispatch = Dispatch(
            self.name, lambda: cls(self._typed(settings)), budgets=budgets, log=log, parked=parked
        )
        self.plugin = plugin = self._dispatch.plugin
        self._context = partial(
            Context,
            host=host,
            plugin=self.name,
            grants=grants,
            directory=directory,
            owner=self._dispatch.owner,
            counts=self._dispatch.counts,
        )
        self._grants = grants
        self._log = log
        self._rooms: dict[str, Callable[..., Context]] = {}
        self._commands = {spec.name: getattr(plugin, name) for name, spec in marked(cls, COMMAND).items()}
        self._queries = queries_of(plugin)

    @property
    def counts(self) -> Counts:
        """What happened to it."""
        return self._dispatch.counts

    def enter(self, port: Port, settings: Mapping[str, Any]) -> None:
        """One more channel, with the settings that count there. What they raise when typed comes through."""
        log = self._log.bind(channel=port.name)
        self._rooms[port.name] = partial(self._context, port=port, settings=self._typed(settings), log=log)

    def context(self, channel: str, *, reply: bool = False) -> Context:
        """The plugin's view of a channel, for what is asked now."""
        return self._rooms[channel](reply=reply)

    def wants(self, event_type: str) -> bool:
        """Whether it may hear this event type, and any hook is for it."""
        return may_read(self._grants, event_type) and self._dispatch.wants(event_type)

    def deliver_to(self, channel: str) -> Deliver:
        """The end of the lane of one channel."""
        context = self._rooms[channel](durable=self.durable)
        return self._dispatch.deliver_to(context, durable=self.durable)

    async def start(self) -> None:
        """Call `start`, with the first of its channels."""
        await self._dispatch.hook("start", self._first(), seconds=START_SECONDS)

    async def stop(self, seconds: float) -> None:
        """Call `stop` and end its tasks."""
        with contextlib.suppress(PluginError):
            await self._dispatch.hook("stop", self._first(), seconds=seconds / 2)
        if left := await self._dispatch.owner.close(min(TASKS_SECONDS, seconds / 2)):
            self._log.warning("plugin.tasks_left", count=left)

    async def tidy(self, *, final: bool = False) -> None:
        """End its tasks; others may follow, unless it is `final`."""
        await self._dispatch.owner.close(TASKS_SECONDS, final=final)

    def retire(self) -> None:
        """Its lanes end with what each does just now."""
        self._dispatch.over = True

    async def command(self, call: CommandCall) -> Any:
        """What it answers to a command."""
        method, ctx = self._commands[call.name], self.context(call.channel, reply=True)
        try:
            return await self._dispatch.ask(
                f"command {call.name}", lambda: method(ctx, call), seconds=COMMAND_SECONDS
            )
        finally:
            ctx.reply = False  # what it says later is no answer any more

    async def query(self, channel: str, name: str, args: Mapping[str, Any]) -> Any:
        """What it answers to a query."""
        query = self._queries.get(name)
        if query is None:
            raise PluginError(f"{self.name} has no query {name}; it has {', '.join(self._queries) or 'none'}")
        arguments, ctx = query.arguments(args), self.context(channel)
        return await self._dispatch.ask(
            f"query {name}", lambda: query.function(ctx, **arguments), seconds=QUERY_SECONDS, expected=True
        )

    async def judge(self, events: Sequence[NormalizedEvent], say: Say) -> None:
        """Say what it says of these lines, one after another."""
        ctx = self.context(events[0].channel)
        for event in events:
            try:
                verdict = await self._verdict(ctx, event)
            except Unavailable:
                raise
            except PluginError as error:
                say(str(error))
            else:
                say(verdict)

    async def _verdict(self, ctx: Context, event: NormalizedEvent) -> Verdict | None:
        said = await self._dispatch.hook("judge", ctx, event, seconds=JUDGE_SECONDS)
        try:
            # It goes into the event, which everyone gets: what JSON can't say would be the line's end.
            verdict: Verdict | None = _verdict.decode(msgspec.json.encode(said))
        except Exception as error:
            self._dispatch.failed(error, "judge")
            raise PluginError(f"{self.name} gave a verdict that is none: {told(error)}") from error
        return verdict

    async def person(self, what: Person, user: str) -> list[Any]:
        """Have it forget a user, or tell what it keeps about them; a shared one over all channels."""
        return [await self._dispatch.hook(what, self._first(), user, seconds=PERSON_SECONDS)]

    def overran(self, what: str) -> None:
        """Count that it took too long."""
        self._dispatch.overran(what)

    def _first(self) -> Context:
        return self.context(next(iter(self._rooms)))
