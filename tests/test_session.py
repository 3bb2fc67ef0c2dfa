"""A session against a real websocket: the way in, the stay, what it hands on, and how it leaves.

The ends of a connection, case by case, are in `test_session_ends`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import structlog
from websockets.frames import Frame, Opcode

from rosey_core.config import ChannelConfig
from rosey_core.cytube import session as module
from rosey_core.cytube import visit, wire
from rosey_core.cytube.gate import ConnectGate
from rosey_core.cytube.session import Secrets, Session
from rosey_core.cytube.socket import MOST_FRAMES
from rosey_core.cytube.translate import Draft
from rosey_core.errors import SocketIOError
from rosey_core.events import (
    ChatMessage,
    ConnectionJoined,
    ConnectionKicked,
    ConnectionLost,
    ConnectionRefused,
    Data,
    StatsUsercount,
)
from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.player import Line, Player, event, recorded

TRACES = Path(__file__).parent / "traces"
ENDS = (ConnectionLost, ConnectionKicked, ConnectionRefused)
D = TypeVar("D", bound=Data)


class Bot:
    """A session that runs, and all that it has told."""

    def __init__(self, site: str, secrets: Secrets, gate: ConnectGate, **settings: Any) -> None:
        standard: dict[str, Any] = {"room": "movienight", "server": site, "connect_timeout": 5}
        config = ChannelConfig(**(standard | settings))
        self.drafts: list[Draft] = []
        self.batches: list[int] = []
        self.waits: list[float] = []
        self.slow: Callable[[], Awaitable[object]] | None = None
        self._news = asyncio.Condition()
        self.session = Session(
            "cytube", config, secrets, hear=self._hear, gate=gate, log=structlog.get_logger(), sleep=self._sleep
        )
        self.task = asyncio.create_task(self.session.run())

    async def _hear(self, drafts: list[Draft]) -> None:
        if self.slow is not None:
            await self.slow()
        self.drafts += drafts
        self.batches.append(len(drafts))
        async with self._news:
            self._news.notify_all()

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)

    def all(self, kind: type[D]) -> list[D]:
        """What was told of one kind."""
        return [draft.data for draft in self.drafts if isinstance(draft.data, kind)]

    async def until(self, ready: Callable[[], object]) -> None:
        """Wait for something to be told."""
        async with asyncio.timeout(15), self._news:
            await self._news.wait_for(ready)

    async def joined(self, times: int = 1) -> ConnectionJoined:
        """Wait until it is in the room."""
        await self.until(lambda: len(self.all(ConnectionJoined)) >= times)
        return self.all(ConnectionJoined)[-1]

    async def stopped(self) -> None:
        """Wait until it gave up."""
        async with asyncio.timeout(15):
            await self.task


@asynccontextmanager
async def running(
    site: str, secrets: Secrets | None = None, *, gate: ConnectGate | None = None, **settings: Any
) -> AsyncIterator[Bot]:
    """A bot, and its stop."""
    bot = Bot(site, secrets or Secrets(), gate or ConnectGate(every=0), **settings)
    try:
        yield bot
    finally:
        bot.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await bot.task


async def welcome(line: Line) -> None:
    """Let an anonymous client in."""
    await line.greet()
    await line.admit()


async def passed(ready: Callable[[], object]) -> None:
    """Wait for something that nobody tells."""
    async with asyncio.timeout(10):
        while not ready():  # noqa: ASYNC110  there is no event
            await asyncio.sleep(0.002)


def written(*frames: str) -> bytes:
    """Frames as they are on the network, to be sent at one go."""
    return b"".join(Frame(Opcode.TEXT, frame.encode()).serialize(mask=False) for frame in frames)


# --- the way in ---


async def test_anonymous() -> None:
    """Without a name there is no login; the room is entered, and its address is asked for each time."""
    async with Player(welcome) as player, running(player.url, room="movie-night") as bot:
        assert await bot.joined() == ConnectionJoined(room="movie-night", name="", rank=-1)
        assert bot.session.state == "joined"
        assert bot.session.me == ""
        assert player.asked == ["/socketconfig/movie-night.json"]
        assert player.lines[0].heard == ["40", '42["joinChannel",{"name":"movie-night"}]']
        assert player.lines[0].websocket.request is not None
        assert player.lines[0].websocket.request.path == "/socket.io/?EIO=4&transport=websocket"


async def test_guest() -> None:
    """A name without a password is a guest's; the login comes before the join."""

    async def script(line: Line) -> None:
        await line.greet()
        assert await line.login() == {"name": "Rosey"}
        assert await line.admit() == {"name": "movienight"}

    async with Player(script) as player, running(player.url, username="Rosey") as bot:
        assert await bot.joined() == ConnectionJoined(room="movienight", name="Rosey", rank=0)


