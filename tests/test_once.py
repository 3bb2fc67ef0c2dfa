"""Actions that answer a kept event: done once, in time, and always with an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from rosey_core.actions import Outcome, SendMessage, SendPm
from rosey_core.cause import Cause, identity
from rosey_core.eventlog.history import Seen
from rosey_core.host.ownership import Owner, owned_by, task_factory
from rosey_core.once import Once
from rosey_core.receipt import Receipt
from rosey_core.testing.clock import run_virtual
from rosey_core.testing.eventlog import MemoryLog, memory_log

HELLO = SendMessage(text="hello")


class Rig:
    """Once, over an event log in memory, at the second 1,000."""

    def __init__(self) -> None:
        self.engine = MemoryLog()
        self.log = memory_log(lambda: 1000.0, self.engine)
        self.once = Once("cytube", self.log, lambda: 1000.0)
        self.sent: list[str] = []

    def act(self, cause: Cause) -> Receipt:
        """A plugin says hello because of something."""

        def submit() -> Receipt:
            self.sent.append(cause.event)
            return Receipt.of("chat.send_message", Outcome("done"))

        return self.once.act(HELLO, "one", cause, submit)


def virtual(scenario: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
    """Run it in virtual time."""

    async def made() -> None:
        asyncio.get_running_loop().set_task_factory(task_factory)
        rig = Rig()
        await rig.log.open()
        await scenario(rig)
        await rig.log.close()

    run_virtual(made())


def test_a_repeat_is_dropped() -> None:
    """The same action for the same event is done once; another number, event or target is another one."""

    async def scenario(rig: Rig) -> None:
        first, again = rig.act(Cause("a", 1000.0)), rig.act(Cause("a", 1000.0))
        assert (await first.outcome()).state == "done"
        assert await again.outcome() == Outcome("dropped", "it was done for this event before")
        assert (await rig.act(Cause("a", 1000.0, 1)).outcome()).state == "done"
        assert (await rig.act(Cause("b", 1000.0)).outcome()).state == "done"
        assert rig.sent == ["a", "a", "b"]

    virtual(scenario)
    to = [identity(Cause("a", 1.0), "cytube", "one", SendPm(to=name, text="x")) for name in ("bob", "eve", "bob")]
    assert to[0] == to[2] != to[1]


def test_an_old_event_is_not_answered() -> None:
    """After a minute it is stale, unless it may be late; a clock of CyTube's that is behind makes no event old."""

    async def scenario(rig: Rig) -> None:
        outcome = await rig.act(Cause("a", 900.0)).outcome()
        assert (outcome.state, "100 s old" in outcome.reason) == ("stale", True)
        assert (await rig.act(Cause("a", 900.0, late=True)).outcome()).state == "done"
        rig.once.heard(910.0)
        assert (await rig.act(Cause("b", 900.0)).outcome()).state == "done"
        rig.once.heard(1_500.0)  # it is ahead: nothing is younger for that
        assert (await rig.act(Cause("c", 900.0)).outcome()).state == "stale"

    virtual(scenario)


def test_a_plugin_that_stops_does_not_take_its_action_along() -> None:
    """What it asked for in a hook that ended well is done, though it was stopped right after."""

    async def scenario(rig: Rig) -> None:
        owner = Owner("one", lambda *_: None)
        with owned_by(owner):
            receipt = rig.act(Cause("a", 1000.0))
        await owner.close(1.0)
        assert (await receipt.outcome()).state == "done"

    virtual(scenario)


def test_there_is_always_an_outcome() -> None:
    """A full disk, a disk that does not answer, and the end of everything are outcomes."""

    class Stuck(MemoryLog):
        async def commit(self, _: Any) -> list[bool]:
            await asyncio.sleep(3_600)
            raise AssertionError

    async def scenario(rig: Rig) -> None:
        rig.engine.fault = "the disk is full"
        outcome = await rig.act(Cause("a", 1000.0)).outcome()
        assert outcome == Outcome("dropped", "it can't be noted, so it might be done twice: the disk is full")
        rig.engine.fault = ""
        rig.once = Once("cytube", memory_log(lambda: 1000.0, Stuck()), lambda: 1000.0)
        outcome = await rig.act(Cause("b", 1000.0)).outcome()
        assert outcome == Outcome("dropped", "it was not noted within 10 s, so it might be done twice")
        receipt = rig.act(Cause("c", 1000.0))
        await asyncio.sleep(1)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        assert (await receipt.outcome()).state == "unknown"

    virtual(scenario)


def test_a_clock_that_was_set_back() -> None:
    """CyTube's clock goes back by a minute: what is missed after that is filled in."""
    seen = Seen(100_000, ("a",))
    seen.add(99_990, "b")
    assert seen.has(99_990, "b")
    assert seen.newest == 100_000
    seen.add(40_000, "c")
    assert not seen.has(40_500, "missed")
    assert seen.has(40_000, "c")
