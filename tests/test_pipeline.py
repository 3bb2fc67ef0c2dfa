"""One channel's step: order, numbers, ids, judges, and what triggers what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from rosey_core.actions import KickUser, Outcome, SendMessage
from rosey_core.channel.channel import Channel
from rosey_core.cytube.memory import Draft
from rosey_core.cytube.sender import Sender
from rosey_core.envelope import NOTHING, Metadata, NormalizedEvent, Verdict, decode
from rosey_core.eventlog.engine import Batch
from rosey_core.eventlog.log import EventLog
from rosey_core.events import (
    ChannelPermissions,
    ChatMessage,
    ConnectionJoined,
    ConnectionLogin,
    ConnectionLost,
    ConnectionRank,
    Data,
    Raw,
    StatsUsercount,
    UserJoined,
)
from rosey_core.host.judges import Judge
from rosey_core.host.lane import Lane
from rosey_core.pipeline import Pipeline
from rosey_core.sequence import Sequence
from rosey_core.testing.clock import run_virtual
from rosey_core.testing.eventlog import MemoryLog, memory_log


class Rig:
    """A pipeline whose surroundings note what reaches them."""

    def __init__(self, path: Path, *, biggest: int = 1 << 20, eventlog: EventLog | None = None) -> None:
        self.published: list[NormalizedEvent] = []
        self.commands: list[str] = []
        self.sent: list[Any] = []
        self.biggest = biggest
        self.eventlog = eventlog or memory_log(lambda: 1000.0)
        self.judging: tuple[Judge, ...] = ()
        self.lane = Lane(self._deliver)
        state = Channel()
        self.sender = Sender(cast("Any", self._emit), state)
        self.pipeline = Pipeline(
            "cytube",
            prefix="!",
            state=state,
            sender=self.sender,
            publish=self._publish,
            eventlog=self.eventlog,
            sequence=Sequence(path / "seq"),
            clock=lambda: 1000.0,
            log=structlog.get_logger(),
        )
        self.pipeline.house = cast("Any", self)
        self.pipeline.on_line = lambda event: self.commands.append(event.data.text)

    def lanes(self, channel: str, event_type: str) -> tuple[Lane, ...]:
        """One lane for everything."""
        assert channel == "cytube"
        assert event_type
        return (self.lane,)

    def judges(self, channel: str) -> tuple[Judge, ...]:
        """Those of a test."""
        assert channel == "cytube"
        return self.judging

    async def _deliver(self, events: Any) -> None:
        """Nobody runs the lane here: what waits in it is what was told."""

    def _publish(self, subject: str, payload: bytes, channel: str, seq: int) -> bool:
        if len(payload) > self.biggest:
            return False
        event = decode(payload)
        assert subject == f"rosey.platform.{channel}.{event.event_type}"
        assert event.seq == seq
        self.published.append(event)
        return True

    def _emit(self, *args: Any, **options: Any) -> None:
        self.sent.append((args, options))

    async def hear(self, *data: Data, metadata: Metadata = NOTHING) -> None:
        """Take drafts."""
        await self.pipeline.hear([Draft(one, getattr(one, "time_ms", 0) / 1000 or None, metadata) for one in data])

    @property
    def types(self) -> list[str]:
        """The types of what was published."""
        return [event.event_type for event in self.published]


Make = Callable[..., Rig]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """Makes rigs in one directory, whose event logs are closed at the end."""
    made: list[Rig] = []

    def one(**how: Any) -> Rig:
        with structlog.testing.capture_logs():
            made.append(Rig(tmp_path, **how))
        return made[-1]

    yield one
    for rig in made:
        await rig.eventlog.close()


@pytest.fixture
def rig(make: Make) -> Rig:
    """A rig of its own."""
    return make()


def line(text: str, user: str = "bob", *, at: int = 5000) -> ChatMessage:
    """A line at a server time in ms."""
    return ChatMessage(user, text, html=text, time_ms=at)


class FakeJudge:
    """A judge of one verdict for each text, after a time; lists of texts are what it was asked."""

    def __init__(self, answer: Callable[[str], Verdict | None], seconds: float = 0.0) -> None:
        self.answer, self.seconds = answer, seconds
        self.name = "fake"
        self.asked: list[list[str]] = []

    def rest(self, now: float) -> float:
        """Never."""
        assert now >= 0
        return 0.0

    async def ask(self, events: list[NormalizedEvent], seconds: float) -> list[Verdict | None]:
        """Answer after a time, or not in time."""
        self.asked.append([event.data.text for event in events])
        await asyncio.sleep(min(self.seconds, seconds))
        return [self.answer(event.data.text) for event in events] if self.seconds <= seconds else []


def judged_by(rig: Rig, judge: FakeJudge) -> None:
    """Let a rig have one judge."""
    rig.judging = (cast("Judge", judge),)
    rig.pipeline.look_again()


async def test_everyone_sees_the_same(rig: Rig) -> None:
    """State, lane, bus and command get one line, in that order of knowing."""
    await rig.hear(line("!echo hi"), UserJoined("eve", 1))
    assert rig.types == ["chat.message", "user.joined"]
    assert [event.seq for event in rig.published] == [1, 2]
    assert rig.commands == ["!echo hi"]
    assert rig.pipeline.state.users.rank_of("eve") == 1
    assert len(rig.lane) == 2
    assert rig.published[0].timestamp == 5.0  # the server's
    assert rig.published[1].timestamp == 1000.0  # ours, where it gives none
    assert rig.published[1].id == "cytube-2"


@pytest.mark.parametrize(
    "metadata",
    (Metadata(history=True), Metadata(own=True), Metadata(server=True), Metadata(shadow=True)),
    ids=("history", "own", "server", "shadow"),
)
async def test_what_triggers_nothing(rig: Rig, metadata: Metadata) -> None:
    """Such lines are told and are no commands; no judge is asked for them."""
    judge = FakeJudge(lambda _: None)
    judged_by(rig, judge)
    await rig.hear(line("!echo hi"), metadata=metadata)
    assert rig.types == ["chat.message"]
    assert rig.published[0].metadata == metadata
    assert rig.commands == []
    assert judge.asked == []


async def test_the_id_is_the_same_after_a_rejoin(rig: Rig, make: Make) -> None:
    """A line that comes again in the history has its old id, in this run and in the next; equal lines differ."""
    lines = (line("a", at=1), line("a", at=1), line("a", user="eve", at=1), line("a", at=2), line("b", at=2))
    await rig.hear(*lines)
    first = [event.id for event in rig.published]
    assert len(set(first)) == 5
    again = make()
    await again.hear(*lines)
    assert [event.id for event in again.published] == first
    assert again.published[0].seq > rig.published[-1].seq


async def test_a_rejoin_repeats_nothing(rig: Rig) -> None:
    """What was told is not told again; what was missed is, as history, also of the newest moment."""
    await rig.hear(line("a", at=1), line("b", at=2))
    await rig.hear(ConnectionLost("gone"))
    history = (line("a", at=1), line("b", at=2), line("b", at=2), line("c", at=3))
    await rig.hear(*history, metadata=Metadata(history=True))
    told = [
        (event.data.text, event.metadata.history) for event in rig.published if event.event_type == "chat.message"
    ]
    assert told == [("a", False), ("b", False), ("b", True), ("c", True)]
    assert len({event.id for event in rig.published}) == 5


def test_a_slow_disk_holds_up_the_socket(tmp_path: Path) -> None:
    """A burst that the disk takes long for waits at its door, and none of it is lost."""

    class Slow(MemoryLog):
        async def commit(self, batch: Batch) -> list[bool]:
            await asyncio.sleep(1)
            return await super().commit(batch)

    async def scenario(_: Rig) -> float:
        engine = Slow()
        log = memory_log(lambda: 1000.0, engine)
        await log.open()
        rig = Rig(tmp_path / "slow", eventlog=log)
        for start in range(0, 100_000, 1_000):
            await rig.hear(*(line("x", at=start + number) for number in range(1_000)))
            assert log.status()["waiting"] <= 6_000
        await log.flushed()
        assert log.lost == 0
        await log.close()
        return 0.0

    virtual(tmp_path, scenario)


async def test_the_only_line_there_is(rig: Rig) -> None:
    """A room's only line, repeated at a rejoin, is not a second one of the same moment."""
    await rig.hear(line("a", at=1))
    await rig.hear(ConnectionLost("gone"))
    await rig.hear(line("a", at=1), metadata=Metadata(history=True))
    assert [event.event_type for event in rig.published] == ["chat.message", "connection.lost"]