async def test_registered() -> None:
    """With a password it is an account's; the name is CyTube's spelling, and the rank the room's."""

    async def script(line: Line) -> None:
        await line.greet()
        await line.hear('42["login",{"name":"rosey","pw":"secret"}]')
        assert len(line.heard) == 2
        await line.event("rank", 1)
        await line.event("login", {"success": True, "name": "Rosey"})
        await line.admit(rank=2.5)

    async with Player(script) as player, running(player.url, Secrets("secret"), username="rosey") as bot:
        assert await bot.joined() == ConnectionJoined(room="movienight", name="Rosey", rank=2.5)
        assert bot.session.me == "Rosey"
        assert bot.session.translator.me == "Rosey"


async def test_states() -> None:
    """The state names the step that is under way."""
    states: list[str] = []

    async def script(line: Line) -> None:
        states.append(bot.session.state)
        await line.greet()
        await line.hear('42["login"')
        states.append(bot.session.state)
        await line.event("login", {"success": True, "name": "Rosey"})
        await line.hear('42["joinChannel"')
        states.append(bot.session.state)
        await line.event("userlist", [])

    async with Player(script) as player, running(player.url, username="Rosey") as bot:
        assert (bot.session.state, bot.session.reason) == ("waiting", "not started yet")
        await bot.joined()
        assert states == ["connecting", "logging in", "joining"]
    assert (bot.session.state, bot.session.reason) == ("stopped", "rosey is stopping")


async def test_nothing_is_sent_before_the_reply() -> None:
    """Until the server's `40` only `40` is sent: CyTube would drop the connection."""

    async def script(line: Line) -> None:
        await line.say('0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":120000}')
        await line.hear("40")
        await line.say("2")
        assert await line.hear() == "3"
        await line.say('40{"sid":"y"}')
        await line.hear('42["joinChannel"')
        await line.event("userlist", [])

    async with Player(script) as player, running(player.url) as bot:
        await bot.joined()


async def test_room_password() -> None:
    """A room's password is given with the join."""

    async def script(line: Line) -> None:
        await line.greet()
        assert await line.hear("42") == '42["joinChannel",{"name":"movienight","pw":"sesame"}]'
        await line.event("userlist", [])

    async with Player(script) as player, running(player.url, Secrets(room_password="sesame")) as bot:
        await bot.joined()


async def test_room_password_asked_for_again() -> None:
    """A room that asks all the same is answered with the bare password, once."""

    async def script(line: Line) -> None:
        await line.greet()
        await line.hear('42["joinChannel"')
        await line.event("needPassword", False)
        assert await line.hear("42") == '42["channelPassword","sesame"]'
        await line.event("cancelNeedPassword")
        await line.event("userlist", [])

    async with Player(script) as player, running(player.url, Secrets(room_password="sesame")) as bot:
        await bot.joined()


@pytest.mark.parametrize("wrong", (False, True))
async def test_moderators_need_no_room_password(wrong: bool) -> None:
    """CyTube may ask a moderator for the password before it lets them in without: that takes a moment."""

    async def script(line: Line) -> None:
        await line.greet()
        await line.login()
        await line.hear('42["joinChannel"')
        await line.event("needPassword", wrong)
        await asyncio.sleep(0.05)
        await line.say(event("rank", 2), event("userlist", []), event("cancelNeedPassword"))

    secrets = Secrets("secret", "old" if wrong else "")
    async with Player(script) as player, running(player.url, secrets, username="Rosey") as bot:
        assert (await bot.joined()).rank == 2


