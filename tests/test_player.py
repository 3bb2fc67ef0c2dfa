"""The server that says what it is told: what a client sees of each fault."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

from rosey_core.cytube import fetch
from rosey_core.testing.player import Line, Player, Script, event, frames, recorded

TRACES = Path(__file__).parent / "traces"


@asynccontextmanager
async def dialled(player: Player) -> AsyncIterator[ClientConnection]:
    """A plain websocket to a player."""
    address = player.url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
    async with connect(address, proxy=None, ping_interval=None, close_timeout=0.2) as websocket:
        yield websocket


async def heard(websocket: ClientConnection, count: int) -> list[str | bytes]:
    """The next frames."""
    async with asyncio.timeout(10):
        return [await websocket.recv() for _ in range(count)]


async def test_socketconfig() -> None:
    """The question where the socket is gets the player's own address, or whatever the test says, on the same port."""

    async def script(_: Line) -> None:
        pass

    async with Player(script) as player:
        _, body = await fetch.get(f"{player.url}/socketconfig/x.json", proxy=None, seconds=5)
        assert json.loads(body) == {"servers": [{"url": player.url, "secure": False}]}
        player.answer, player.status = b"<html>", 500
        assert await fetch.get(f"{player.url}/other", proxy=None, seconds=5) == (500, b"<html>")
        assert player.asked == ["/socketconfig/x.json", "/other"]
        assert player.lines == []


async def test_a_whole_visit() -> None:
    """A greeting, a login and a join go as with CyTube; what the client sends is kept, and given to the script."""
    sent: list[object] = []

    async def script(line: Line) -> None:
        await line.greet(interval=1, patience=2)
        sent.append(await line.login())
        sent.append(await line.admit(event("chatMsg", {}), rank=2))

    async with Player(script) as player, dialled(player) as websocket:
        (opening,) = await heard(websocket, 1)
        assert json.loads(opening[1:])["pingInterval"] == 1000
        assert json.loads(opening[1:])["pingTimeout"] == 2000
        await websocket.send("40")
        assert (await heard(websocket, 2))[1] == '42["rank",-1]'
        await websocket.send('42["login",{"name":"a","pw":"b"}]')
        assert await heard(websocket, 2) == ['42["rank",1]', '42["login",{"success":true,"name":"a"}]']
        await websocket.send('42["joinChannel",{"name":"x"}]')
        join = await heard(websocket, 10)
        names = [json.loads(frame[2:])[0] for frame in join]
        assert names.index("chatMsg") < names.index("drinkCount") < names.index("userlist")
        assert join[0] == '42["rank",2]'
        assert sent == [{"name": "a", "pw": "b"}, {"name": "x"}]
        assert player.lines[0].heard == [
            "40",
            '42["login",{"name":"a","pw":"b"}]',
            '42["joinChannel",{"name":"x"}]',
        ]


async def test_guests_and_refused_logins() -> None:
    """A login without a password is a guest's, and a script may give any other answer."""

    async def script(line: Line) -> None:
        await line.login()
        await line.login({"success": False, "error": "no"})

    async with Player(script) as player, dialled(player) as websocket:
        await websocket.send('42["login",{"name":"a"}]')
        assert (await heard(websocket, 2))[1] == '42["login",{"success":true,"name":"a","guest":true}]'
        await websocket.send('42["login",{"name":"a"}]')
        assert await heard(websocket, 1) == ['42["login",{"success":false,"error":"no"}]']


async def test_what_no_library_says() -> None:
    """A refusal, the end of a session on an open transport, and junk go out as they stand; then silence."""

    async def script(line: Line) -> None:
        await line.say('44{"message":"x"}', "41", "<html>", "")

    async with Player(script) as player, dialled(player) as websocket:
        assert await heard(websocket, 4) == ['44{"message":"x"}', "41", "<html>", ""]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await websocket.recv()
        await websocket.send("still there")
        await (await websocket.ping())
        assert player.lines[0].heard == ["still there"]


async def half(line: Line) -> None:
    """Half a frame, then the end."""
    await line.write(b"\x81\x05ab")
    line.websocket.transport.close()


async def dropped(line: Line) -> None:
    """No goodbye."""
    await line.drop()


async def closed(line: Line) -> None:
    """A goodbye."""
    await line.close(1001)


async def bare(line: Line) -> None:
    """A goodbye without a code, as CyTube's."""
    await line.write(b"\x88\x00")


@pytest.mark.parametrize(
    ("script", "code"), ((half, 1006), (dropped, 1006), (closed, 1001), (bare, 1005)), ids=lambda v: str(v)[:20]
)
async def test_ends(script: Script, code: int) -> None:
    """Each kind of end looks to a client as it should."""
    async with Player(script) as player, dialled(player) as websocket:
        with pytest.raises(ConnectionClosed):
            await heard(websocket, 1)
        await websocket.wait_closed()
        assert websocket.close_code == code


async def test_half_open() -> None:
    """A frozen line reads nothing, so that not even a goodbye is answered."""
    frozen = asyncio.Event()

    async def script(line: Line) -> None:
        line.freeze()
        frozen.set()

    async with Player(script) as player, dialled(player) as websocket:
        async with asyncio.timeout(5):
            await frozen.wait()
        await websocket.send("anybody?")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await (await websocket.ping())
        await websocket.close()
        assert websocket.close_code == 1006
        assert player.lines[0].heard == []


async def test_scripts_by_turn() -> None:
    """Each connection plays its own script; the last is for all others."""

    def says(text: str) -> Script:
        async def script(line: Line) -> None:
            await line.say(f"{text} {line.number}")

        return script

    async with Player(says("a"), says("b")) as player:
        told = []
        for _ in range(3):
            async with dialled(player) as websocket:
                told += await heard(websocket, 1)
        assert told == ["a 0", "b 1", "b 2"]
        assert len(player.lines) == 3


async def test_a_script_that_fails() -> None:
    """A script's failure fails the test, at the end; a client that goes away is none."""

    async def wrong(line: Line) -> None:
        assert await line.hear() == "right"

    async with Player(wrong) as player, dialled(player):
        pass

    async def told(text: str) -> None:
        async with Player(wrong) as player, dialled(player) as websocket:
            await websocket.send(text)
            await (await websocket.ping())

    await told("right")
    with pytest.raises(AssertionError, match="a script failed"):
        await told("wrong")


async def test_recorded() -> None:
    """A trace is played back: what the server said, each time after the client sent as many frames as then."""
    trace = TRACES / "02b-login-before-join.jsonl"
    records = list(frames(trace))
    assert {direction for direction, _ in records} == {"in", "out"}
    async with Player(recorded(trace)) as player, dialled(player) as websocket:
        for direction, frame in records:
            if direction == "out":
                await websocket.send(frame)
            else:
                assert await heard(websocket, 1) == [frame]
        await (await websocket.ping())
        assert player.lines[0].heard == [frame for direction, frame in records if direction == "out"]


async def test_end_of_the_player() -> None:
    """When the player ends, its connections do."""

    async def script(_: Line) -> None:
        pass

    player = Player(script)
    async with player:
        websocket = await connect(player.url.replace("http", "ws", 1) + "/socket.io/", proxy=None)
    with pytest.raises(ConnectionClosedOK, match="1001"):
        await heard(websocket, 1)