async def test_a_stopped_line(rig: Rig) -> None:
    """A judge's verdict stands in the event that everyone sees, and the line is no command."""
    judged_by(rig, FakeJudge(lambda text: Verdict(stop=True, reason="rude") if "rude" in text else None))
    await rig.hear(line("!echo rude"), line("!echo nice"))
    assert rig.commands == ["!echo nice"]
    verdict = rig.published[0].metadata.verdict
    assert verdict is not None
    assert (verdict.stop, verdict.reason, verdict.judge) == (True, "rude", "fake")
    assert rig.published[1].metadata.verdict is None


def virtual(tmp_path: Path, scenario: Callable[[Rig], Coroutine[Any, Any, float]]) -> float:
    """Run a scenario in virtual time."""

    async def made() -> float:
        rig = Rig(tmp_path)
        try:
            return await scenario(rig)
        finally:
            await rig.eventlog.close()

    with structlog.testing.capture_logs():
        return run_virtual(made())


def test_order_is_kept_behind_a_judge(tmp_path: Path) -> None:
    """What comes after a judged line waits for its verdict; a judge has a quarter of a second."""

    async def scenario(rig: Rig) -> float:
        judged_by(rig, FakeJudge(lambda _: None, seconds=60))
        began = asyncio.get_running_loop().time()
        await rig.hear(line("first"), UserJoined("eve", 1), line("second"))
        assert rig.types == ["chat.message", "user.joined", "chat.message"]
        return asyncio.get_running_loop().time() - began

    assert virtual(tmp_path, scenario) == pytest.approx(0.25)


