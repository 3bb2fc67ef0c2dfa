"""The daemon's end of a plugin in another process: what it is told and asked goes over NATS.

It owns the plugin's session there, and the numbers of the lists it is given. How the process
is started and watched is `supervisor`'s; one that somebody else starts only has to say hello.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from rosey_core import subjects
from rosey_core.envelope import NormalizedEvent
from rosey_core.envelope import encode as encode_event
from rosey_core.errors import PluginError, Taken, Unavailable
from rosey_core.grants import may_read
from rosey_core.host import messages
from rosey_core.host.commands import CommandCall
from rosey_core.host.context import Port
from rosey_core.host.home import (
    COMMAND_SECONDS,
    JUDGE_SECONDS,
    PERSON_SECONDS,
    QUERY_SECONDS,
    START_SECONDS,
    Counts,
    Deliver,
    Failure,
    Person,
    Say,
)
from rosey_core.host.hookspecs import hook_name
from rosey_core.host.turn import first_of
from rosey_core.manifest import Description

COPIED = frozenset(("user", "media", "playlist", "poll", "vote", "channel", "connection", "stats"))
"""Families of events that the state is made of."""
AGAIN = 2.0
"""Seconds after which a list that is not answered goes again: it or its answer may be lost."""
DEATHS = 5
"""How often its process may end at the same list before it is parked."""
ANSWERS = 2.0
"""Seconds that a life has to show that it is one, when another one says hello."""
WAY = 1.0
"""Seconds that a question may be under way beside the plugin's own time for it."""


class Ask(Protocol):
    """Sends a request and waits for its answer; raises `Unavailable`."""

    async def __call__(self, subject: str, payload: bytes, *, replies: str, seconds: float | None) -> bytes:
        """The answer."""


class Session:
    """One life of the process, from its hello to its end."""

    reason = "another life of it said hello"

    def __init__(self, name: str, pid: int) -> None:
        self.name = name
        self.pid = pid
        self.ended = asyncio.Event()


