"""Durable lanes over the event log: nothing lost, in order, whatever fails; in virtual time and in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from rosey_core.envelope import NOTHING, NormalizedEvent, encode
from rosey_core.errors import EventLogError
from rosey_core.eventlog import pending
from rosey_core.eventlog.engine import Batch, Dead, Lost
from rosey_core.eventlog.log import EventLog
from rosey_core.eventlog.reader import IN_MEMORY
from rosey_core.events import ChatMessage, Data, Media, MediaPlayed, MediaSynced, UserJoined, event_type_of
from rosey_core.host.durable import DurableLane
from rosey_core.host.home import Failure
from rosey_core.testing.clock import run_virtual
from rosey_core.testing.eventlog import MemoryLog, memory_log


class Rig:
    """An event log, and a durable lane whose end notes what it gets."""

    def __init__(self, engine: MemoryLog | None = None, *, oldest: bool = False, max_tries: int = 4) -> None:
        self.engine = engine or MemoryLog()
        self.log = memory_log(lambda: 1000.0, self.engine)
        self.oldest = oldest
        self.max_tries = max_tries
        self.got: list[list[int]] = []
        self.gaps: list[Any] = []
        self.answers: list[Failure | Callable[[Sequence[NormalizedEvent]], Failure | None] | None] = []
        self.seq = 0
        self.task: asyncio.Task[None] | None = None

    async def open(self) -> Rig:
        """Open the log."""
        await self.log.open()
        self.seq = self.log.head("cytube")
        return self

    def begin(self) -> DurableLane:
        """Run the lane."""
        self.lane = DurableLane(
            "one",
            "cytube",
            self._deliver,
            wants=lambda kind: kind in {"chat.message", "core.gap"},
            reader=self.log.reader("one", "cytube", oldest=self.oldest),
            graves=self.log,
            max_tries=self.max_tries,
            clock=lambda: 1000.0,
            log=structlog.get_logger(),
        )
        self.task = asyncio.get_running_loop().create_task(self.lane.run())
        return self.lane

    async def end(self) -> None:
        """Stop the lane and close the log, as a daemon that stops does."""
        await self.kill()
        await self.log.close()

    async def kill(self) -> None:
        """Stop the lane; what is not on disk is lost."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait((self.task,))

    async def _deliver(self, events: Sequence[NormalizedEvent]) -> Failure | None:
        answer = self.answers.pop(0) if self.answers else None
        if callable(answer):
            answer = answer(events)
        self.got.append([event.seq for event in events])
        self.gaps += [event.data for event in events if event.event_type == "core.gap"]
        await asyncio.sleep(0)
        return answer

    def tell(self, *texts: str) -> None:
        """Somebody says something."""
        for text in texts:
            self.put(ChatMessage("alice", text, text, time_ms=self.seq))

    def put(self, data: Data) -> None:
        """Something happens."""
        self.seq += 1
        event = NormalizedEvent(
            event_type_of(data), "cytube", data, 1.0, NOTHING, f"id{self.seq}", "cytube", self.seq
        )
        self.log.append(event, encode(event))

    @property
    def flat(self) -> list[int]:
        """Every number that came."""
        return [seq for seqs in self.got for seq in seqs]