async def test_what_waits_is_judged_by_one_question(rig: Rig) -> None:
    """Each line has a verdict of its own, all are told in their order, and what is no live line is not asked for."""
    judge = FakeJudge(lambda text: Verdict(stop="rude" in text, reason=text) if text != "!c" else None)
    judged_by(rig, judge)
    await rig.hear(UserJoined("eve", 1), line("!a rude"), UserJoined("bob", 1), line("!b nice"), line("!c"))
    assert judge.asked == [["!a rude", "!b nice", "!c"]]
    assert rig.types == ["user.joined", "chat.message", "user.joined", "chat.message", "chat.message"]
    assert [event.seq for event in rig.published] == [1, 2, 3, 4, 5]
    verdicts = [event.metadata.verdict for event in rig.published if event.event_type == "chat.message"]
    assert [verdict and verdict.reason for verdict in verdicts] == ["!a rude", "!b nice", None]
    assert rig.commands == ["!b nice", "!c"]


async def test_a_judge_that_breaks(rig: Rig) -> None:
    """A fault of ours while lines are judged is counted; they are told to all, and are no commands."""

    def faulty(_: str) -> Verdict | None:
        raise ValueError("a fault")

    judged_by(rig, FakeJudge(faulty))
    await rig.hear(line("!echo one"), UserJoined("eve", 1))
    assert rig.pipeline.failures == 1
    assert rig.types == ["chat.message", "user.joined"]
    assert rig.commands == []
    await rig.hear(UserJoined("bob", 1))
    assert rig.types[2:] == ["user.joined"]


async def test_order_around_judged_lines_that_are_too_big(make: Make) -> None:
    """`core.too_big` comes behind all that was held back, since its number is later."""
    rig = make(biggest=500)
    judged_by(rig, FakeJudge(lambda _: None))
    await rig.hear(line("x" * 1000), UserJoined("eve", 1), StatsUsercount(connected=1))
    assert rig.types == ["user.joined", "stats.high_water", "stats.usercount", "core.too_big"]
    numbers = [event.seq for event in rig.published]
    assert numbers == sorted(numbers)


def test_silence_may_stop(tmp_path: Path) -> None:
    """With `on_silence = "stop"` a line whose judge does not answer is stopped."""

    async def scenario(rig: Rig) -> float:
        judged_by(rig, FakeJudge(lambda _: None, seconds=60))
        rig.pipeline.on_silence = "stop"
        await rig.hear(line("!echo hi"))
        verdict = rig.published[0].metadata.verdict
        assert verdict is not None
        assert verdict.stop
        assert rig.commands == []
        return 0

    virtual(tmp_path, scenario)