async def test_announcement_before_the_login() -> None:
    """What the site tells everybody, before all else, is told and disturbs nothing."""

    async def script(line: Line) -> None:
        await line.greet()
        await line.event("announcement", {"id": 1, "title": "t", "text": "x", "from": "y"})
        await line.login()
        await line.event("errorMsg", {"msg": "something else"})
        await line.admit()

    async with Player(script) as player, running(player.url, username="Rosey") as bot:
        await bot.joined()
        kinds = [type(draft.data).__name__ for draft in bot.drafts]
        assert "ChannelAnnouncement" in kinds
        assert "ErrorMessage" in kinds


@pytest.mark.parametrize("trace", ("02b-login-before-join", "05c-right-password-in-joinChannel"))
async def test_recorded_joins(trace: str) -> None:
    """A recorded session of a real CyTube lets the bot in, and nothing in it is undecodable."""
    named = trace.startswith("02b")
    secrets = Secrets("secret") if named else Secrets(room_password="sesame")
    script = recorded(TRACES / f"{trace}.jsonl")
    async with Player(script) as player, running(player.url, secrets, username="TestBot" if named else "") as bot:
        assert (await bot.joined()).rank == (2 if named else -1)
        assert bot.session.translator.undecodable == 0


async def test_another_implementation() -> None:
    """The simulated CyTube, which speaks by another library, lets a moderator in, and a guest with the password."""
    async with SimulatedCytube(accounts={"Rosey": "secret"}, ranks={"Rosey": 3}, password="sesame") as cytube:
        async with running(cytube.url, Secrets("secret"), username="Rosey") as bot:
            assert (await bot.joined()).rank == 3
        async with running(cytube.url, Secrets(room_password="sesame"), username="visitor") as bot:
            assert await bot.joined() == ConnectionJoined(room="movienight", name="visitor", rank=0)
            assert cytube.room.find("visitor")


# --- the stay ---


async def test_history_is_told_apart() -> None:
    """Lines that the room repeats at the join are history, at each join; later ones are live."""

    def line_of(text: str) -> str:
        return event("chatMsg", {"username": "bob", "msg": text, "meta": {}, "time": 1000})

    async def script(line: Line) -> None:
        await line.greet()
        await line.admit(line_of("old"), line_of("older"))
        await line.say(line_of("new"))
        if not line.number:
            await line.hear('42["chatMsg"')
            await line.drop()

    async with Player(script) as player, running(player.url) as bot:
        await bot.until(lambda: len(bot.all(ChatMessage)) == 3)
        bot.session.emit("chatMsg", {"msg": "now", "meta": {}})
        await bot.until(lambda: len(bot.all(ChatMessage)) == 6)
        lines = [draft for draft in bot.drafts if isinstance(draft.data, ChatMessage)]
        told = [(draft.data.text, draft.metadata.history) for draft in lines if isinstance(draft.data, ChatMessage)]
        assert told == [("old", True), ("older", True), ("new", False)] * 2
        assert len(player.asked) == 2


async def test_emit() -> None:
    """Events go out while the bot is in the room: with a payload, without one, and with an answer."""

    async def script(line: Line) -> None:
        await welcome(line)
        assert await line.hear('42["') == '42["shufflePlaylist"]'
        assert await line.hear('42["') == '42["delete",null]'
        assert await line.hear("420") == '420["newPoll",{}]'
        assert await line.hear("421") == '421["newPoll",{}]'
        await line.say('431[{"error":"no"}]', "430[]", "4399[1]")
        await line.hear("422")
        await line.drop()

    async with Player(script) as player, running(player.url) as bot:
        with pytest.raises(SocketIOError, match="not in the room"):
            bot.session.emit("shufflePlaylist")
        await bot.joined()
        assert bot.session.emit("shufflePlaylist") is None
        assert bot.session.emit("delete", None) is None
        answers = [bot.session.emit("newPoll", {}, ack=True) for _ in range(2)]
        async with asyncio.timeout(10):
            assert [await answer for answer in answers if answer] == [None, {"error": "no"}]
        last = bot.session.emit("newPoll", {}, ack=True)
        assert last is not None
        with pytest.raises(SocketIOError, match="before CyTube answered"):
            await last


