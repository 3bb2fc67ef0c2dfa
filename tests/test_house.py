"""Plugins inside the daemon: each hurts only itself."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from rosey_core.actions import Action, Outcome, SendMessage
from rosey_core.cause import Cause
from rosey_core.channel.channel import Channel
from rosey_core.config import ChannelConfig, Config, PluginConfig, Secret
from rosey_core.envelope import NOTHING, Metadata, NormalizedEvent, Verdict
from rosey_core.errors import PluginError, Unavailable
from rosey_core.events import ChatMessage, UserJoined
from rosey_core.host import dispatch
from rosey_core.host.check import commands_of
from rosey_core.host.desk import Desk
from rosey_core.host.home import Counts
from rosey_core.host.house import House
from rosey_core.host.inside import Inside
from rosey_core.host.judges import PAUSE, REST, SECONDS, ask_all
from rosey_core.host.ownership import exception_handler, task_factory
from rosey_core.host.registry import survey
from rosey_core.receipt import Receipt
from rosey_core.testing.eventlog import memory_log


class FakePort:
    """A channel that notes what plugins do."""

    prefix = "!"
    seen = 0

    def __init__(self, name: str = "cytube") -> None:
        self.name = name
        self.state = Channel()
        self.acted: list[Action] = []
        self.outcome = Outcome("done")
        self.news = asyncio.Event()

    def act(self, action: Action, *, plugin: str, reply: bool, cause: Cause | None = None) -> Receipt:
        """Note it, and settle it at once."""
        self.acted.append(action)
        self.news.set()
        return Receipt.of(action.name, self.outcome)

    @property
    def said(self) -> list[str]:
        """The lines that plugins said."""
        return [action.text for action in self.acted if isinstance(action, SendMessage)]

    async def wait_said(self, count: int) -> list[str]:
        """Wait until so many lines were said."""
        async with asyncio.timeout(10):
            while len(self.said) < count:
                self.news.clear()
                await self.news.wait()
        return self.said


_seq = iter(range(1, 10**9))


def line(text: str, user: str = "bob", metadata: Metadata = NOTHING) -> NormalizedEvent:
    """A chat line."""
    seq = next(_seq)
    data = ChatMessage(user, text, html=text)
    return NormalizedEvent("chat.message", "cytube", data, 1.0, metadata, f"c-{seq}", "cytube", seq)


GRANTS: dict[str, tuple[str, ...]] = {
    "echo": ("chat.read", "chat.send"),
    "raiser": ("chat.read", "chat.send"),
    "hanger": ("chat.read", "chat.send"),
    "quitter": ("chat.read",),
    "mean": ("chat.read", "chat.send"),
    "censor": ("chat.read", "judge"),
    "sleepy": ("chat.read", "judge"),
    "asker": ("chat.read", "chat.send", "query:asker"),
    "badverdict": ("chat.read", "judge"),
    "slowstart": ("chat.read",),
    "badstart": ("chat.read",),
    "recorder": (
        "chat.read",
        "chat.pm",
        "user.read",
        "media.read",
        "poll.read",
        "channel.read",
        "channel.state",
    ),
}


class Open:
    """A house that runs, with one channel."""

    def __init__(self, house: House, port: FakePort, desk: Desk) -> None:
        self.house, self.port, self.desk = house, port, desk
        self._changed = asyncio.Event()
        house.changed = self._changed.set

    def tell(self, event: NormalizedEvent) -> None:
        """Put an event into every lane that wants it."""
        for lane in self.house.lanes("cytube", event.event_type):
            lane.put(event)

    def counts(self, name: str) -> Counts:
        """What happened to a plugin."""
        home = self.house.places[name, "cytube"].life.home
        assert isinstance(home, Inside)
        return home.counts

    async def settle(self, *names: str) -> None:
        """Wait until the lanes of these plugins are dry."""
        async with asyncio.timeout(20):
            for name in names:
                lane = self.house.places[name, "cytube"].lane
                assert lane is not None
                await lane.drained()

    async def until(self, name: str, state: str) -> None:
        """Wait until a plugin is in this state."""
        async with asyncio.timeout(20):
            while self.house.places[name, "cytube"].life.state != state:
                self._changed.clear()
                await self._changed.wait()


def inside(home: Open, name: str) -> Inside:
    """A plugin's instance."""
    found = home.house.places[name, "cytube"].life.home
    assert isinstance(found, Inside)
    return found


