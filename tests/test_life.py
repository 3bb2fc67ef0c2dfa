"""The life of a plugin instance inside the daemon, in virtual time: what it does hurts only itself."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import sleep
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from rosey_core.envelope import NOTHING, NormalizedEvent
from rosey_core.errors import NotReady, PluginError, Unavailable
from rosey_core.events import ChatMessage
from rosey_core.host.budget import Budgets
from rosey_core.host.dispatch import Dispatch
from rosey_core.host.hookspecs import hookimpl
from rosey_core.host.inside import Inside
from rosey_core.host.life import Life
from rosey_core.host.ownership import exception_handler, task_factory
from rosey_core.manifest import Manifest, Settings
from rosey_core.testing.clock import run_virtual


class Plugin:
    """Notes what is called; lines of chat say what it does."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.notready: list[Any] = []
        self.saved: asyncio.Task[Any] | None = None
        self.released = False

    @hookimpl
    async def start(self) -> None:
        """Leave a task behind, then be ready or not."""
        asyncio.create_task(self.tick(len(self.notready)), name="tick")  # noqa: RUF006  plugins do so
        await sleep(0)
        self.calls.append("start")
        if self.notready:
            raise NotReady("not yet", retry=self.notready.pop())

    @hookimpl
    async def stop(self) -> None:
        """Stop."""
        self.calls.append("stop")

    @hookimpl
    async def on_chat_message(self, event: NormalizedEvent) -> None:
        """Do what the line says."""
        self.calls.append(event.data.text)
        await getattr(self, event.data.text)()

    async def tick(self, number: int = 0) -> None:
        """Work for ever."""
        try:
            await sleep(1e9)
        finally:
            self.calls.append(f"tick {number} ended")

    async def fine(self) -> None:
        """Do nothing."""

    async def hang(self) -> None:
        """Never come back."""
        await sleep(1e9)

    async def swallow(self) -> None:
        """Swallow a cancellation and come back."""
        try:
            await sleep(1e9)
        except asyncio.CancelledError:
            self.calls.append("swallowed")

    async def tidy(self) -> None:
        """Take a while to clean up."""
        try:
            await sleep(1e9)
        finally:
            await sleep(0.5)
            self.calls.append("tidied")

    async def unspeakable(self) -> None:
        """Raise what can't be told."""

        class UnspeakableError(Exception):
            def __str__(self) -> str:
                raise SystemExit(3)

            __repr__ = __str__

        raise UnspeakableError

    async def suicide(self) -> None:
        """Cancel the task that it is called in, and go on."""
        self.saved = asyncio.current_task()
        self.cancel_saved()

    async def suicide_waiting(self) -> None:
        """Cancel it, and wait for that."""
        await self.suicide()
        await sleep(1)

    def cancel_saved(self) -> None:
        """Cancel the task of an earlier call."""
        assert self.saved is not None
        self.saved.cancel()

    async def stubborn(self) -> None:
        """Swallow every cancellation."""
        while not self.released:
            with contextlib.suppress(asyncio.CancelledError):
                await sleep(1e9)

    async def raise_plugin_error(self) -> None:
        """Raise what `ctx` raises."""
        raise PluginError("not granted")

    async def lost(self) -> None:
        """Start a task that fails, and drop it."""
        asyncio.create_task(self.fail())  # noqa: RUF006  the point
        await sleep(0)

    async def fail(self) -> None:
        """Fail."""
        raise ValueError("lost")


def line(text: str) -> NormalizedEvent:
    """A chat line."""
    return NormalizedEvent("chat.message", "cytube", ChatMessage("bob", text), 1.0, NOTHING, "c", "cytube", 1)


class Port:
    """A channel that is never used."""

    name = "cytube"
    prefix = "!"


def life_of(plugin: Callable[[], Plugin], budgets: Budgets, changed: Callable[[], None]) -> Life[Inside]:
    """A life of what `plugin` makes, in one channel."""

    class Maker:
        manifest = Manifest(name="p", summary="A plugin.")

        def __new__(cls, settings: Settings) -> Any:
            return plugin()

    def make(parked: Callable[[str], None]) -> Inside:
        home = Inside(
            Maker,
            {},
            host=cast("Any", type("Host", (), {"clock": None})),
            grants=frozenset(),
            directory=Path(),
            budgets=budgets,
            log=structlog.get_logger(),
            parked=parked,
        )
        home.enter(cast("Any", Port()), {})
        return home

    return Life("p", make, log=structlog.get_logger(), changed=changed)