async def test_emit_of_what_is_no_json() -> None:
    """What can't be sent is the caller's error, and the connection stays."""
    async with Player(welcome) as player, running(player.url) as bot:
        await bot.joined()
        with pytest.raises(SocketIOError, match="JSON"):
            bot.session.emit("chatMsg", {"msg": object()})
        assert bot.session.state == "joined"


async def test_ten_thousand_frames_before_the_login() -> None:
    """However much comes before the answer to the login, and while joining: all of it is told, in its order."""
    count = 12_000

    async def script(line: Line) -> None:
        await line.greet()
        await line.hear('42["login"')
        await line.write(written(*(event("usercount", number) for number in range(count))))
        await line.event("login", {"success": True, "name": "Rosey"})
        await line.hear('42["joinChannel"')
        await line.write(written(*(event("usercount", number) for number in range(count, 2 * count))))
        await line.event("userlist", [])

    async with Player(script) as player, running(player.url, username="Rosey", connect_timeout=30) as bot:
        await bot.joined()
        assert [told.connected for told in bot.all(StatsUsercount)] == list(range(2 * count))
        assert not any(bot.all(kind) for kind in ENDS)


async def test_burst_lets_others_run() -> None:
    """While 8,000 frames are worked through, the loop comes round after each few milliseconds of work."""
    count = 8_000
    turns: list[int] = []
    worst = 0.0
    turn = 0

    async def script(line: Line) -> None:
        await welcome(line)
        await line.hear("42")
        await line.write(written(*(event("usercount", number) for number in range(count))))

    async def others() -> None:
        nonlocal turn, worst
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            worst, before = max(worst, now - before), now
            turn += 1

    async def slow() -> None:
        turns.append(turn)

    async with Player(script) as player, running(player.url) as bot:
        await bot.joined()
        bot.batches.clear()
        bot.slow = slow
        gc.collect()
        gc.disable()  # the rest of the test run makes each look for cycles long, and it is none of the session's work
        try:
            ticking = asyncio.create_task(others())
            await passed(lambda: turn)
            bot.session.emit("playerReady")
            await bot.until(lambda: bot.all(StatsUsercount)[-1].connected == count - 1)
            ticking.cancel()
        finally:
            gc.enable()
        assert [told.connected for told in bot.all(StatsUsercount)[1:]] == list(range(count))
        assert max(bot.batches) <= visit.BATCH
        assert len(set(turns)) == len(turns)  # the others had a turn between any two batches
        assert worst < 0.1  # of this thread's own time, whatever else the machine does


async def test_one_costly_batch_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch whose frames cost much ends after its time, not only after its number."""
    monkeypatch.setattr(visit, "SLICE", 0.0)

    async def script(line: Line) -> None:
        await welcome(line)
        await line.write(written(*(event("usercount", number) for number in range(1000))))

    async with Player(script) as player, running(player.url) as bot:
        await bot.until(lambda: len(bot.all(StatsUsercount)) == 1001)
        assert max(bot.batches) <= 17  # a look at the clock after each 16 frames; the join adds an event


async def test_back_pressure_loses_nothing() -> None:
    """While nobody takes what was heard, reading pauses; later all of it is there, in its order."""
    count = 5 * MOST_FRAMES
    gone_on = asyncio.Event()
    line_of: list[Line] = []

    async def script(line: Line) -> None:
        line_of.append(line)
        await welcome(line)
        await line.hear("42")
        await line.write(written(*(event("usercount", number) for number in range(count))))

    async with Player(script) as player, running(player.url) as bot:
        await bot.joined()
        bot.slow = gone_on.wait
        bot.session.emit("playerReady")
        under_way = bot.session._visit
        assert under_way is not None
        await passed(lambda: under_way._socket.pauses)
        gone_on.set()
        await bot.until(lambda: bot.all(StatsUsercount)[-1].connected == count - 1)
        assert [told.connected for told in bot.all(StatsUsercount)[1:]] == list(range(count))


# --- the leave ---


async def test_stop_says_goodbye() -> None:
    """The daemon's stop ends the session and closes the connection; that is told by no event."""
    said = asyncio.Event()

    async def script(line: Line) -> None:
        await welcome(line)
        await line.hear("41")
        said.set()

    async with Player(script) as player:
        async with running(player.url) as bot:
            await bot.joined()
        async with asyncio.timeout(5):
            await said.wait()
            await player.lines[0].websocket.wait_closed()
        assert player.lines[0].websocket.close_code == 1000
    assert not any(bot.all(kind) for kind in ENDS)


