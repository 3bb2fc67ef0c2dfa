"""Every way in which a connection ends, case by case, on a real websocket: what is told, what is final, what waits.

Each row is played twice: as the bot's first attempt, and after it was in the room. CyTube's words are those of
CyTube 3.86, seen on a running server or in its `src/`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from rosey_core.config import ChannelConfig
from rosey_core.cytube import session, visit
from rosey_core.cytube.gate import Backoff, ConnectGate
from rosey_core.cytube.session import Secrets, Session
from rosey_core.cytube.translate import Draft
from rosey_core.events import ConnectionJoined, ConnectionKicked, ConnectionLost, ConnectionRefused
from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.player import Line, Player, Script, recorded

TRACES = Path(__file__).parent / "traces"
End = ConnectionLost | ConnectionKicked | ConnectionRefused
LOST, KICKED, REFUSED = ConnectionLost, ConnectionKicked, ConnectionRefused


class Run:
    """A session, run until it gave up, or was in the room after so many ends.

    Attributes:
        ends: the events that told an end, in order.
        states: the session's state when each was told.
        waits: the seconds between attempts, which are not waited.
    """

    def __init__(self, site: str, *, secrets: Secrets | None = None, gate: Any = None, **settings: Any) -> None:
        standard: dict[str, Any] = {"room": "movienight", "server": site, "connect_timeout": 5}
        config = ChannelConfig(**(standard | settings))
        self.joins = 0
        self.ends: list[End] = []
        self.states: list[str] = []
        self.waits: list[float] = []
        self.each: Callable[[], object] = lambda: None
        self._enough = 0
        self._done = asyncio.Event()
        self.session = Session(
            "cytube",
            config,
            secrets or Secrets(),
            hear=self._hear,
            gate=gate or ConnectGate(every=0),
            log=structlog.get_logger(),
            sleep=self._sleep,
        )

    async def _hear(self, drafts: list[Draft]) -> None:
        for draft in drafts:
            if isinstance(draft.data, ConnectionJoined):
                self.joins += 1
                if len(self.ends) >= self._enough:
                    self._done.set()
            elif isinstance(draft.data, End):
                self.ends.append(draft.data)
                self.states.append(self.session.state)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.each()
        await asyncio.sleep(0)

    async def final(self) -> End:
        """Run until it gives up by itself, and give the last end."""
        async with asyncio.timeout(15):
            await self.session.run()
        return self.ends[-1]

    async def in_after(self, ends: int) -> None:
        """Run until it is in the room after so many ends."""
        self._enough = ends
        running = asyncio.create_task(self.session.run())
        over = asyncio.create_task(self._done.wait())
        try:
            async with asyncio.timeout(15):
                await asyncio.wait((running, over), return_when=asyncio.FIRST_COMPLETED)
            assert over.done(), f"it stopped: {self.session.reason}"
        finally:
            for task in (running, over):
                task.cancel()
            await asyncio.wait((running, over))


# --- what a server may do ---


async def passed(ready: Callable[[], object]) -> None:
    """Wait for something that nobody tells."""
    async with asyncio.timeout(10):
        while not ready():  # noqa: ASYNC110  there is no event
            await asyncio.sleep(0.002)


async def let_in(line: Line) -> None:
    """Greet, log in whoever asks, and admit."""
    await to_the_join(line)
    await line.admit()


async def to_the_join(line: Line) -> None:
    """Greet, and log in whoever asks."""
    await line.greet()
    first = await line.hear('42["')
    line._take(first)  # back to where `login` and `admit` look for it
    if "login" in first:
        await line.login()


async def let_in_and_drop(line: Line) -> None:
    """The bot was in the room."""
    await let_in(line)
    await line.drop()


def kick(*payload: object, joined: bool = False, leaves: bool = False) -> Script:
    """A kick, at the join or after it, and then `41` on a transport that stays open, as CyTube does it."""

    async def script(line: Line) -> None:
        await (let_in if joined else to_the_join)(line)
        await line.event("kick", *payload)
        if leaves:
            await line.close()
        else:
            await line.say("41")

    return script


def refuse(text: str) -> Script:
    """A `44`, after which CyTube leaves the transport open."""

    async def script(line: Line) -> None:
        await line.say('0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":120000}')
        await line.hear("40")
        await line.say(f'44{{"message":"{text}"}}')

    return script


def login(error: str) -> Script:
    """A login that fails."""

    async def script(line: Line) -> None:
        await line.greet()
        await line.login({"success": False, "error": error})

    return script


def joining(*frames: str) -> Script:
    """Frames in the place of the join's."""

    async def script(line: Line) -> None:
        await to_the_join(line)
        await line.hear('42["joinChannel"')
        await line.say(*frames)

    return script