class Rig:
    """A life with one lane."""

    def __init__(self, plugin: Plugin) -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(task_factory)
        loop.set_exception_handler(exception_handler)
        self.plugin = plugin
        self.states: list[str] = []
        budgets = Budgets()
        self.ticker = asyncio.create_task(budgets.run())
        self.life = life_of(lambda: plugin, budgets, lambda: self.states.append(self.life.state))
        lane = self.life.lane("cytube")
        assert lane is not None
        self.lane = lane

    @property
    def calls(self) -> Dispatch:
        """The calls of the instance."""
        assert self.life.home is not None
        return self.life.home._dispatch

    async def tell(self, *texts: str) -> None:
        """Put lines into the lane and wait until it is dry."""
        for text in texts:
            self.lane.put(line(text))
        await self.lane.drained()


Scenario = Callable[[Rig], Awaitable[None]]


def lives(scenario: Scenario, plugin: Plugin | None = None) -> list[str]:
    """Run a scenario with a plugin that was started: what was called of it."""

    async def virtual() -> list[str]:
        rig = Rig(plugin or Plugin())
        await sleep(1)
        rig.life.start()
        await sleep(0.1)
        try:
            await scenario(rig)
        finally:
            rig.plugin.released = True
        await rig.life.stop(5)
        rig.calls.owner.abandon()
        rig.ticker.cancel()
        return rig.plugin.calls

    with structlog.testing.capture_logs():
        return run_virtual(virtual())


def test_from_start_to_stop() -> None:
    """It starts, hears, stops, and its tasks end last."""

    async def scenario(rig: Rig) -> None:
        await rig.tell("fine")
        await rig.life.stop(5)
        assert rig.states == ["running", "stopped"]

    assert lives(scenario) == ["start", "fine", "stop", "tick 0 ended"]


def test_an_error_that_can_not_be_told() -> None:
    """An exception whose own text raises is counted like any other, and the next event is heard."""

    async def scenario(rig: Rig) -> None:
        await rig.tell("unspeakable", "fine")
        assert rig.calls.counts.errors == 1
        assert rig.calls.counts.last_error == "chat.message: UnspeakableError: (its text can't be told)"
        with pytest.raises(PluginError, match="p failed: UnspeakableError"):
            await rig.calls.ask("command x", rig.plugin.unspeakable, seconds=1)
        assert rig.life.state == "running"

    assert lives(scenario)[:3] == ["start", "unspeakable", "fine"]


def test_a_dropped_task_that_fails_is_counted() -> None:
    """What a task raises that the plugin forgot stands in its counts."""

    async def scenario(rig: Rig) -> None:
        await rig.tell("lost", "fine")
        assert rig.calls.counts.last_error == "task: ValueError: lost"

    lives(scenario)


def test_parked_is_stopped() -> None:
    """After three hangs in a row it is parked: the rest of its lane is forgotten, `stop` is called, its tasks end."""

    async def scenario(rig: Rig) -> None:
        await rig.tell(*["hang"] * 10)
        await sleep(5)
        assert rig.states == ["running", "parked"]
        assert rig.life.reason == "chat.message was over its budget 3 times in a row"
        assert not rig.calls.owner.tasks

    assert lives(scenario) == ["start", "hang", "hang", "hang", "stop", "tick 0 ended"]


def test_parked_though_it_swallows() -> None:
    """A hook that swallows its cancellation is parked once, and hears nothing of what waits behind it."""

    async def scenario(rig: Rig) -> None:
        await rig.tell(*["swallow"] * 10)
        await sleep(5)
        assert rig.states == ["running", "parked"]
        assert rig.calls.counts.overdue == 3

    assert lives(scenario) == ["start", *["swallow", "swallowed"] * 3, "stop", "tick 0 ended"]


