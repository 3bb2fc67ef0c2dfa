"""The daemon's front for workers: their hellos, their actions, their questions, and the answers to ours.

Only a plugin's own NATS user may publish below `rosey.plugins.NAME.do`, `.ask` and `.reply`, so who asks is a fact.
What the broker can't hold is which reply subject an asker names: answers go to the asker's own inboxes alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core import subjects
from rosey_core.actions import ACTIONS, Outcome, parse_action
from rosey_core.bus.access import inbox, may_answer
from rosey_core.bus.bus import Bus, Login
from rosey_core.bus.questions import Questions
from rosey_core.cause import Cause
from rosey_core.errors import BusError, PluginError, Unavailable
from rosey_core.host import messages
from rosey_core.host.context import Port
from rosey_core.host.outside import Outside
from rosey_core.host.store import Keep
from rosey_core.manifest import API
from rosey_core.storage.items import ACROSS, Operation

AT_ONCE = 1_000
"""Requests of one worker that may be under way."""

Query = Callable[[str, str, str, Mapping[str, Any]], Coroutine[Any, Any, Any]]


class Workers:
    """Everything that workers say.

    Args:
        bus: the daemon's connection.
        ports: the channels.
        query: asks a plugin: its name, the query's, the channel, the arguments.
        store: does what a plugin wants of the store.
        login: where NATS is and who a plugin's worker is there; waits until that is known.
        log: for what goes wrong.
    """

    def __init__(
        self,
        bus: Bus,
        ports: Mapping[str, Port],
        query: Query,
        store: Keep,
        login: Callable[[str], Awaitable[Login]],
        log: FilteringBoundLogger,
    ) -> None:
        self.login = login
        self._bus = bus
        self._ports = ports
        self._query = query
        self._store = store
        self._log = log
        self._questions = Questions(bus.request)
        self._homes: dict[str, tuple[Outside, Callable[[str], None]]] = {}
        self._tasks: dict[str, set[asyncio.Task[None]]] = {}
        self._refusals = Counter[str]()
        bus.lost = self._questions.lost

    @property
    def connected(self) -> bool:
        """Whether NATS is there."""
        return self._bus.connected

    @property
    def ask(self) -> Callable[..., Coroutine[Any, Any, bytes]]:
        """Sends a request to a worker."""
        return self._questions.ask

    def know(self, home: Outside, parked: Callable[[str], None]) -> None:
        """Listen to one more worker from now on. `parked` is told why its plugin must stop."""
        self._homes[home.name] = home, parked
        self._tasks.setdefault(home.name, set())

    async def listen(self) -> None:
        """Subscribe."""
        for way, take in (("do", self._take_action), ("ask", self._take_question), ("reply", self._questions.take)):
            await self._bus.subscribe(f"{subjects.worker('*', way)}.>", take)

    def _take_action(self, subject: str, payload: bytes, reply: str) -> None:
        plugin, (_, *way) = subjects.of_worker(subject)
        channel, name = way[0], ".".join(way[1:])
        urgent = name.startswith("reply.")
        self._take(plugin, reply, self._act(plugin, channel, name.removeprefix("reply."), payload, reply=urgent))

    def _take_question(self, subject: str, payload: bytes, reply: str) -> None:
        plugin, (_, what, *_) = subjects.of_worker(subject)
        self._take(plugin, reply, self._answer(plugin, what, payload))

    def _take(self, plugin: str, reply: str, work: Coroutine[Any, Any, bytes]) -> None:
        if not (may_answer(reply) and reply.startswith(f"{inbox(plugin)}.")):
            work.close()
            self.refused(plugin, f"it asked for an answer to {reply[:100]}, which is no inbox of its own")
        elif plugin not in self._homes:
            work.close()
            self._say(reply, messages.bad(Unavailable(f"no worker {plugin} is expected here")))
        elif len(self._tasks[plugin]) >= AT_ONCE:
            work.close()
            self._say(reply, self._refuse(plugin, f"{AT_ONCE} requests are under way"))
        else:
            task = asyncio.get_running_loop().create_task(self._run(plugin, work, reply), name=f"request of {plugin}")
            self._tasks[plugin].add(task)
            task.add_done_callback(self._tasks[plugin].discard)

    async def _run(self, plugin: str, work: Coroutine[Any, Any, bytes], reply: str) -> None:
        try:
            answer = await work
        except PluginError as error:
            answer = messages.bad(error)
        except (msgspec.MsgspecError, RecursionError) as error:
            answer = self._refuse(plugin, f"this can't be read: {error}")
        except Exception:
            self._log.exception("worker.failed")
            answer = messages.bad(PluginError("rosey failed; its log says why"))
        self._say(reply, answer)

    def refused(self, user: str, why: str) -> None:
        """Put what somebody tried, and may not, on the record: a plugin's own, and the log."""
        if user in self._homes:
            self._homes[user][0].refuse(why)
        self._refusals[user] += 1
        count = self._refusals[user]
        if not count & (count - 1):  # the first, second, fourth, eighth ...: trying without end fills no log
            self._log.warning("bus.refused", user=user, reason=why, count=count)

    def _refuse(self, plugin: str, why: str) -> bytes:
        self.refused(plugin, why)
        return messages.encode({"ok": False, "error": {"code": "refused", "message": why}})

    def _say(self, reply: str, answer: bytes) -> None:
        try:
            self._bus.publish_own(reply, answer)
        except BusError as error:
            self._log.warning("worker.answer_lost", reason=str(error))

    async def _act(self, plugin: str, channel: str, name: str, payload: bytes, *, reply: bool) -> bytes:
        port, action = self._ports.get(channel), ACTIONS.get(name)
        if port is None or action is None:
            return self._refuse(plugin, f"there is no action {name[:100]} in {channel[:100]}")
        if action.grant not in self._homes[plugin][0].grants:
            return self._refuse(plugin, f"{plugin} was not granted {action.grant}")
        try:
            cause, payload = _cause_of(payload)
            if cause is not None and not self._homes[plugin][0].durable:
                return self._refuse(plugin, f"{plugin} is not durable, so its actions have no cause")
            made = parse_action(name, payload)
        except (msgspec.MsgspecError, RecursionError) as error:
            return self._refuse(plugin, f"{name}: {error}")
        return _outcome(await port.act(made, plugin=plugin, reply=reply, cause=cause).outcome())

    async def _answer(self, plugin: str, what: str, payload: bytes) -> bytes:
        home, parked = self._homes[plugin]
        match what:
            case "hello":
                hello = msgspec.json.decode(payload, type=messages.Hello)
                if hello.api != API:
                    raise PluginError(f"it speaks interface {hello.api}, and this rosey {API}")
                await home.admit(hello)
                return messages.good()
            case "parked":
                told = msgspec.json.decode(payload, type=messages.Parked)
                if home.session is not None and home.session.name == told.session:
                    parked(told.reason)
                return messages.good()
            case "query":
                asked = msgspec.json.decode(payload, type=messages.Query)
                if f"query:{asked.plugin}" not in home.grants:
                    return self._refuse(plugin, f"{plugin} was not granted query:{asked.plugin[:100]}")
                return messages.good(await self._query(asked.plugin, asked.name, asked.channel, asked.args))
            case "store":
                if "store" not in home.grants:
                    return self._refuse(plugin, f"{plugin} was not granted store")
                operation = msgspec.json.decode(payload, type=Operation)
                if operation.channel != ACROSS and operation.channel not in home.channels:
                    return self._refuse(plugin, f"{plugin} is not on in {operation.channel[:100]}")
                return messages.good(await self._store(plugin, operation))
            case _:
                return self._refuse(plugin, f"there is no question {what[:100]}")


def _cause_of(payload: bytes) -> tuple[Cause | None, bytes]:
    """The event that an action answers, and the action without it."""
    cause = msgspec.json.decode(payload, type=messages.Caused).cause if b'"cause"' in payload else None
    if cause is None:
        return None, payload
    fields = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
    del fields["cause"]
    return cause, msgspec.json.encode(fields)


def _outcome(outcome: Outcome) -> bytes:
    if outcome.state == "done":
        return messages.good(outcome)
    return messages.encode({"ok": False, "error": {"code": outcome.state, "message": outcome.reason}})