def test_receipts_do_not_wait_for_judges(tmp_path: Path) -> None:
    """Our own line's echo reaches the sender at once, whatever a judge does with the line before it."""

    async def scenario(rig: Rig) -> float:
        await rig.hear(
            ConnectionLogin(ok=True, name="Rosey"),
            ConnectionRank(2),
            ChannelPermissions({"chat": 0}),
            ConnectionJoined("movienight", "Rosey", 2),
        )
        sending = asyncio.create_task(rig.sender.run())
        receipt = rig.pipeline.act(SendMessage(text="hello"), plugin="x", reply=True)
        await asyncio.sleep(0.1)
        assert rig.sent
        rig.pipeline.state.apply(UserJoined("Rosey", 2))
        judged_by(rig, FakeJudge(lambda _: None, seconds=60))
        own = Draft(line("hello", user="Rosey"), 1.0, Metadata(own=True))
        hearing = asyncio.create_task(rig.pipeline.hear([own, Draft(line("judged"), 1.0, NOTHING)]))
        outcome = await receipt.outcome()
        assert outcome == Outcome("done")
        assert not hearing.done()
        await hearing
        sending.cancel()
        await asyncio.wait((sending,))
        return 0

    virtual(tmp_path, scenario)


def test_nothing_overtakes_a_judged_line(tmp_path: Path) -> None:
    """What is told while a judge thinks comes behind the line, with a later number."""

    async def scenario(rig: Rig) -> float:
        judged_by(rig, FakeJudge(lambda _: None, seconds=0.1))
        hearing = asyncio.create_task(rig.hear(line("one"), line("two")))
        await asyncio.sleep(0.05)
        rig.pipeline.tell(StatsUsercount(connected=1))
        assert rig.types == []
        await hearing
        rig.pipeline.tell(StatsUsercount(connected=2))
        assert rig.types == ["chat.message", "chat.message", "stats.usercount", "stats.usercount"]
        numbers = [event.seq for event in rig.published]
        assert numbers == sorted(numbers)
        return 0

    virtual(tmp_path, scenario)


async def test_ever_new_types_use_no_memory(rig: Rig) -> None:
    """A server that thinks of a new event each time fills nothing here."""
    for number in range(3_000):
        await rig.hear(Raw(f"new{number}", None))
    assert len(rig.published) == 3_000
    assert len(rig.pipeline._lanes) <= 1_000
    assert len(rig.pipeline._subjects) <= 1_000


def test_two_bots(tmp_path: Path) -> None:
    """After three quick answers to one user there is none for a minute; somebody else still gets his."""

    async def scenario(rig: Rig) -> float:
        outcomes = []
        for number in range(5):
            await rig.hear(line(f"{number}", user="mirror"))
            receipt = rig.pipeline.act(SendMessage(text=f"{number}"), plugin="echo", reply=False)
            outcomes.append(receipt.settled.state if receipt.settled else "queued")
            await asyncio.sleep(0.5)
        assert outcomes == ["queued"] * 3 + ["dropped"] * 2
        await rig.hear(line("hello", user="eve"))
        receipt = rig.pipeline.act(SendMessage(text="hi"), plugin="echo", reply=True)
        assert receipt.settled is None
        await rig.hear(line("and me", user="mirror"))
        assert rig.pipeline.act(SendMessage(text="no"), plugin="echo", reply=True).settled is not None
        assert rig.pipeline.act(KickUser(user="mirror"), plugin="moderation", reply=False).settled is None
        await asyncio.sleep(61)
        await rig.hear(line("still there?", user="mirror"))
        assert rig.pipeline.act(SendMessage(text="yes"), plugin="echo", reply=True).settled is None
        return 0

    virtual(tmp_path, scenario)


async def test_a_fault_stops_nothing(rig: Rig) -> None:
    """A draft that can't be handled is counted and logged, and the next goes on."""

    def faulty(_: NormalizedEvent) -> None:
        raise ValueError("a fault")

    rig.pipeline.on_line = faulty
    await rig.hear(line("one"), line("two"), UserJoined("eve", 1))
    assert rig.pipeline.failures == 2
    assert rig.types == ["chat.message", "chat.message", "user.joined"]


async def test_too_big_is_told_once(make: Make) -> None:
    """An event that NATS would not take is told by `core.too_big`, also when even that is too big."""
    rig = make(biggest=400)
    await rig.hear(line("x" * 1000), line("small"))
    assert rig.types == ["core.too_big", "chat.message"]
    assert rig.published[0].data.event_type == "chat.message"
    assert rig.published[0].data.size > 1000
    tiny = make(biggest=10)
    await tiny.hear(line("small"))
    assert tiny.published == []
    assert tiny.pipeline.failures == 0


async def test_counts_know_the_state(rig: Rig) -> None:
    """`stats.usercount` says how many are logged in, and a new record is told before it, once."""
    await rig.hear(UserJoined("eve", 1), StatsUsercount(connected=5), StatsUsercount(connected=3))
    assert rig.types == ["user.joined", "stats.high_water", "stats.usercount", "stats.usercount"]
    assert rig.published[2].data.users == 1