def test_strikes_are_counted_for_each_thing() -> None:
    """A hook that always hangs is parked although another hook and a command answer well in between."""

    async def scenario(rig: Rig) -> None:
        for _ in range(3):
            await rig.tell("hang")
            await rig.calls.ask("command x", rig.plugin.fine, seconds=1)
        assert rig.life.state == "parked"

    lives(scenario)


def test_three_in_a_row() -> None:
    """Two hangs, a good call, two hangs: nobody is parked."""

    async def scenario(rig: Rig) -> None:
        await rig.tell("hang", "hang", "fine", "hang", "hang", "fine")
        assert rig.life.state == "running"

    lives(scenario)


def test_a_late_answer_is_none() -> None:
    """A question that swallows its cancellation and answers late is told as late, and leaves nothing behind."""

    async def scenario(rig: Rig) -> None:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(Unavailable, match="p took longer than 1 s"):
            await rig.calls.ask("command x", rig.plugin.swallow, seconds=1)
        assert task.cancelling() == 0
        assert rig.calls.counts.overdue == 1

    lives(scenario)


def test_a_cancelled_asker_stays_cancelled() -> None:
    """Who cancels a question ends it, also when the plugin swallows that."""

    async def scenario(rig: Rig) -> None:
        asking = asyncio.create_task(rig.calls.ask("command x", rig.plugin.swallow, seconds=60))
        await sleep(1)
        asking.cancel()
        await asyncio.wait((asking,))
        assert asking.cancelled()
        assert rig.calls.counts.overdue == 0

    lives(scenario)


def test_stop_waits_for_the_hook() -> None:
    """What a hook does at its cancellation is done before `stop` is called."""

    async def scenario(rig: Rig) -> None:
        rig.lane.put(line("tidy"))
        await sleep(0.1)
        await rig.life.stop(5)

    assert lives(scenario) == ["start", "tidy", "tidied", "stop", "tick 0 ended"]


def test_each_try_to_start_is_a_new_one() -> None:
    """The tasks of a start that was not ready are ended before the next one."""

    async def scenario(rig: Rig) -> None:
        assert rig.life.state == "waiting"
        await sleep(60)
        assert rig.states == ["waiting", "waiting", "running"]

    plugin = Plugin()
    plugin.notready = [5.0, 10]
    started = ["start", "tick 2 ended", "start", "tick 1 ended", "start"]
    assert lives(scenario, plugin) == [*started, "stop", "tick 0 ended"]


@pytest.mark.parametrize("retry", ("5", None, -1, 0, float("nan"), float("inf"), 10**400))
def test_a_retry_that_is_no_time(retry: Any) -> None:
    """It fails with a reason, and its tasks end."""

    async def scenario(rig: Rig) -> None:
        await sleep(5)
        assert rig.life.state == "failed"
        assert "Error" in rig.life.reason
        assert not rig.calls.owner.tasks

    plugin = Plugin()
    plugin.notready = [retry]
    assert lives(scenario, plugin) == ["start", "tick 1 ended"]


def test_a_task_of_the_constructor() -> None:
    """A task that a plugin makes while it is made is the plugin's: `SystemExit` in it ends nothing else."""

    class Eager(Plugin):
        def __init__(self) -> None:
            super().__init__()
            self.task = asyncio.create_task(self.leave())

        async def leave(self) -> None:
            raise SystemExit(3)

    async def scenario() -> str:
        asyncio.get_running_loop().set_task_factory(task_factory)
        life = life_of(Eager, Budgets(), lambda: None)
        await sleep(1)
        assert life.home is not None
        plugin = cast("Eager", life.home.plugin)
        return repr(plugin.task.exception())

    assert run_virtual(scenario()) == "PluginError('p raised SystemExit: 3 in a task')"


def test_a_hook_that_cancels_itself() -> None:
    """Its lane goes on: the call counts as failed, and the next events are heard."""

    async def scenario(rig: Rig) -> None:
        await rig.tell("suicide", "fine", "suicide_waiting", "fine")
        assert rig.calls.counts.errors == 2
        assert "it cancelled the task that it was called in" in rig.calls.counts.last_error
        rig.plugin.cancel_saved()  # from elsewhere, while nothing runs
        await sleep(1)
        await rig.tell("fine")
        assert rig.life.state == "running"

    calls = lives(scenario)
    assert calls[1:6] == ["suicide", "fine", "suicide_waiting", "fine", "fine"]