@asynccontextmanager
async def opened(tmp_path: Path, *names: str, **plugins: PluginConfig) -> AsyncIterator[Open]:
    """A house with these plugins started."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(task_factory)
    loop.set_exception_handler(exception_handler)
    chosen = {name: PluginConfig(enabled=True, run="inside", grant=GRANTS[name]) for name in names} | plugins
    config = Config(version=1, channels={"cytube": ChannelConfig(room="r")}, plugins=chosen, order=("sleepy",))
    known = await survey(config, tmp_path / "manifests", only=chosen)
    assert {plugin.state for plugin in known.values()} == {"ready"}
    published: list[Any] = []
    house = House(
        config,
        tmp_path,
        clock=lambda: 1000.0,
        log=structlog.get_logger(),
        publish=lambda *args: published.append(args),
        read_secret=lambda _: "hunter2",
        eventlog=memory_log(lambda: 1000.0),
        store=cast("Any", None),
        workers=cast("Any", None),  # all run inside here
    )
    port = FakePort()
    house.load(known.values(), {"cytube": port})
    rows, _ = commands_of(config, known.values(), "cytube")

    async def control(words: tuple[str, ...]) -> str:
        return f"did {words}"

    desk = Desk(port, house, prefix="!", rows=rows, control=control, control_rank=3, log=structlog.get_logger())
    ticker = asyncio.create_task(house.budgets.run())
    home = Open(house, port, desk)
    house.start()
    try:
        for name in chosen:
            if name not in {"slowstart", "badstart"}:
                await home.until(name, "running")
        yield home
    finally:
        await house.stop(2)
        ticker.cancel()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, zoo: Path) -> Iterator[None]:
    """Short budgets: the hooks here either return at once or never."""
    monkeypatch.setattr(dispatch, "HOOK_SECONDS", 0.3)
    with structlog.testing.capture_logs():
        yield


async def test_raising_hurts_only_itself(tmp_path: Path) -> None:
    """Every other plugin gets every event while one raises at each."""
    async with opened(tmp_path, "raiser", "recorder") as home:
        for n in range(100):
            home.tell(line(f"line {n}"))
        await home.settle("raiser", "recorder")
        assert home.counts("raiser").errors == 100
        assert home.counts("raiser").last_error == "chat.message: ValueError: raiser raised"
        heard = (tmp_path / "plugins" / "recorder" / "heard.jsonl").read_text().splitlines()
        assert len(heard) == 100


async def test_hanging_is_cut_off_and_parked(tmp_path: Path) -> None:
    """A hook that hangs is cut off at its budget; after three in a row the plugin is parked; others go on."""
    async with opened(tmp_path, "hanger", "recorder") as home:
        for n in range(5):
            home.tell(line(f"line {n}"))
        await home.settle("recorder")
        await home.until("hanger", "parked")
        assert (
            home.house.places["hanger", "cytube"].life.reason == "chat.message was over its budget 3 times in a row"
        )
        assert home.counts("hanger").overdue == 3
        assert not [lane for lane in home.house.lanes("cytube", "chat.message") if lane.dropped]
        assert len(home.house.lanes("cytube", "chat.message")) == 1


async def test_system_exit_ends_nothing(tmp_path: Path) -> None:
    """`sys.exit()` in a hook and in a task that it made is counted as the plugin's error."""
    async with opened(tmp_path, "quitter", "echo") as home:
        home.tell(line("hello"))
        await home.settle("quitter")
        gc.collect()  # its task, which nobody awaited, is told when it is gone
        assert home.counts("quitter").errors == 2
        home.desk.line(line("!echo still here"))
        assert await home.port.wait_said(1) == ["still here"]


async def test_what_no_plugin_should_raise(tmp_path: Path) -> None:
    """Not even `KeyboardInterrupt` or a `CancelledError` of its own ends anything but the call; each is counted."""
    async with opened(tmp_path, "mean", "echo") as home:
        for text in ("interrupt", "cancel", "generator", "exit", "returns a number"):
            home.tell(line(text))
        await home.settle("mean")
        gc.collect()
        counts = home.counts("mean")
        assert counts.calls == 5
        assert counts.errors == 4 + 3  # a task that raises CancelledError is a cancelled task
        assert home.house.places["mean", "cytube"].life.state == "running"
        home.desk.line(line("!mean"))
        home.desk.line(line("!echo still here"))
        assert sorted(await home.port.wait_said(2)) == ["!mean failed. The bot's log says why.", "still here"]


async def test_commands(tmp_path: Path) -> None:
    """A command is answered by its one owner; what fails is told in a sentence."""
    async with opened(tmp_path, "echo", "raiser", "asker") as home:
        for text in ("!echo hello you", "!ECHO again", "!plus 2 3", "!raise", "!nosuch", "no command"):
            home.desk.line(line(text))
        said = await home.port.wait_said(4)
        assert sorted(said) == ["!raise failed. The bot's log says why.", "5", "again", "hello you"]


async def test_help(tmp_path: Path) -> None:
    """!help is rosey's own."""
    async with opened(tmp_path, "echo") as home:
        home.desk.line(line("!help"))
        home.desk.line(line("!help echo"))
        assert await home.port.wait_said(2) == [
            "Commands: !echo, !help. !help NAME tells more.",
            "!echo TEXT: Says TEXT back.",
        ]