def broken(data: bytes) -> Script:
    """Bytes below the websocket's frames, once the bot is in the room, and then the end."""

    async def script(line: Line) -> None:
        await let_in(line)
        await line.write(data)
        line.websocket.transport.close()

    return script


def then(*frames: str) -> Script:
    """Frames once the bot is in the room."""

    async def script(line: Line) -> None:
        await let_in(line)
        await line.say(*frames)

    return script


async def silent(line: Line) -> None:
    """Half-open: no ping, no frame, no end."""
    await line.greet(interval=0.1, patience=0.1)
    await line.login()
    await line.admit()
    line.freeze()


async def greet(line: Line) -> None:
    """The session stands, and nothing more comes."""
    await line.greet()


async def mute(line: Line) -> None:
    """The connection is there, and the session never comes."""
    await line.hear("never")


NOTHING: Mapping[str, Any] = {}


class Case(NamedTuple):
    """One way to end.

    Attributes:
        plays: what the server does.
        kind: the event that tells it.
        says: words that its reason has.
        least: seconds until the next attempt, at least.
        most: and at most.
        settings: what differs in rosey.toml.
    """

    plays: Script
    kind: type[End]
    says: str
    least: float = 0.0
    most: float = 0.0
    settings: Mapping[str, Any] = NOTHING


