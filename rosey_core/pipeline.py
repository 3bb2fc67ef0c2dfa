"""One channel's step, the page to read first: draft -> event -> state -> judges -> everyone.

`session` hands over drafts in the order in which CyTube sent them, all that wait, and each goes through here whole:

1. the state takes it, and the sender, for its receipts;
2. it becomes an event: time, id, `seq`, what only the state knows;
3. live chat lines are asked of the judges, all of them in one question; later events of this channel wait behind;
4. it is told: to the event log (and from there to durable plugins), to the lanes of the others, to the bus
   (everybody else), and a command to its owner.

A chat line that CyTube repeats at a join, and that was told before, ends after step 2.

After step 3 an event never changes, and everyone sees the same one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Protocol

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.actions import Action, Outcome, SendMessage
from rosey_core.cause import Cause
from rosey_core.channel.channel import Channel
from rosey_core.clock import WallClock
from rosey_core.cytube.sender import Sender
from rosey_core.cytube.translate import Draft
from rosey_core.cytube.waiting import Priority
from rosey_core.envelope import NOTHING, Metadata, NormalizedEvent, Verdict, encode
from rosey_core.eventlog.log import EventLog
from rosey_core.events import (
    ChatMessage,
    ConnectionJoined,
    ConnectionKicked,
    ConnectionLost,
    ConnectionRefused,
    CoreTooBig,
    Data,
    StatsHighWater,
    StatsUsercount,
    event_type_of,
)
from rosey_core.host.judges import Judge, ask_all
from rosey_core.host.lane import Lane
from rosey_core.host.loopguard import LoopGuard
from rosey_core.once import Once
from rosey_core.receipt import Receipt
from rosey_core.sequence import Sequence
from rosey_core.subjects import platform_event

PLATFORM = "cytube"

MOST_KINDS = 1_000
"""Types of events that are remembered: a server may think of ever new ones (`raw.*`)."""

Publish = Callable[[str, bytes, str, int], bool]
"""Publishes on the bus without waiting: subject, JSON, channel, `seq`. False: it is too big."""


class House(Protocol):
    """What the pipeline needs of the plugins."""

    def lanes(self, channel: str, event_type: str) -> tuple[Lane, ...]:
        """The lanes for an event type."""

    def judges(self, channel: str) -> tuple[Judge, ...]:
        """The judges of chat lines, in order."""


class Pipeline:
    """One channel: its state, its numbers, and the way of its events.

    Args:
        name: the channel's name in rosey.toml.
        prefix: what its commands start with.
        sender: takes the actions, and hears every event for its receipts.
        publish: puts an event on the bus.
        eventlog: keeps what happened.
        sequence: numbers the events.
        clock: tells the time for events that CyTube gives none.
        log: bound to the channel's name.
    """

    def __init__(
        self,
        name: str,
        *,
        prefix: str,
        state: Channel,
        sender: Sender,
        publish: Publish,
        eventlog: EventLog,
        sequence: Sequence,
        clock: WallClock,
        log: FilteringBoundLogger,
    ) -> None:
        self.name = name
        self.prefix = prefix
        self.state = state
        self.sender = sender
        self.events = 0
        self.failures = 0
        self.house: House | None = None
        self._judges: tuple[Judge, ...] = ()
        self.on_silence = "pass"
        self.on_line: Callable[[NormalizedEvent], None] = lambda _: None
        self._publish = publish
        self._sequence = sequence
        self._clock = clock
        self._log = log
        self._guard = LoopGuard()
        self._subjects: dict[str, str] = {}
        self._lanes: dict[str, tuple[Lane, ...]] = {}
        self._record = (0, 0)
        self._same_ms = 0
        self._same: dict[tuple[str, str], int] = {}
        self._held: list[NormalizedEvent] | None = None
        self._eventlog = eventlog
        self._once = Once(name, eventlog, clock)

    @property
    def seen(self) -> int:
        """The number of the last event that is in the state."""
        return self._sequence.last

    async def hear(self, drafts: list[Draft]) -> None:
        """Take what CyTube sent, in order. Nothing that goes wrong with one draft stops the next.

        Returns when there is room for more: a disk that is slower than the room holds up the socket.
        """
        now = asyncio.get_running_loop().time
        judges, lines = self._judges, list[NormalizedEvent]()
        for draft in drafts:
            try:
                event = self._observe(draft)
                line = type(event.data) is ChatMessage
                if line and event.metadata.history and self._eventlog.repeated(event):
                    continue
                live = line and event.metadata is NOTHING
                if live:
                    self._guard.heard(event.data.username, now())
                    self._once.heard(event.timestamp)
                    if judges:
                        lines.append(event)
                if lines:
                    self._held = self._held or []
                    self._held.append(event)
                    continue
                self._tell(event)
                if live:
                    self.on_line(event)
            except Exception:
                self._failed(draft.data)
        if lines:
            await self._judged(judges, lines)
        if self._eventlog.crowded:
            await self._eventlog.room()

    def look_again(self) -> None:
        """Look who wants what and who judges: a plugin came or went."""
        self._lanes.clear()
        self._judges = self.house.judges(self.name) if self.house else ()

    def tell(self, data: Data) -> None:
        """Tell an event of our own, such as `stats.status`. It overtakes no line that judges still look at."""
        event = self._envelope(data, self._clock(), NOTHING, "")
        if self._held is None:
            self._tell(event)
        else:
            self._held.append(event)

    def act(self, action: Action, *, plugin: str, reply: bool, cause: Cause | None = None) -> Receipt:
        """Queue an action of a plugin; with a cause, it is done once for that event."""
        if cause is not None:
            return self._once.act(action, plugin, cause, lambda: self.act(action, plugin=plugin, reply=reply))
        if type(action) is SendMessage and (user := self._guard.may_answer(asyncio.get_running_loop().time())):
            self._log.warning("loop.stopped", user=user, plugin=plugin)
            reason = f"{user} and this bot answer each other; no answer to them for a minute"
            return Receipt.of(action.name, Outcome("dropped", reason))
        return self.sender.submit(action, priority=_priority(action, reply=reply), owner=plugin)

    def silenced(self) -> dict[str, int]:
        """Whom the bot does not answer because each answered the other, and for how many seconds more."""
        now = asyncio.get_running_loop().time()
        return {user: round(seconds) for user, seconds in self._guard.silent(now).items()}

    # --- the steps ---

    async def _judged(self, judges: tuple[Judge, ...], lines: list[NormalizedEvent]) -> None:
        """Ask the judges of all lines at once, then tell what is held back. What nobody judged is no command."""
        verdicts: dict[int, Verdict | None] = {}
        try:
            said = await ask_all(judges, lines, on_silence=self.on_silence)
            verdicts = {line.seq: verdict for line, verdict in zip(lines, said, strict=True)}
        except Exception:
            self._failed(lines[0].data)
        finally:
            for event in self._held or ():  # it may grow meanwhile
                self._tell_judged(event, verdicts)
            self._held = None

    def _tell_judged(self, event: NormalizedEvent, verdicts: dict[int, Verdict | None]) -> None:
        verdict = verdicts.get(event.seq)
        try:
            if verdict is not None:
                event = msgspec.structs.replace(event, metadata=Metadata(verdict=verdict))
            self._tell(event)
            if event.seq in verdicts and not (verdict and verdict.stop):
                self.on_line(event)
        except Exception:
            self._failed(event.data)

    def _failed(self, data: Data) -> None:
        self.failures += 1
        self._log.exception("pipeline.failed", draft=type(data).__name__)

    def _observe(self, draft: Draft) -> NormalizedEvent:
        data: Any = draft.data
        self.state.apply(data)
        # Receipts are settled here and not behind the judges: those may take longer than a line's echo may.
        self.sender.heard(data, draft.metadata)
        identity = ""
        match data:
            case ChatMessage():
                identity = self._line_id(data)
            case StatsUsercount():
                data = self._counted(data)
            case ConnectionJoined():
                self.sender.online()
            case ConnectionLost() | ConnectionKicked() | ConnectionRefused():
                self.sender.offline(data.reason)
                self._same_ms = -1  # the history of the next join begins to count anew
        return self._envelope(data, draft.time or self._clock(), draft.metadata, identity)

    def _counted(self, data: StatsUsercount) -> StatsUsercount:
        """The count with what only the state knows; a new record is told before it."""
        connected, users = self.state.high_water
        if (connected, users) != self._record:
            self._record = (connected, users)
            self.tell(StatsHighWater(connected=connected, users=users))
        return StatsUsercount(connected=data.connected, users=len(self.state.users))

    def _line_id(self, line: ChatMessage) -> str:
        """A chat line's id: the same again when the line comes again in the history of a later join."""
        if line.time_ms != self._same_ms:
            self._same_ms = line.time_ms
            self._same.clear()
        key = (line.username, line.html)
        again = self._same.get(key, 0)
        self._same[key] = again + 1
        text = f"{self.name}\0{line.time_ms}\0{line.username}\0{line.html}\0{again}"
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()

    def _envelope(self, data: Data, timestamp: float, metadata: Metadata, identity: str) -> NormalizedEvent:
        seq = self._sequence.take()
        return NormalizedEvent(
            event_type_of(data),
            PLATFORM,
            data,
            timestamp,
            metadata,
            identity or f"{self.name}-{seq}",
            self.name,
            seq,
        )

    def _tell(self, event: NormalizedEvent) -> None:
        payload = encode(event)  # what can't be said to all is said to nobody
        self.events += 1
        self._eventlog.append(event, payload)
        kind = event.event_type
        lanes = self._lanes.get(kind)
        if lanes is None:
            if len(self._lanes) >= MOST_KINDS:
                self._lanes.clear()
                self._subjects.clear()
            lanes = self._lanes[kind] = self.house.lanes(self.name, kind) if self.house else ()
        for lane in lanes:
            lane.put(event)
        subject = self._subjects.get(kind)
        if subject is None:
            subject = self._subjects[kind] = platform_event(self.name, kind)
        if not self._publish(subject, payload, self.name, event.seq) and kind != "core.too_big":
            self.tell(CoreTooBig(event_type=kind, size=len(payload)))


def _priority(action: Action, *, reply: bool) -> Priority:
    if action.name.startswith(("user.", "chat.clear")):
        return Priority.MODERATION
    return Priority.REPLY if reply else Priority.CHATTER
