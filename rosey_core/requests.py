"""Requests from the bus: actions for channels, and queries of plugins. Every one gets a reply.

Who may ask what is the broker's to say, subject by subject; this module owns what the answer is. That it goes to an
inbox, and never to another subject that the asker names, is the bus's.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.actions import ACTIONS, Outcome, parse_action
from rosey_core.errors import BusError, PluginError, Unavailable
from rosey_core.host.house import House
from rosey_core.log import redact
from rosey_core.pipeline import Pipeline
from rosey_core.subjects import COMMANDS, parse_command

AT_ONCE = 1_000
WORDS = {
    "unknown": "it was sent, and CyTube did not say what became of it",
    "stale": "what caused it was too old",
}

Answer = Callable[[str, bytes], None]


def ok(result: Any) -> bytes:
    """A good reply."""
    return msgspec.json.encode({"ok": True, "result": result})


def failed(code: str, message: str) -> bytes:
    """A bad reply. What a plugin raised may be in it, so known secrets are taken out."""
    return msgspec.json.encode({"ok": False, "error": {"code": code, "message": redact(message)}})


class Requests:
    """The front door on the bus.

    Args:
        channels: the channels by name.
        first: the channel that the short form means.
        house: the plugins, for their queries.
        answer: sends a reply; raises `BusError` for one that can't be sent.
        log: for what goes wrong.
    """

    def __init__(
        self,
        channels: Mapping[str, Pipeline],
        first: str,
        house: House,
        answer: Answer,
        log: FilteringBoundLogger,
    ) -> None:
        self._channels = channels
        self._first = first
        self._house = house
        self._answer = answer
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()
        self._actions = frozenset(ACTIONS)

    def action(self, subject: str, payload: bytes, reply: str) -> None:
        """Take a request under `rosey.commands.`; never waits."""
        self._take(self._act(subject, payload), reply)

    def query(self, plugin: str, name: str, payload: bytes, reply: str) -> None:
        """Take a query of a plugin; never waits. The field `channel` names the channel, else it is the first."""
        self._take(self._query(plugin, name, payload), reply)

    def _take(self, work: Coroutine[Any, Any, bytes], reply: str) -> None:
        if len(self._tasks) >= AT_ONCE:
            work.close()
            self._reply(reply, failed("busy", f"{AT_ONCE} requests are under way; try again later"))
            return
        task = asyncio.get_running_loop().create_task(self._run(work, reply), name="request")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, work: Coroutine[Any, Any, bytes], reply: str) -> None:
        try:
            answer = await work
        except Exception:
            self._log.exception("request.failed")
            answer = failed("bug", "rosey failed; its log says why")
        self._reply(reply, answer)

    def _reply(self, reply: str, answer: bytes) -> None:
        if not reply:
            return
        try:
            self._answer(reply, answer)
        except BusError as error:
            with contextlib.suppress(BusError):
                self._answer(reply, failed("too_big", f"the answer can't be sent: {error}"))

    async def _act(self, subject: str, payload: bytes) -> bytes:
        parsed = parse_command(subject, self._actions, self._first)
        if parsed is None:
            asked = subject.removeprefix(f"{COMMANDS}.")
            near = difflib.get_close_matches(asked.partition(".")[2], ACTIONS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return failed("no_such_action", f"there is no action {asked}{hint}")
        channel, name = parsed
        pipeline = self._channels.get(channel)
        if pipeline is None:
            return failed("no_such_channel", f"there is no channel {channel}; there is {', '.join(self._channels)}")
        try:
            action = parse_action(name, payload)
        except (msgspec.MsgspecError, RecursionError) as error:
            return failed("bad_request", f"{name}: {error}")
        return told(await pipeline.act(action, plugin="", reply=False).outcome())

    async def _query(self, plugin: str, name: str, payload: bytes) -> bytes:
        try:
            args = msgspec.json.decode(payload or b"{}", type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError) as error:
            return failed("bad_request", f"the arguments should be a JSON object: {error}")
        channel = str(args.pop("channel", self._first))
        try:
            result = await self._house.query(plugin, name, channel, args)
        except Unavailable as error:
            return failed("unavailable", str(error))
        except PluginError as error:
            return failed("bad_request", str(error))
        try:
            return ok(result)
        except (TypeError, ValueError) as error:
            return failed("bad_answer", f"{plugin} answered with what JSON can't say: {error}")

    async def drained(self) -> None:
        """Wait for what is under way."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))


def told(outcome: Outcome) -> bytes:
    """An outcome as a reply: `ok` only for what CyTube confirmed."""
    if outcome.state == "done":
        return ok({"state": "done"} if outcome.result is None else {"state": "done", "result": outcome.result})
    return failed(outcome.state, outcome.reason or WORDS.get(outcome.state, ""))