ANONYMOUS = {"username": ""}
FINAL = {
    "duplicate login": Case(kick({"reason": "Duplicate login"}, joined=True), KICKED, "another copy"),
    "duplicate login at the door": Case(kick({"reason": "Duplicate login"}), KICKED, "another copy"),
    "banned while in": Case(kick({"reason": "You're banned!"}, joined=True), KICKED, "lift the ban"),
    "banned at the join": Case(kick({"reason": "You are banned from this channel."}), KICKED, "lift the ban"),
    "room closed while in": Case(kick({"reason": "Channel was banned: x"}, joined=True), KICKED, "closed this room"),
    "room closed": Case(
        kick({"reason": "Channel could not be loaded: Channel is banned: x"}), KICKED, "closed this room"
    ),
    "no such room": Case(kick({"reason": "Invalid channel name"}), KICKED, "`room`"),
    "tor": Case(kick({"reason": "This channel has banned connections from Tor."}), KICKED, "`proxy`"),
    "moderator, by the owner's choice": Case(
        kick({"reason": "enough"}, joined=True), KICKED, "enough", settings={"rejoin_after_kick": 0}
    ),
    "banned from the site": Case(refuse("You are banned from the server"), REFUSED, "administrator"),
    "wrong password": Case(login("Invalid username/password combination"), REFUSED, "`password`"),
    "no such user": Case(login("User does not exist"), REFUSED, "`username`"),
    "no name": Case(login('Invalid username "a b"'), REFUSED, "`username`"),
    "no guest's name": Case(
        login("Invalid username.  Usernames must be 1-20 characters long"), REFUSED, "`username`"
    ),
    "reserved name": Case(login("That username is reserved."), REFUSED, "`username`"),
    "registered name": Case(login("That username is registered."), REFUSED, "`password`"),
    "room password missing": Case(
        joining('42["needPassword",false]'), REFUSED, "set `room_password`", settings=ANONYMOUS
    ),
    "room password wrong": Case(
        joining('42["needPassword",true]'),
        REFUSED,
        "check `room_password`",
        settings=ANONYMOUS | {"secrets": Secrets(room_password="old")},
    ),
    "room password wrong, no moderator": Case(
        joining('42["needPassword",true]'),
        REFUSED,
        "check `room_password`",
        settings={"secrets": Secrets("secret", "old")},
    ),
    "no anonymous users": Case(
        joining(
            '42["errorMsg",{"msg":"This channel has blocked anonymous users. Please provide a user name to join."}]'
        ),
        REFUSED,
        "`username`",
        settings=ANONYMOUS,
    ),
    "a proxy that is none": Case(
        mute, REFUSED, "socks5://HOST:PORT", settings={"secrets": Secrets(proxy="gopher://user:canary@x")}
    ),
}
PASSING = {
    "moderator": Case(kick({"reason": "be nice"}, joined=True), KICKED, "be nice", 60, 120),
    "moderator, no reason": Case(kick({"reason": ""}, joined=True), KICKED, "no reason", 60, 120),
    "kick with an empty object": Case(kick({}, joined=True), KICKED, "no reason", 60, 120),
    "kick with nothing": Case(kick(joined=True), KICKED, "no reason", 60, 120),
    "kick of no known form": Case(kick({"reason": 7}, joined=True), KICKED, "no reason", 60, 120),
    "anonymous users thrown out": Case(
        kick({"reason": "anonymous user"}, joined=True), KICKED, "anonymous", 60, 120, ANONYMOUS
    ),
    "attempted": Case(
        kick({"reason": "Attempted to set MOTD without permission"}, joined=True), KICKED, "rank", 300, 300
    ),
    "shutting down": Case(kick({"reason": "Channel shutting down"}, joined=True), KICKED, "shutting", 5, 65),
    "reloading": Case(kick({"reason": "Channel reloading"}, joined=True), KICKED, "reloading", 5, 65),
    "deleted": Case(kick({"reason": "Channel deleted"}, joined=True), KICKED, "deleted", 5, 65),
    "not loaded": Case(kick({"reason": "Channel could not be loaded: x"}), KICKED, "loaded", 10, 70),
    "too many events": Case(kick({"reason": "Rate limit exceeded"}, joined=True), KICKED, "Rate limit", 10, 30),
    "too many connections": Case(
        kick({"reason": "Too many connections from your IP address"}, leaves=True), KICKED, "Too many", 10, 30
    ),
    "connecting too fast": Case(refuse("Rate limit exceeded"), REFUSED, "Rate limit", 10, 30),
    "no address": Case(refuse("Could not determine IP address"), REFUSED, "IP address", 10, 70),
    "name in use": Case(login("That name is already in use on this channel."), REFUSED, "in use", 10, 70),
    "guests too fast": Case(
        login("Guest logins are restricted to one per IP address per 60 seconds."), REFUSED, "60 seconds", 60, 120
    ),
    "database": Case(login("ER_CON_COUNT_ERROR"), REFUSED, "ER_CON", 10, 70),
    "wrong server": Case(
        joining('42["errorMsg",{"msg":"Channel \'x\' is hosted on another server. Try refreshing"}]'),
        LOST,
        "another of the site's servers",
        0,
        60,
    ),
    "moved": Case(then('42["partitionChange",{"servers":[]}]'), LOST, "moves", 0, 0),
    "1005": Case(broken(b"\x88\x00"), LOST, "broke off", 0, 60),
    "1006": Case(let_in_and_drop, LOST, "broke off", 0, 60),
    "1001": Case(broken(b"\x88\x02\x03\xe9"), LOST, "code 1001", 0, 60),
    "1009 of the server": Case(broken(b"\x88\x02\x03\xf1"), LOST, "code 1009", 0, 60),
    "41 without a kick": Case(then("41"), LOST, "ended the session", 0, 60),
    "end of the transport": Case(then("1"), LOST, "broke off", 0, 60),
    "half-open": Case(silent, LOST, "no sign of life", 0, 60, {"connect_timeout": 600}),
    "no greeting": Case(mute, LOST, "the greeting: no answer", 0, 60, {"connect_timeout": 0.2}),
    "no answer to the login": Case(greet, LOST, "logging in: no answer", 0, 60, {"connect_timeout": 0.2}),
    "no answer to the join": Case(joining(), LOST, "joining: no answer", 0, 60, {"connect_timeout": 0.2}),
    "junk": Case(then("<html>"), LOST, "no Engine.IO", 0, 60),
    "half an event": Case(then('42["chatMsg",{"msg":'), LOST, "no Socket.IO", 0, 60),
    "a second session": Case(then('40{"sid":"again"}'), LOST, "twice", 0, 60),
    "half a frame": Case(broken(b"\x81\x7e\x01\x00half"), LOST, "broke off", 0, 60),
    "binary": Case(broken(b"\x82\x01x"), LOST, "binary", 0, 60),
    "no websocket": Case(broken(b"\xff\xff"), LOST, "code 1002", 0, 60),
    "too big a frame": Case(
        then("x" * ((1 << 20) + 1)), LOST, "more than 1 MiB: raise `max_frame_mib`", 10, 70, {"max_frame_mib": 1}
    ),
}


def run(player: Player, case: Case) -> Run:
    """A bot with a name and a password, where the case does not say otherwise."""
    standard: dict[str, Any] = {"username": "Rosey", "secrets": Secrets("secret")}
    return Run(player.url, **{**standard, **case.settings})


