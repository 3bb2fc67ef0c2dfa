"""A channel's desk: takes its command lines, asks the one owner, and passes the reply on.

Questions run beside the lanes, each in a task of its own, so that a slow answer holds up nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from structlog.typing import FilteringBoundLogger

from rosey_core.actions import SendMessage
from rosey_core.envelope import NormalizedEvent
from rosey_core.errors import PluginError, Unavailable
from rosey_core.host.commands import HELP, PLUGIN, Command, CommandCall, Cooldowns, help_text, parse, words

if TYPE_CHECKING:
    from rosey_core.host.context import Port
    from rosey_core.host.house import House
    from rosey_core.host.place import Place


Control = Callable[[tuple[str, ...]], Awaitable[str]]
"""Does what the words behind `!plugin` say, and tells what became of it."""


class Desk:
    """The commands of one channel.

    Args:
        port: the channel.
        house: the plugins.
        prefix: what a command starts with.
        rows: the channel's table of commands; another may take its place.
        control: answers to what stands behind `!plugin`.
        control_rank: who may ask that, by rank; 0 for nobody.
        log: bound to the channel's name.
    """

    def __init__(
        self,
        port: Port,
        house: House,
        *,
        prefix: str,
        rows: Mapping[str, Command],
        control: Control,
        control_rank: float,
        log: FilteringBoundLogger,
    ) -> None:
        self._port = port
        self._house = house
        self._prefix = prefix
        self._control = control
        self._control_rank = control_rank
        self._log = log
        self._cooldowns = Cooldowns()
        self._tasks: set[asyncio.Task[None]] = set()
        self.rows = rows

    def line(self, event: NormalizedEvent) -> None:
        """Take a live line of somebody else that no judge stopped; most are no commands."""
        parsed = parse(event.data.text, self._prefix)
        if parsed is None:
            return
        name, rest = parsed
        user = event.data.username
        # Nobody speaks without being logged in, so a speaker whom the list does not have (yet) is a guest.
        rank = max(0.0, self._port.state.users.rank_of(user))
        if name == HELP:
            text = help_text(self.rows, self._prefix, rank, rest.partition(" ")[0])
            self._port.act(SendMessage(text=text), plugin="rosey", reply=True)
            return
        if name == PLUGIN and self._control_rank and rank >= self._control_rank:
            self._spawn(self._change(rest), name)
            return
        row = self.rows.get(name)
        if row is None or rank < row.spec.rank:
            return
        if not self._cooldowns.take(row, user, asyncio.get_running_loop().time()):
            return
        call = CommandCall(user, rank, row.spec.name, words(rest), rest, self._port.name, event)
        self._spawn(self._ask(row, call), row.name)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"command {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _change(self, rest: str) -> None:
        text = await self._control(words(rest))
        self._port.act(SendMessage(text=text), plugin="rosey", reply=True)

    async def _ask(self, row: Command, call: CommandCall) -> None:
        place = self._house.places.get((row.plugin, self._port.name))
        if place is None:  # it was described well, and can't be imported here
            gone = f"{self._prefix}{row.name} is not available now."
            self._port.act(SendMessage(text=gone), plugin="rosey", reply=True)
            return
        answer = await self._answer(row, place, call)
        if answer and SendMessage.grant not in place.grants:
            reason = f"{row.plugin} was not granted {SendMessage.grant}"
            self._log.warning("reply.lost", command=row.name, plugin=row.plugin, reason=reason)
        elif answer:
            receipt = self._port.act(SendMessage(text=answer), plugin=row.plugin, reply=True)
            outcome = await receipt.outcome()
            if outcome.state in {"refused", "dropped"}:
                self._log.warning("reply.lost", command=row.name, plugin=row.plugin, reason=outcome.reason)

    async def _answer(self, row: Command, place: Place, call: CommandCall) -> str:
        typed = f"{self._prefix}{row.name}"
        if (home := place.running) is None:
            return f"{typed} is not available now."
        try:
            answer = await home.command(call)
        except Unavailable:
            return f"{typed} is busy or took too long; try again later."
        except PluginError:
            return f"{typed} failed. The bot's log says why."
        if answer is None or isinstance(answer, str):
            return answer or ""
        self._log.error("reply.no_text", command=row.name, plugin=row.plugin, type=type(answer).__name__)
        return f"{typed} failed. The bot's log says why."

    async def drained(self) -> None:
        """Wait for the questions under way."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))