class Outside:
    """One plugin's worker, in all the channels where the plugin is on.

    Args:
        description: what the plugin says of itself.
        grants: what the owner allowed.
        settings: what it is made with.
        rooms: each channel, with the plugin's settings there.
        ask: sends requests.

    Attributes:
        grants: what it may do now; whoever checks anything reads this.
        poisoned: is told when its process ends again and again at the same events.
        refusal: why nobody may say hello now; empty while one may.
    """

    def __init__(
        self,
        description: Description,
        grants: frozenset[str],
        settings: Mapping[str, Any],
        rooms: Mapping[str, tuple[Port, Mapping[str, Any]]],
        ask: Ask,
    ) -> None:
        self.name = description.name
        self.counts = Counts()
        self.durable = description.durable
        self._hooks = frozenset(description.hooks)
        self.grants = grants & description.usable
        self._settings = settings
        self._rooms = rooms
        self._ask_at = ask
        self._replies = subjects.worker(self.name, "reply")
        self.poisoned: Callable[[str], None] = lambda _: None
        self.refusal = ""
        self._session: Session | None = None
        self._arrived = asyncio.Event()
        self._here = asyncio.Event()
        self._silent = False  # it did not answer the last ping
        self._refused = 0
        self._told = ""  # the last error that its process told

    @property
    def channels(self) -> frozenset[str]:
        """Where the plugin is on."""
        return frozenset(self._rooms)

    # --- its process ---

    def hello(self, hello: messages.Hello) -> None:
        """A new life of it listens; the one before is over, whatever became of it. Said twice, it counts once.

        Raises `PluginError` where it is not wanted.
        """
        if self.refusal:
            raise PluginError(f"{self.name} {self.refusal}")
        if self._session is not None and self._session.name == hello.session:
            return
        self.gone()
        self._session = Session(hello.session, hello.pid)
        self._silent = False
        self._arrived.set()

    async def admit(self, hello: messages.Hello) -> None:
        """The same from a process that may be one too many. Raises `Taken` as well, while another life answers."""
        asked: Session | None = None
        while (session := self._session) is not asked and session is not None and session.name != hello.session:
            if await self._answers(session):
                raise Taken(
                    f"{self.name} runs already, in process {session.pid} here or on another machine, and that one "
                    f"answers: end it first, or do not start another one"
                )
            asked = session
        self.hello(hello)

    async def _answers(self, session: Session) -> bool:
        """Whether a life is one still, that another one would push out."""
        subject, message = subjects.worker(self.name, "control", "ping"), messages.Control(session.name)
        try:
            answer = await self._while_it_lives(session, subject, messages.encode(message), ANSWERS)
            messages.raw_result_of(answer)
        except Unavailable:
            return False
        except PluginError:
            return True  # it can't be read, and somebody said it
        return True

    async def arrival(self, ended: asyncio.Event) -> None:
        """Wait for its hello, or for the end of its process."""
        await first_of(self._arrived.wait(), ended.wait())

    def gone(self) -> None:
        """Its process is over."""
        self._here.clear()
        self._arrived.clear()
        if self._session is not None:
            self._session.ended.set()
            self._session = None

    @property
    def session(self) -> Session | None:
        """The life that it has now."""
        return self._session

    async def ping(self, seconds: float) -> None:
        """See that it lives. Raises `Unavailable`."""
        try:
            answer = await self._control("ping", messages.Control(self._now().name), seconds)
        except Unavailable:
            self._silent = True
            raise
        self._silent = False
        told = messages.counts_of(answer)
        news, self._told = told.last_error not in ("", self._told), told.last_error
        told.refused += self._refused
        told.last_error = told.last_error if news else self.counts.last_error
        self.counts = told

    # --- what it is told and asked ---

    def wants(self, event_type: str) -> bool:
        """Whether it may hear this event type, and any hook is for it, or its copy of the state needs it."""
        if "channel.state" in self.grants and event_type.partition(".")[0] in COPIED:
            return True
        hooked = "on_events" in self._hooks or hook_name(event_type) in self._hooks
        return hooked and may_read(self.grants, event_type)

    def deliver_to(self, channel: str) -> Deliver:
        """The end of the lane of one channel."""
        subject = subjects.worker(self.name, "hook", channel, "events")
        port = self._rooms[channel][0]
        numbers = itertools.count(1)

        async def deliver(events: Sequence[NormalizedEvent]) -> Failure | None:
            listed = [msgspec.Raw(encode_event(event)) for event in events]
            for _ in range(DEATHS):
                session = await self._present()
                message = messages.Events(session.name, next(numbers), listed)
                if "channel.state" in self.grants and _holed(events):
                    message.snapshot, message.seen = port.state.snapshot(), port.seen
                with contextlib.suppress(Unavailable):
                    answer = await self._handed(subject, messages.encode(message), session)
                    return messages.failure_of(answer, len(events))
                if self.durable:
                    return Failure(0, "its process ended at it")
            self.poisoned(f"its process ended {DEATHS} times at the events {events[0].seq} to {events[-1].seq}")
            return None

        return deliver

    async def _present(self) -> Session:
        """The session, when there is one that was started."""
        while True:
            await self._here.wait()
            if self._session is not None:
                return self._session

    async def _handed(self, subject: str, payload: bytes, session: Session) -> bytes:
        """Send a list until it is answered. Raises `Unavailable` when the session ends before that."""
        while True:
            with contextlib.suppress(Unavailable):
                answer = await self._while_it_lives(session, subject, payload, AGAIN)
                messages.failure_of(answer, 0)
                return answer
            if session.ended.is_set():
                raise Unavailable(f"{self.name} ended meanwhile")
            await asyncio.sleep(0.05)

    async def start(self) -> None:
        """Call `start`."""
        session = self._now().name
        channels = {name: self._room(port, own) for name, (port, own) in self._rooms.items()}
        message = messages.Start(session, channels, dict(self._settings), tuple(sorted(self.grants)))
        messages.raw_result_of(await self._control("start", message, START_SECONDS + WAY))
        self._here.set()

    def _room(self, port: Port, settings: Mapping[str, Any]) -> messages.Room:
        room = messages.Room(port.prefix, dict(settings))
        if "channel.state" in self.grants:
            room.snapshot, room.seen = port.state.snapshot(), port.seen
        return room

    async def stop(self, seconds: float) -> None:
        """Call `stop`, and let it end."""
        self._here.clear()
        with contextlib.suppress(PluginError):
            message = messages.Control(self._now().name, seconds)
            messages.raw_result_of(await self._control("stop", message, seconds + WAY / 4))

    async def tidy(self, *, final: bool = False) -> None:  # noqa: ARG002  the end of its process is the end of all
        """End what a start in vain left running."""
        with contextlib.suppress(PluginError):
            await self._control("tidy", messages.Control(self._now().name), WAY)

    def retire(self) -> None:
        """It is told no more."""
        self._here.clear()

    async def command(self, call: CommandCall) -> Any:
        """What the plugin answers to a command."""
        message = messages.Commanded(
            self._now().name,
            call.user,
            call.rank,
            call.name,
            call.args,
            call.rest,
            msgspec.Raw(encode_event(call.event)),
        )
        return messages.result_of(await self._hook(call.channel, "command", message, COMMAND_SECONDS))

    async def query(self, channel: str, name: str, args: Mapping[str, Any]) -> Any:
        """What the plugin answers to a query."""
        message = messages.Asked(self._now().name, name, dict(args))
        return messages.result_of(await self._hook(channel, "query", message, QUERY_SECONDS))

    async def judge(self, events: Sequence[NormalizedEvent], say: Say) -> None:
        """Say what the plugin says of these lines: one question, one answer."""
        if self._silent:
            raise Unavailable(f"{self.name} does not answer")
        message = messages.Judged(self._now().name, [msgspec.Raw(encode_event(event)) for event in events])
        answer = messages.raw_result_of(await self._hook(events[0].channel, "judge", message, JUDGE_SECONDS))
        try:
            said = messages.verdicts_of(answer)
        except msgspec.MsgspecError as error:
            raise PluginError(f"{self.name} gave verdicts that are none: {error}") from None
        if len(said) != len(events):
            raise PluginError(f"{self.name} gave {len(said)} verdicts on {len(events)} lines")
        for each in said:
            say(each)

    async def person(self, what: Person, user: str) -> list[Any]:
        """Have it forget a user, or tell what it keeps about them."""
        message = messages.Person(self._now().name, user)
        answer = messages.result_of(await self._control(what, message, PERSON_SECONDS + WAY))
        return answer if isinstance(answer, list) else [answer]

    def overran(self, what: str) -> None:
        """Count that it took too long."""
        self.counts.overdue += 1
        self.counts.last_error = f"{what} was over its budget"

    def refuse(self, why: str) -> None:
        """Count what was refused to it outside of its process."""
        self._refused += 1
        self.counts.refuse(why)

    # --- the way ---

    def _now(self) -> Session:
        """The session that may be asked now."""
        if self._session is None:
            raise Unavailable(f"{self.name} has no process now")
        return self._session

    async def _hook(self, channel: str, what: str, message: msgspec.Struct, seconds: float) -> bytes:
        subject = subjects.worker(self.name, "hook", channel, what)
        return await self._while_it_lives(self._now(), subject, messages.encode(message), seconds + WAY)

    async def _control(self, what: str, message: msgspec.Struct, seconds: float) -> bytes:
        subject = subjects.worker(self.name, "control", what)
        return await self._while_it_lives(self._now(), subject, messages.encode(message), seconds)

    async def _while_it_lives(self, session: Session, subject: str, payload: bytes, seconds: float) -> bytes:
        """Ask; a process that dies meanwhile is an answer, too."""
        asking = asyncio.ensure_future(self._ask_at(subject, payload, replies=self._replies, seconds=seconds))
        ended = asyncio.ensure_future(session.ended.wait())
        try:
            await asyncio.wait((asking, ended), return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return asking.result()
            raise Unavailable(f"{self.name} ended meanwhile")
        finally:
            asking.cancel()
            ended.cancel()


def _holed(events: Sequence[NormalizedEvent]) -> bool:
    """Whether events were dropped before these, so that a copy of the state is not exact any more."""
    return any(event.event_type == "core.gap" and event.data.where == "lane" for event in events)