def virtual(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it in virtual time, and quietly."""
    with structlog.testing.capture_logs():
        run_virtual(scenario())


def test_events_come_in_order_in_lists() -> None:
    """What is kept and wanted comes, once, in lists of up to 256; nothing else."""

    async def scenario() -> None:
        rig = await Rig().open()
        lane = rig.begin()
        rig.tell("a")
        rig.put(UserJoined(name="bob"))
        rig.put(MediaSynced(1.0))
        rig.tell("b")
        await asyncio.sleep(1)
        assert rig.flat == [1, 4]
        rig.tell(*map(str, range(600)))
        await asyncio.sleep(1)
        await lane.drained()
        assert rig.flat == [1, 4, *range(5, 605)]
        assert max(map(len, rig.got)) <= 256
        assert len(lane) == 0
        await rig.end()

    virtual(scenario)


def test_a_new_one_starts_now_or_with_the_oldest() -> None:
    """A plugin that is new hears what comes; one that asks for the oldest, everything that is kept."""

    async def scenario() -> None:
        engine = MemoryLog()
        for oldest, expected in ((False, [3]), (True, [1, 2, 3])):
            rig = await Rig(MemoryLog() if oldest else engine, oldest=oldest).open()
            rig.tell("a", "b")
            await rig.log.flushed()
            rig.begin()
            rig.tell("c")
            await asyncio.sleep(1)
            assert rig.flat == expected
            await rig.end()

    virtual(scenario)


def test_a_restart_goes_on_where_it_was() -> None:
    """Off for a while, a plugin catches up, from the table as well as from memory."""

    async def scenario() -> None:
        rig = await Rig().open()
        rig.begin()
        rig.tell("a", "b")
        await asyncio.sleep(1)
        await rig.end()
        away = await Rig(rig.engine).open()
        away.tell(*map(str, range(1_000)))
        await away.end()
        back = await Rig(rig.engine).open()
        back.begin()
        back.tell("z")
        await asyncio.sleep(1)
        assert back.flat == list(range(3, 1_004))
        await back.end()

    virtual(scenario)


def test_more_than_memory_holds() -> None:
    """Who is far behind reads the table, then memory, and misses nothing on the way over."""

    async def scenario() -> None:
        rig = await Rig(oldest=True).open()
        rig.begin()
        rig.answers = [lambda _: Failure(0, "later", retry=5.0)]
        rig.tell("a")
        for _ in range(30):
            rig.tell(*map(str, range(IN_MEMORY // 10)))
            await asyncio.sleep(0.1)
        await asyncio.sleep(60)
        assert rig.flat[len(rig.got[0]) :] == list(range(1, rig.seq + 1))
        await rig.end()

    virtual(scenario)


def test_a_list_that_fails_comes_event_by_event() -> None:
    """The lane waits 0.5 s and tries one by one; what was handled before the failure does not come again."""

    async def scenario() -> None:
        rig = await Rig().open()
        lane = rig.begin()
        rig.answers = [Failure(2, "ValueError: no"), Failure(0, "ValueError: no")]
        began = asyncio.get_running_loop().time()
        rig.tell("a", "b", "c", "d", "e")
        await asyncio.sleep(0.1)
        assert rig.got == [[1, 2, 3, 4, 5]]
        assert lane.reason == "event cytube-3: ValueError: no"
        await asyncio.sleep(0.5)
        assert rig.got[1:] == [[3]]
        await asyncio.sleep(2)
        assert rig.got[2:] == [[3], [4], [5]]
        assert lane.reason == ""
        assert asyncio.get_running_loop().time() - began > 1.5
        await rig.end()

    virtual(scenario)


def test_dead_letters() -> None:
    """An event that fails every time is put aside, the lane goes on, and it may be tried again later."""

    async def scenario() -> None:
        rig = await Rig(max_tries=3).open()
        lane = rig.begin()
        rig.answers = [Failure(1, "ValueError: no \ud800")] * 3
        rig.answers = [Failure(1, "x"), Failure(0, "x"), Failure(0, "ValueError: no \ud800")]
        rig.tell("a", "b", "c")
        await asyncio.sleep(60)
        assert rig.got == [[1, 2, 3], [2], [2], [3]]
        (dead,) = await rig.log.dead("one")
        assert (dead.seq, dead.tries, dead.error) == (2, 3, "ValueError: no ?")
        assert lane.dropped == 1
        rig.answers = [Failure(0, "still")]
        lane.retry(dead)
        await asyncio.sleep(1)
        (dead,) = await rig.log.dead("one")
        assert (dead.tries, dead.error) == (4, "still")
        lane.retry(dead)
        await asyncio.sleep(1)
        assert await rig.log.dead("one") == []
        assert rig.got[-1] == [2]
        await rig.end()

    virtual(scenario)


def test_what_is_not_the_events_fault_is_tried_without_end() -> None:
    """A plugin that is not ready for its events makes no dead letters, however long it takes."""

    async def scenario() -> None:
        rig = await Rig(max_tries=2).open()
        lane = rig.begin()
        rig.answers = [Failure(0, "the disk is full", retry=30.0)] * 50
        rig.tell("a", "b")
        await asyncio.sleep(30 * 49)
        assert lane.reason == "the disk is full"
        await asyncio.sleep(60)
        assert rig.got[-1] == [2]
        assert await rig.log.dead("one") == []
        await rig.end()

    virtual(scenario)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(("tell", "fail", "late", "kill", "stop", "wait", "disk")), max_size=30))
def test_at_least_once_in_order(steps: list[str]) -> None:
    """Failures, full disks, stops and kills at any time: every event that was told comes, the first time in order."""

    async def scenario() -> None:
        engine = MemoryLog()
        rig = await Rig(engine, max_tries=1_000).open()
        rig.begin()
        firsts: list[int] = []

        def note() -> None:
            firsts.extend(seq for seq in rig.flat if seq not in firsts)

        told = 0
        for step in steps:
            match step:
                case "tell":
                    rig.tell("a", "b", "c")
                    told = rig.seq
                case "fail":
                    rig.answers += [Failure(0, "no"), lambda events: Failure(min(1, len(events) - 1), "no")]
                case "late":
                    rig.answers += [Failure(0, "later", retry=2.0)]
                case "disk":
                    engine.fault = "the disk is full"
                    rig.tell("d")
                    told = rig.seq
                    await asyncio.sleep(2)
                    engine.fault = ""
                case "wait":
                    await asyncio.sleep(0.3)
                case "kill" | "stop":
                    await asyncio.sleep(1.5)  # what is not on disk yet may be lost in a kill, and is no matter here
                    note()
                    await (rig.kill() if step == "kill" else rig.end())
                    rig = await Rig(engine, max_tries=1_000).open()
                    rig.begin()
        await asyncio.sleep(1_000)
        note()
        # What the end of the lane answered with a failure was got, too: so only the first time of each counts.
        assert firsts == list(range(1, told + 1))
        await rig.end()

    virtual(scenario)


def test_a_full_disk_drops_the_oldest_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be kept any longer is counted; in its place stands a gap, for everyone who reads the log."""
    monkeypatch.setattr(pending, "MOST", 10)

    async def scenario() -> None:
        rig = await Rig().open()
        rig.begin()
        rig.tell("a")
        await asyncio.sleep(1)
        rig.engine.fault = "events.db can't be written: disk I/O error"
        rig.tell(*map(str, range(30)))
        await asyncio.sleep(0.1)
        assert rig.log.status()["fault"] == rig.engine.fault
        with pytest.raises(EventLogError):
            await rig.log.claim(b"x")
        rig.engine.fault = ""
        await asyncio.sleep(3)
        assert rig.log.status()["fault"] == ""
        assert rig.log.lost == 20
        (gap,) = rig.gaps
        assert (gap.count, gap.first, gap.last, gap.where) == (20, 2, 21, "log")
        assert rig.flat == [1, 21, *range(22, 32)]
        await rig.end()

    virtual(scenario)


def test_what_is_trimmed_is_told() -> None:
    """A plugin that was away too long hears how much it will never get, then goes on; now and after a restart."""

    async def scenario() -> None:
        engine = MemoryLog()
        rig = await Rig(engine).open()
        rig.begin()
        rig.tell("a")
        await asyncio.sleep(1)
        await rig.end()
        rig = Rig(engine)
        rig.log = EventLog(engine, rig.log._config, clock=lambda: 1000.0 + 86_400 * 31, log=structlog.get_logger())
        away = await Rig(engine).open()
        away.tell("b", "c")
        await away.end()
        await rig.open()
        rig.tell("d")
        await rig.log.flushed()
        await rig.log.trim()
        rig.begin()
        await asyncio.sleep(1)
        (gap,) = rig.gaps
        assert (gap.count, gap.certain) == (2, False)
        assert rig.flat == [3, 4]
        assert rig.lane.dropped == 2
        await rig.end()
        again = await Rig(engine).open()
        again.begin()
        await asyncio.sleep(1)
        assert again.flat == []
        await again.end()

    virtual(scenario)


def test_a_gap_stands_for_all_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a full disk is tried again meanwhile."""
    monkeypatch.setattr(pending, "MOST", 10)

    async def scenario() -> None:
        rig = await Rig().open()
        rig.begin()
        rig.engine.fault = "the disk is full"
        for _ in range(20):
            rig.tell(*map(str, range(45)))
            await asyncio.sleep(1.5)
        rig.engine.fault = ""
        await asyncio.sleep(3)
        handed = [seq for seqs in rig.got for seq in seqs]
        missing = rig.seq - len(handed) + len(rig.gaps)
        assert sum(gap.count for gap in rig.gaps) == missing
        assert rig.log.lost == missing
        await rig.end()

    virtual(scenario)


def test_a_gap_is_told_until_it_is_handled() -> None:
    """A lane that ends while it tells of a gap does not make it untold."""

    async def scenario() -> None:
        engine = MemoryLog()
        rig = await Rig(engine).open()
        reader = rig.log.reader("one", "cytube")
        rig.tell("a", "b")
        await rig.log.flushed()
        reader.losing(Lost("one", "cytube", 2, 1, 2))
        for _ in range(2):
            events, reached = await reader.next(lambda _: True, 10)
            assert [event.event_type for event in events] == ["core.gap"]
        reader.losing(Lost("one", "cytube", 3, 3, 9))
        reader.advance(reached)
        events, _ = await reader.next(lambda _: True, 10)
        assert (events[0].data.count, events[0].data.first, events[0].data.last) == (3, 3, 9)
        await rig.end()

    virtual(scenario)


def test_what_is_forgotten_is_not_in_hand() -> None:
    """Lines that a lane holds while it waits, and letters to be tried again, are forgotten too."""

    async def scenario() -> None:
        rig = await Rig(max_tries=2).open()
        lane = rig.begin()
        rig.answers = [Failure(0, "no", retry=60.0)]
        rig.tell("a")
        rig.put(ChatMessage("bob", "secret", "secret", time_ms=5))
        rig.put(MediaPlayed(Media("x", "yt"), queued_by="bob"))
        rig.tell("b")
        await asyncio.sleep(1)
        assert rig.got == [[1, 2, 4]]
        assert await rig.log.forget("BOB") == (1, 1)
        await lane.forget("BOB", 1.0)
        await asyncio.sleep(120)
        assert rig.flat == [1, 2, 4, 1, 4]
        assert await rig.log.export("bob") == []
        await rig.end()

    virtual(scenario)


def test_forgetting_reaches_the_letters_of_a_channel_that_is_gone() -> None:
    """A dead letter may be all that is left of a channel."""

    async def scenario() -> None:
        rig = await Rig().open()
        event = NormalizedEvent("chat.message", "cytube", ChatMessage("bob", "x"), 1.0, NOTHING, "id", "gone", 7)
        rig.log.bury(Dead("one", "gone", 7, "chat.message", 3, "no", 1000.0, encode(event)))
        assert await rig.log.forget("bob") == (1, 0)
        assert await rig.log.dead("one") == []
        await rig.end()

    virtual(scenario)


def test_many_failures_are_no_storm() -> None:
    """With one try only, a plugin that fails at everything gives up two events a second, and not all at once."""

    async def scenario() -> None:
        rig = await Rig(max_tries=1).open()
        rig.begin()
        rig.answers = [Failure(0, "no")] * 100
        rig.tell(*map(str, range(100)))
        await asyncio.sleep(5)
        assert 5 <= len(await rig.log.dead("one")) <= 12
        await rig.end()

    virtual(scenario)


def test_nobody_can_cancel_a_commit() -> None:
    """Whoever cancels all tasks there are takes no event and no claim along."""

    class Slow(MemoryLog):
        def commit(self, batch: Batch) -> asyncio.Future[list[bool]]:  # type: ignore[override]  # no task, as SQLite's
            loop = asyncio.get_running_loop()
            future: asyncio.Future[list[bool]] = loop.create_future()
            loop.call_later(1.0, lambda: future.set_result(self.written(batch)))
            return future

        def written(self, batch: Batch) -> list[bool]:
            work = MemoryLog.commit(self, batch)
            try:
                work.send(None)  # it never waits
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            raise AssertionError

    async def scenario() -> None:
        rig = await Rig(Slow()).open()
        rig.tell("a")
        claiming = asyncio.create_task(rig.log.claim(b"x"))
        await asyncio.sleep(0.5)
        here = asyncio.current_task()
        for task in asyncio.all_tasks() - {here, claiming}:
            task.cancel()
        assert await claiming
        rig.begin()
        rig.tell("b")
        await asyncio.sleep(5)
        assert rig.flat == [2]
        assert len(await rig.engine.read("cytube", 0, 10)) == 2
        await rig.end()

    virtual(scenario)


def test_a_letter_is_not_handed_to_who_may_not_read_it() -> None:
    """Asked for twice it is tried once; and not at all by a plugin that lost the grant for it."""

    async def scenario() -> None:
        rig = await Rig().open()
        lane = rig.begin()
        pm = NormalizedEvent("chat.pm", "cytube", ChatMessage("bob", "x"), 1.0, NOTHING, "id", "cytube", 7)
        line = NormalizedEvent("chat.message", "cytube", ChatMessage("bob", "x"), 1.0, NOTHING, "id", "cytube", 8)
        letters = [Dead("one", "cytube", e.seq, e.event_type, 3, "no", 1.0, encode(e)) for e in (pm, line)]
        for dead in (*letters, *letters):
            rig.log.bury(dead)
            lane.retry(dead)
        await asyncio.sleep(1)
        assert rig.flat == [8]
        assert [dead.seq for dead in await rig.log.dead("one")] == [7]
        await rig.end()

    virtual(scenario)


def test_who_was_removed_is_new_when_it_comes_back() -> None:
    """Nothing of its first life stays: no position, no gap, no letter, and no late word of its old lane's."""

    async def scenario() -> None:
        rig = await Rig().open()
        reader = rig.log.reader("one", "cytube")
        rig.tell("a", "b", "c")
        rig.log.bury(Dead("one", "cytube", 1, "chat.message", 3, "no", 1.0, b"{}"))
        await rig.log.flushed()
        reader.losing(Lost("one", "cytube", 1, 1, 1))
        rig.log.bury(Dead("one", "cytube", 2, "chat.message", 3, "no", 1.0, b"{}"))
        await rig.log.retain(["another"])
        reader.advance(2)
        assert await rig.log.dead("one") == []
        again = rig.log.reader("one", "cytube")
        assert again is not reader
        assert (again.position, again.lost, again.new) == (3, None, True)
        await rig.end()

    virtual(scenario)