async def test_plugins_from_chat(tmp_path: Path) -> None:
    """`!plugin` is for those who have the rank, and for others it is no command at all."""
    async with opened(tmp_path, "echo") as home:
        home.port.state.apply(UserJoined("boss", 3))
        home.port.state.apply(UserJoined("bob", 2.5))
        home.desk.line(line("!plugin park echo", user="bob"))
        home.desk.line(line("!plugin restart echo", user="boss"))
        assert await home.port.wait_said(1) == ["did ('restart', 'echo')"]


async def test_a_command_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that does not come back is cut off and the user told; meanwhile others are answered."""
    monkeypatch.setattr("rosey_core.host.inside.COMMAND_SECONDS", 0.3)
    async with opened(tmp_path, "hanger", "echo") as home:
        home.desk.line(line("!hang"))
        home.desk.line(line("!echo meanwhile"))
        assert await home.port.wait_said(2) == ["meanwhile", "!hang is busy or took too long; try again later."]


async def test_a_command_whose_plugin_is_not_there(tmp_path: Path) -> None:
    """A plugin that could be described and can't be imported here has no place; who asks is told so."""
    async with opened(tmp_path, "echo") as home:
        home.house.places.clear()
        home.desk.line(line("!echo hello"))
        assert await home.port.wait_said(1) == ["!echo is not available now."]


async def test_queries(tmp_path: Path) -> None:
    """A query converts and checks its arguments, and each fault is a sentence."""
    async with opened(tmp_path, "asker") as home:
        ask = home.house.query
        assert await ask("asker", "add", "cytube", {"a": 2}) == 3
        faults: tuple[tuple[str, str, dict[str, Any], str], ...] = (
            ("asker", "add", {"a": 1, "c": 2}, "add has no argument c; it takes a, b"),
            ("asker", "add", {}, "add needs the argument a"),
            ("asker", "add", {"a": "x"}, "add: the argument a is wrong: Expected `int`, got `str`"),
            ("asker", "nosuch", {}, "asker has no query nosuch; it has add, fail"),
            ("asker", "fail", {}, "asker failed: RuntimeError: no"),
        )
        for plugin, name, args, text in faults:
            with pytest.raises(PluginError) as error:
                await ask(plugin, name, "cytube", args)
            assert str(error.value) == text
        with pytest.raises(Unavailable, match="nobody is not enabled in cytube"):
            await ask("nobody", "add", "cytube", {})


async def test_not_ready_is_tried_again(tmp_path: Path) -> None:
    """A plugin that is not ready is started again, and then gets what came meanwhile."""
    async with opened(tmp_path, "slowstart") as home:
        await home.until("slowstart", "running")


async def test_a_failed_start_is_shown(tmp_path: Path) -> None:
    """A plugin that fails to start is shown with its reason, and no events are kept for it."""
    async with opened(tmp_path, "badstart", "echo") as home:
        await home.until("badstart", "failed")
        assert "no space left on device" in home.house.places["badstart", "cytube"].life.reason
        assert len(home.house.lanes("cytube", "chat.message")) == 1


async def test_events_need_their_grant(tmp_path: Path) -> None:
    """A plugin hears only what it was granted to read."""
    async with opened(tmp_path, "censor", "recorder") as home:
        assert len(home.house.lanes("cytube", "media.played")) == 1
        assert home.house.lanes("cytube", "raw.something") == ()


async def test_hooks_hear_live_lines_of_others(tmp_path: Path) -> None:
    """Own, historical, server, shadowed and stopped lines reach only hooks that ask for them."""
    automatic = PluginConfig(enabled=True, grant=GRANTS["echo"], settings={"automatic": True})
    async with opened(tmp_path, echo=automatic) as home:
        for metadata in (
            Metadata(history=True),
            Metadata(own=True),
            Metadata(server=True),
            Metadata(shadow=True),
            Metadata(verdict=Verdict(stop=True)),
        ):
            home.tell(line("quiet", metadata=metadata))
        home.tell(line("!echo is a command"))
        home.tell(line("passed", metadata=Metadata(verdict=Verdict(stop=False))))
        home.tell(line("live"))
        await home.settle("echo")
        assert home.port.said == ["passed", "live"]


async def test_judges(tmp_path: Path) -> None:
    """The first verdict counts and names its judge; a judge that sleeps has no opinion, or stops if told so."""
    async with opened(tmp_path, "sleepy", "censor") as home:
        judges = home.house.judges("cytube")
        assert [judge.name for judge in judges] == ["sleepy", "censor"]
        # The sleeper uses up the time; who answers at once is heard all the same.
        spam = Verdict(True, "spam", "censor")
        assert await ask_all(judges, [line("spam"), line("fine")], on_silence="pass") == [spam, None]
        stopped = Verdict(stop=True, reason="sleepy did not answer", judge="sleepy")
        assert await ask_all(judges, [line("hello"), line("spam")], on_silence="stop") == [stopped, spam]