def test_a_question_that_cancels_itself() -> None:
    """It is its own failure; who asked goes on."""

    async def scenario(rig: Rig) -> None:
        for work in (rig.plugin.suicide_waiting, rig.plugin.suicide):
            with pytest.raises(PluginError, match="p failed: CancelledError: it cancelled itself"):
                await rig.calls.ask("command x", work, seconds=5)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert rig.calls.counts.errors == 2

    lives(scenario)


def test_who_swallows_everything_is_parked() -> None:
    """A hook that never comes back is counted at each cut, and parked after three."""

    async def scenario(rig: Rig) -> None:
        rig.lane.put(line("stubborn"))
        await sleep(6)
        assert rig.calls.counts.overdue == 1
        await sleep(15)
        assert rig.life.state == "parked"
        assert rig.life.reason == "chat.message was over its budget 3 times in a row"

    lives(scenario)


def test_a_question_that_swallows_everything() -> None:
    """Who asked is told in time, and free; the plugin is parked after three cuts."""

    async def scenario(rig: Rig) -> None:
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable, match="p took longer than 2 s"):
            await rig.calls.ask("command x", rig.plugin.stubborn, seconds=2)
        assert asyncio.get_running_loop().time() - began < 3
        await sleep(5)
        assert rig.life.state == "parked"

    lives(scenario)


def test_commands_do_not_keep_judges_waiting() -> None:
    """A judge is asked also while eight commands are under way."""

    async def scenario(rig: Rig) -> None:
        asking = [asyncio.create_task(rig.calls.ask("command x", rig.plugin.hang, seconds=5)) for _ in range(8)]
        await sleep(0.1)
        with pytest.raises(Unavailable, match="p is busy"):
            await rig.calls.ask("command x", rig.plugin.fine, seconds=5)
        assert await rig.calls.ask("judge", rig.plugin.fine, seconds=5, judging=True) is None
        await asyncio.gather(*asking, return_exceptions=True)

    lives(scenario)


def test_what_ctx_raises_is_a_failure_of_a_command() -> None:
    """It is counted and logged, for whoever is told that the log says why."""

    async def scenario(rig: Rig) -> None:
        with pytest.raises(PluginError, match=r"p failed: PluginError: not granted"):
            await rig.calls.ask("command x", rig.plugin.raise_plugin_error, seconds=5)
        assert rig.calls.counts.last_error == "command x: PluginError: not granted"
        with pytest.raises(PluginError, match=r"^not granted$"):
            await rig.calls.ask("query x", rig.plugin.raise_plugin_error, seconds=5, expected=True)
        assert rig.calls.counts.errors == 1

    lives(scenario)


def test_who_was_stopped_does_nothing_more() -> None:
    """A task that comes to life after the end is cancelled, and an action is refused."""

    async def scenario(rig: Rig) -> None:
        await rig.life.stop(5)
        assert rig.life.home is not None
        ctx = rig.life.home.context("cytube")
        outcome = await ctx.say("boo").outcome()
        assert (outcome.state, outcome.reason) == ("refused", "p was stopped")
        late = ctx.spawn(sleep(1e9))
        await asyncio.wait((late,))
        assert late.cancelled()

    lives(scenario)


def test_tasks_of_a_plugin_that_could_not_be_made() -> None:
    """They end, though there is no plugin."""
    left: list[asyncio.Task[None]] = []

    class Broken(Plugin):
        def __init__(self) -> None:
            super().__init__()
            left.append(asyncio.create_task(self.hang()))
            raise OSError("no")

    async def scenario() -> bool:
        asyncio.get_running_loop().set_task_factory(task_factory)
        life = life_of(Broken, Budgets(), lambda: None)
        assert life.state == "failed"
        await asyncio.wait(left)
        return left[0].cancelled()

    with structlog.testing.capture_logs():
        assert run_virtual(scenario())