@pytest.mark.parametrize("later", (False, True), ids=("at start", "later"))
@pytest.mark.parametrize("case", FINAL.values(), ids=FINAL)
async def test_final(case: Case, later: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once, with what to do, and the bot stops: there is no use in trying again."""
    monkeypatch.setattr(visit, "PASSWORD_GRACE", 0.05)
    later = later and case.plays is not mute
    scripts = (let_in_and_drop, case.plays) if later else (case.plays,)
    async with Player(*scripts) as player:
        bot = run(player, case)
        end = await bot.final()
        assert isinstance(end, case.kind)
        assert not isinstance(end, ConnectionLost)
        assert end.final
        assert end.retry == 0
        assert case.says in end.reason
        assert "canary" not in end.reason
        assert [type(end) for end in bot.ends] == [LOST] * later + [case.kind]
        assert (bot.session.state, bot.session.reason) == ("stopped", end.reason)
        assert len(player.lines) == (0 if case.plays is mute else len(scripts))


@pytest.mark.parametrize("later", (False, True), ids=("at start", "later"))
@pytest.mark.parametrize("case", PASSING.values(), ids=PASSING)
async def test_passing(case: Case, later: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt is told once, with the time of the next; the site is asked again, and at last the bot is in."""
    monkeypatch.setattr(session, "CLOSE_TIMEOUT", 0.1)
    first: tuple[Script, ...] = (let_in_and_drop,) * later
    async with Player(*first, case.plays, case.plays, let_in) as player:
        bot = run(player, case)
        await bot.in_after(later + 2)
        assert [type(end) for end in bot.ends] == [LOST] * later + [case.kind] * 2
        for end in bot.ends[later:]:
            assert case.says in end.reason
            assert case.least <= end.retry <= case.most
            assert isinstance(end, ConnectionLost) or not end.final
        assert set(bot.states) == {"waiting"}
        waits = [round(wait, 1) for wait in bot.waits]
        assert [wait for wait in waits if wait] == [end.retry for end in bot.ends if end.retry]
        assert len(player.lines) == len(player.asked) == later + 3


async def test_retried_for_ever() -> None:
    """Fifty failures in a row change nothing: the wait stays under its cap, and the next attempt comes."""
    count = 50

    async def script(line: Line) -> None:
        await (line.drop() if line.number < count else let_in(line))

    async with Player(script) as player:
        bot = Run(player.url)
        await bot.in_after(count)
        assert len(bot.ends) == count
        assert max(bot.waits) <= 60
        assert len({round(wait, 2) for wait in bot.waits}) > count / 2


async def test_a_steady_stay_is_a_new_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was in the room for long enough waits as after a first failure."""
    monkeypatch.setattr(Backoff, "STEADY", 0.0)
    async with Player(*[let_in_and_drop] * 12, let_in) as player:
        bot = Run(player.url)
        await bot.in_after(12)
        assert max(bot.waits) <= 2


async def test_kicks_are_waited_out_longer_each_time() -> None:
    """A moderator who kicks again and again is annoyed less and less often."""
    async with Player(*[kick({"reason": "out"}, joined=True)] * 8, let_in) as player:
        bot = Run(player.url, rejoin_after_kick=100)
        await bot.in_after(8)
        assert bot.waits == [100, 200, 400, 800, 1600, 3200, 3600, 3600]


@pytest.mark.parametrize(
    ("trace", "kind", "says"),
    (
        ("16c-banned-channel", KICKED, "banned"),
        ("16d-invalid-channel-name", KICKED, "Invalid channel name"),
    ),
)
async def test_recorded_finals(trace: str, kind: type[End], says: str) -> None:
    """What a real CyTube said at a door that stays shut."""
    async with Player(recorded(TRACES / f"{trace}.jsonl")) as player:
        bot = Run(player.url)
        end = await bot.final()
        assert isinstance(end, kind)
        assert says in end.reason
        assert len(bot.ends) == 1


@pytest.mark.parametrize(
    ("trace", "kind"),
    (("17-conn-rate-limit-6", REFUSED), ("17b-conn-count-limit", KICKED)),
)
async def test_recorded_limits(trace: str, kind: type[End]) -> None:
    """What a real CyTube said to who connected too often: the bot waits, and comes back."""
    async with Player(recorded(TRACES / f"{trace}.jsonl"), let_in) as player:
        bot = Run(player.url)
        await bot.in_after(1)
        assert isinstance(bot.ends[0], kind)
        assert bot.waits[0] >= 10


# --- before there is a websocket ---


class Site(NamedTuple):
    """One way in which the site does not lead to a websocket: its answer, its HTTP status, what is told."""

    answer: object
    status: int
    says: str


SITES = {
    "broken": Site({"error": "x"}, 500, "HTTP status 500"),
    "another site": Site(b"<html>", 404, "HTTP status 404"),
    "no servers": Site({"servers": []}, 200, "no server for this room"),
    "no JSON": Site(b"<html>", 200, "no list of servers"),
    "no address": Site({"servers": [{"url": "gopher://x"}]}, 200, "can't be read"),
    "no socket there": Site({"servers": [{"url": "http://127.0.0.1:1"}]}, 200, "can't be reached"),
}


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
async def test_sites_that_come_round(site: Site) -> None:
    """While the site does not name a server that is there, the bot asks on, and never gives up."""
    async with Player(let_in, answer=site.answer, status=site.status) as player:
        bot = Run(player.url)

        def healed() -> None:
            if len(bot.waits) == 3:
                player.answer, player.status = None, 200

        bot.each = healed
        await bot.in_after(3)
        assert [type(end) for end in bot.ends] == [LOST] * 3
        assert all(site.says in end.reason for end in bot.ends)
        assert len(player.asked) == 4


async def test_a_room_that_can_not_be() -> None:
    """The site says that no room can have this name: that is final."""
    async with Player(let_in, answer={"error": 'Channel "x" does not exist.'}, status=404) as player:
        end = await Run(player.url).final()
        assert isinstance(end, ConnectionRefused)
        assert "`room`" in end.reason
        assert not player.lines


async def test_nobody_there_at_the_start() -> None:
    """A site that is down when the bot starts, and again later, is asked until it is up."""
    async with SimulatedCytube() as cytube:
        await cytube.stop()
        bot = Run(cytube.url)
        running = asyncio.create_task(bot.in_after(6))
        await passed(lambda: len(bot.ends) >= 3)
        await cytube.start()
        await passed(lambda: bot.joins)
        await cytube.stop()
        await passed(lambda: len(bot.ends) >= 6)
        await cytube.start()
        await running
        assert {type(end) for end in bot.ends} == {LOST}
        assert "can't be reached" in bot.ends[0].reason
        assert bot.joins >= 2


@pytest.mark.parametrize("status", (403, 503))
async def test_a_server_that_refuses_the_websocket(status: int) -> None:
    """A proxy in front of CyTube that answers with an error is tried again, and its status told."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        writer.close()

    front = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = front.sockets[0].getsockname()[1]
    async with front, Player(let_in, answer={"servers": [{"url": f"http://127.0.0.1:{port}"}]}) as player:
        bot = Run(player.url)
        bot.each = lambda: setattr(player, "answer", None)
        await bot.in_after(1)
        assert f"HTTP status {status}" in bot.ends[0].reason


async def test_a_handshake_that_never_ends() -> None:
    """A server that takes the connection and says nothing is given up after `connect_timeout`."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        async with Player(let_in, answer={"servers": [{"url": url}]}) as player:
            bot = Run(player.url, connect_timeout=0.3)
            bot.each = lambda: setattr(player, "answer", None)
            await bot.in_after(1)
            assert "no answer within 0.3 seconds" in bot.ends[0].reason


async def test_the_gate_is_asked_for_each_connection() -> None:
    """Each websocket takes a turn at the gate, a failed search none; a limit that CyTube tells empties the gate."""
    taken: list[str] = []

    class Counted(ConnectGate):
        async def take(self) -> None:
            taken.append("take")

        def exhausted(self) -> None:
            taken.append("exhausted")

    async with Player(refuse("Rate limit exceeded"), let_in_and_drop, let_in, answer={"servers": []}) as player:
        bot = Run(player.url, gate=Counted())
        bot.each = lambda: setattr(player, "answer", None)
        await bot.in_after(3)
        assert taken == ["take", "exhausted", "take", "take"]


async def test_the_gate_holds_back_a_loop() -> None:
    """A site that moves the room round and round is followed at once, and yet no faster than the gate allows."""
    async with Player(then('42["partitionChange",{"servers":[]}]')) as player:
        bot = Run(player.url, gate=ConnectGate(burst=3, every=3600))
        running = asyncio.create_task(bot.session.run())
        await passed(lambda: len(bot.ends) == 3 and "turn" in bot.session.reason)
        await asyncio.sleep(0.05)
        assert len(player.lines) == 3
        assert not bot.waits
        running.cancel()
        await asyncio.wait((running,))