async def test_stop_of_a_half_open_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the other side is gone without a word, stopping takes no longer than the closing time-out."""
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.1)

    async def script(line: Line) -> None:
        await welcome(line)
        line.freeze()

    async with Player(script) as player, running(player.url) as bot:
        await bot.joined()
        async with asyncio.timeout(5):
            bot.task.cancel()
            await asyncio.wait([bot.task])


@pytest.mark.parametrize("state", ("finding", "connecting", "logging in", "joining"))
async def test_stop_at_any_step(state: str) -> None:
    """A stop on the way in is as quick."""

    async def script(line: Line) -> None:
        await line.greet()
        if state == "joining":
            await line.login()

    deaf = socket.create_server(("127.0.0.1", 0))
    nowhere = f"http://127.0.0.1:{deaf.getsockname()[1]}"
    answer = {"servers": [{"url": nowhere}]} if state == "connecting" else None
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(deaf)
        player = await stack.enter_async_context(Player(script, answer=answer))
        async with running(nowhere if state == "finding" else player.url, username="Rosey") as bot:
            await passed(lambda: bot.session.state == state)
            async with asyncio.timeout(5):
                bot.task.cancel()
                await asyncio.wait([bot.task])
            assert bot.session.state == "stopped"
        assert not any(bot.all(kind) for kind in ENDS)


# --- secrets ---


async def test_passwords_are_nowhere(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """No password is in what is told, logged at any level, or shown of an object, whatever goes wrong."""
    monkeypatch.setattr(visit, "PASSWORD_GRACE", 0.05)
    caplog.set_level(logging.DEBUG)
    secrets = Secrets("canary-account", "canary-room", "")
    bots: list[Bot] = []

    async def refused(line: Line) -> None:
        await line.greet()
        await line.login({"success": False, "error": "Invalid username/password combination"})

    async def wrong(line: Line) -> None:
        await line.greet()
        await line.login()
        await line.hear('42["joinChannel"')
        await line.event("needPassword", True)

    async def junk(line: Line) -> None:
        if line.number:
            await refused(line)
            return
        await line.greet()
        await line.login()
        await line.hear('42["joinChannel"')
        await line.say('42["login",')

    async def full(line: Line) -> None:
        await line.greet()
        await line.login()
        await line.admit()
        await line.event("channelOpts", {"password": "canary-room", "pagetitle": "x"})
        await line.event("kick", {"reason": "Duplicate login"})

    with structlog.testing.capture_logs() as logs:
        for script in (refused, wrong, junk, full):
            async with Player(script) as player, running(player.url, secrets, username="Rosey") as bot:
                await bot.stopped()
                bots.append(bot)
                assert "canary" in json.dumps([line.heard for line in player.lines])
    assert logs
    shown = [repr(secrets), str(secrets), f"{logs}", caplog.text]
    shown += [f"{bot.session!r} {bot.session.reason} {bot.drafts}" for bot in bots]
    assert "canary" not in "".join(shown)


async def test_our_own_fault_is_an_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of rosey's own is logged and told like any lost connection, and the bot comes back."""
    faults = [ZeroDivisionError("canary")]

    async with Player(welcome) as player, running(player.url) as bot:
        await bot.joined()
        feed = bot.session.translator.feed

        def faulty(heard: wire.Event) -> list[Draft]:
            if faults:
                raise faults.pop()
            return feed(heard)

        monkeypatch.setattr(bot.session.translator, "feed", faulty)
        await player.lines[0].event("usercount", 5)
        await bot.joined(2)
        (end,) = bot.all(ConnectionLost)
        assert "ZeroDivisionError" in end.reason
        assert "canary" not in end.reason
