"""The stream in which NATS keeps every event for other software: made where it is missing, and watched.

It owns what is said to JetStream about it, and never what is in it: nats-server stores what is published, and drops
the oldest. One that is there already is taken if it keeps the same subjects; only its bounds are changed then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core import subjects
from rosey_core.bus import jetstream
from rosey_core.bus.access import core_name, inbox, stream_name
from rosey_core.bus.bus import Bus
from rosey_core.bus.questions import Questions
from rosey_core.config import Config, NatsStream
from rosey_core.errors import BusError, Unavailable

SECONDS = 3.0
"""For an answer of JetStream's."""
LOOK_SECONDS = 1.0
"""For one that somebody waits for."""
EVERY = 60.0
"""Seconds between looks."""
STILL = 150.0
"""Each channel tells its own state once a minute: what grows by nothing in so many seconds stores nothing."""

_OFF = "JetStream is off there: it needs  jetstream { store_dir: ... }  and, in rosey's account,  jetstream: enabled"
_STILL = (
    f"NATS stored nothing for over {STILL:g} s, and its log may say why; "
    f"where a disk was full it needs room, and then a restart"
)


class _Error(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _State(msgspec.Struct, frozen=True):
    messages: int = 0
    bytes: int = 0
    last_seq: int = 0


class _Answer(msgspec.Struct):
    """The fields of JetStream's answers that are looked at."""

    error: _Error | None = None
    config: dict[str, Any] = {}
    state: _State = _State()


class Stream:
    """The stream of one daemon, if its owner wants one; else it does nothing.

    Args:
        bus: the daemon's connection.
        config: says which stream, and who reads it.
        log: tells when it is kept, and when it is not.
    """

    def __init__(self, bus: Bus, config: Config, log: FilteringBoundLogger) -> None:
        self._bus = bus
        self._stream = config.nats.stream
        self._readers = [name for name, user in config.nats.users.items() if user.stream]
        self._name = stream_name(config)
        external = config.nats.mode == "external"
        self._hint = f"; may {core_name(config)} publish to {jetstream.API}.> there?" if external else ""
        self._log = log
        self._inbox = f"{inbox(subjects.CORE)}.stream"
        self._questions = Questions(bus.request)
        self._wake = asyncio.Event()
        self._there = False
        self._reason = "it is not made yet"
        self._state = _State()
        self._grew = 0.0

    async def run(self) -> None:
        """Keep it there, over all connections."""
        if self._stream is None:
            return
        await self._bus.subscribe(f"{self._inbox}.>", self._questions.take)
        self._bus.found = self._wake.set
        while True:
            self._wake.clear()
            if self._bus.connected:
                await self._see(self._made(self._stream))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._wake.wait()
                self._grew = asyncio.get_running_loop().time()

    async def look(self) -> None:
        """See how much it holds now, in about a second at most; where it was not there, nothing is asked."""
        if not (self._there and self._bus.connected):
            return
        if not await self._see(self._good(f"STREAM.INFO.{self._name}", seconds=LOOK_SECONDS), looking=True):
            self._wake.set()

    def status(self) -> dict[str, Any] | None:
        """What it holds, as far as is known, and why it is not kept: `reason` is empty where it is."""
        if self._stream is None:
            return None
        reason = self._reason if self._bus.connected else f"NATS is away: {self._bus.reason}"
        return {
            "name": self._name,
            "messages": self._state.messages,
            "bytes": self._state.bytes,
            "reason": reason,
        }

    async def _see(self, work: Awaitable[_Answer], *, looking: bool = False) -> bool:
        """Take an answer, or why there is none; whether the stream is there."""
        before, connection = self._reason, self._bus.connections
        try:
            state = (await work).state
            if looking and not self._there:
                return True  # meanwhile it was found to be somebody else's, which a look does not see
            self._take(state)
        except (BusError, msgspec.MsgspecError) as error:
            if not self._bus.connected or self._bus.connections != connection:
                return self._there  # the next connection tells
            self._there, self._reason = False, str(error)
        if self._reason and self._reason != before:
            self._log.warning("stream.missing", name=self._name, reason=self._reason)
        elif self._reason != before:
            self._log.info("stream.kept", name=self._name, messages=self._state.messages)
        return self._there

    def _take(self, state: _State) -> None:
        now = asyncio.get_running_loop().time()
        if state.last_seq != self._state.last_seq:
            self._grew = now
        self._there, self._state = True, state
        self._reason = _STILL if now - self._grew > STILL else ""

    async def _made(self, stream: NatsStream) -> _Answer:
        """Make what is missing, and give it our bounds; how it is then."""
        name = stream.name
        found, wanted = await self._told(f"STREAM.INFO.{name}"), jetstream.created(stream)
        if _lacks(found, jetstream.NO_STREAM):
            found = await self._good(f"STREAM.CREATE.{name}", wanted)
        elif _checked(f"STREAM.INFO.{name}", found).config.get("subjects") != wanted["subjects"]:
            kept = ", ".join(map(str, found.config.get("subjects") or ("nothing",)))
            raise BusError(f"there is another stream {name}, of {kept}: set another name under [nats.stream]")
        elif (changed := found.config | jetstream.bounds(stream)) != found.config:
            found = await self._good(f"STREAM.UPDATE.{name}", changed)
        for reader in self._readers:
            theirs = f"CONSUMER.INFO.{name}.{reader}"
            if _lacks(consumer := await self._told(theirs), jetstream.NO_CONSUMER):
                await self._good(f"CONSUMER.CREATE.{name}.{reader}", jetstream.consumer(name, reader))
            else:
                _checked(theirs, consumer)
        return found

    async def _good(self, what: str, said: Any = None, *, seconds: float = 0.0) -> _Answer:
        return _checked(what, await self._told(what, said, seconds=seconds))

    async def _told(self, what: str, said: Any = None, *, seconds: float = 0.0) -> _Answer:
        """What JetStream answers, within `seconds` or the usual ones. Raises `BusError` when it does not."""
        payload = msgspec.json.encode(said) if said is not None else b""
        subject = f"{jetstream.API}.{what}"
        try:
            answer = await self._questions.ask(subject, payload, replies=self._inbox, seconds=seconds or SECONDS)
        except Unavailable as error:
            raise BusError(f"JetStream: {error}{self._hint}") from None
        if not answer:
            raise BusError(_OFF)
        return msgspec.json.decode(answer, type=_Answer)


def _lacks(answer: _Answer, number: int) -> bool:
    return answer.error is not None and answer.error.err_code == number


def _checked(what: str, answer: _Answer) -> _Answer:
    """The answer, if it is a good one. Raises `BusError`."""
    if _lacks(answer, jetstream.NOT_ENABLED):
        raise BusError(_OFF)
    if answer.error is not None:
        raise BusError(f"NATS refused {what}: {answer.error.description}")
    return answer