async def test_a_verdict_that_can_not_be_told(tmp_path: Path) -> None:
    """It is a failure of the judge, and no opinion: the line goes on to everybody."""
    async with opened(tmp_path, "badverdict") as home:
        judges = home.house.judges("cytube")
        lines = [line(text) for text in ("object", "half", "no verdict at all")]
        assert await ask_all(judges, lines, on_silence="pass") == [None] * 3
        assert home.counts("badverdict").errors == 3


async def test_a_judge_does_not_pay_for_others(tmp_path: Path) -> None:
    """While somebody else holds up the loop, the judge's time does not run."""
    async with opened(tmp_path, "censor") as home:
        judges = home.house.judges("cytube")
        for _ in range(3):
            asking = asyncio.create_task(ask_all(judges, [line("spam")], on_silence="pass"))
            await asyncio.sleep(0)
            time.sleep(0.4)  # noqa: ASYNC251  the point
            assert await asking == [Verdict(stop=True, reason="spam", judge="censor")]
        assert home.counts("censor").overdue == 0


async def test_a_sleeping_judge_is_left_alone(tmp_path: Path) -> None:
    """After a time-out a judge is not asked for a second, after three for a minute: chat is not slowed for ever."""
    async with opened(tmp_path, "sleepy") as home:
        judges = home.house.judges("cytube")
        now = asyncio.get_running_loop().time
        await ask_all(judges, [line("x")], on_silence="pass")
        assert 0 < judges[0].rest(now()) <= PAUSE
        await ask_all(judges, [line("x")], on_silence="pass")
        assert home.counts("sleepy").overdue == 1  # it was not asked
        for _ in range(2):
            await judges[0].ask([line("x")], SECONDS)
        assert PAUSE < judges[0].rest(now()) <= REST
        told = home.house.places["sleepy", "cytube"].status()
        assert told["state"] == "running"
        assert told["overdue"] == 3
        assert told["reason"].startswith("as a judge it was late (times in a row: 3) and is not asked for ")
        assert home.house.judges("cytube")[0] is judges[0]  # its rest is not forgotten when others come and go


async def test_acting_needs_a_grant(tmp_path: Path) -> None:
    """An action without its grant is refused with a reason, and never reaches the channel."""
    async with opened(tmp_path, "censor") as home:
        outcome = await inside(home, "censor").context("cytube").say("hi").outcome()
        assert outcome == Outcome("refused", "censor was not granted chat.send")
        assert home.port.acted == []


async def test_state_needs_a_grant(tmp_path: Path) -> None:
    """ctx.channel without its grant is an error that says what to add."""
    async with opened(tmp_path, "censor", "recorder") as home:
        with pytest.raises(PluginError, match=r'add "channel.state" to the asks'):
            _ = inside(home, "censor").context("cytube").channel
        assert inside(home, "recorder").context("cytube").channel is home.port.state


async def test_secrets_are_read_for_plugins(tmp_path: Path) -> None:
    """A plugin reads the secrets that its settings name."""
    async with opened(tmp_path, "censor") as home:
        assert inside(home, "censor").context("cytube").secret(Secret(env="X")) == "hunter2"


async def test_a_shared_plugin_starts_once(tmp_path: Path) -> None:
    """One instance over two channels: while it is not ready, neither lane runs; then both do."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(task_factory)
    plugin = PluginConfig(enabled=True, run="inside", grant=("chat.read",))
    channels = {"one": ChannelConfig(room="r"), "two": ChannelConfig(room="s")}
    config = Config(version=1, channels=channels, plugins={"lateshared": plugin})
    known = await survey(config, None, only=["lateshared"])
    house = House(
        config,
        tmp_path,
        clock=lambda: 1000.0,
        log=structlog.get_logger(),
        publish=lambda *_: None,
        read_secret=lambda _: "",
        eventlog=memory_log(lambda: 1000.0),
        store=cast("Any", None),
        workers=cast("Any", None),
    )
    changed = asyncio.Event()
    house.changed = changed.set
    house.load(known.values(), {name: FakePort(name) for name in channels})
    for channel in channels:
        for lane in house.lanes(channel, "chat.message"):
            lane.put(line("early"))
    house.start()
    places = list(house.places.values())
    async with asyncio.timeout(20):
        while any(place.life.state != "running" for place in places):
            changed.clear()
            await changed.wait()
        assert places[0].life.home is places[1].life.home
        for place in places:
            assert place.lane is not None
            await place.lane.drained()
    await house.stop(1)
    assert places[0].life.home is not None
    assert places[0].life.home.plugin.calls == ["start", "start", "early", "early"]
