"""The simulated CyTube on its port: what the wire says, what tests can do to it, down and up again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from rosey_core.cytube import fetch
from rosey_core.errors import ChannelError, Kicked, LoginError, SocketIOError
from rosey_core.testing.cytube import Heard, SimulatedCytube
from rosey_core.testing.viewer import Viewer

ROOM = "movienight"


@pytest.fixture
async def cytube() -> AsyncIterator[SimulatedCytube]:
    """A site with an owner and a bot's account."""
    async with SimulatedCytube(
        ROOM, accounts={"Rosey": "pw", "Olive": "pw"}, ranks={"Rosey": 3, "Olive": 5}, usercount_period=0.01
    ) as site:
        yield site


async def raw(cytube: SimulatedCytube) -> ClientConnection:
    """A bare websocket that has its session."""
    address = cytube.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    socket = await connect(address, compression=None, ping_interval=None, proxy=None)
    opening = json.loads(str(await socket.recv())[1:])
    assert opening["pingInterval"] == 25000
    assert opening["pingTimeout"] == 120000
    assert opening["maxPayload"] == 1 << 20
    return socket


async def session(cytube: SimulatedCytube) -> ClientConnection:
    """A bare websocket that has its session."""
    socket = await raw(cytube)
    await socket.send("40")
    assert str(await socket.recv()).startswith('40{"sid":')
    assert await socket.recv() == '42["rank",-1]'
    return socket


async def end(socket: ClientConnection) -> int | None:
    """Read to the end of a connection; its code."""
    with contextlib.suppress(ConnectionClosed):
        async for _ in socket:
            pass
    return socket.close_code


async def ask(cytube: SimulatedCytube, room: str) -> tuple[int, Any]:
    """The answer to the question where a room is."""
    status, body = await fetch.get(f"{cytube.url}/socketconfig/{room}.json", proxy=None, seconds=5)
    return status, json.loads(body)


async def test_tells_where_a_room_is_whether_it_is_there_or_not(cytube: SimulatedCytube) -> None:
    """Any name that a room can have is answered with this server, another one with CyTube's 404."""
    here = {"servers": [{"url": cytube.url, "secure": False}]}
    assert await ask(cytube, ROOM) == (200, here)
    assert await ask(cytube, "nobody-was-here") == (200, here)
    assert await ask(cytube, "bad%20name") == (404, {"error": 'Channel "bad name" does not exist.'})


async def test_two_clients_of_a_room_hear_each_other(cytube: SimulatedCytube) -> None:
    """A line comes back to its sender and to others; a private message to both ends."""
    async with Viewer(cytube.url, ROOM, "Rosey", "pw") as rosey, Viewer(cytube.url, ROOM, "alice") as alice:
        await alice.say("hello *all*")
        for each in (rosey, alice):
            line = await each.expect("chatMsg", lambda line: line["username"] == "alice")
            assert line["msg"] == "hello <strong>all</strong>"
        await rosey.pm("ALICE", "psst")
        assert (await alice.expect("pm"))["to"] == "alice"
        assert (await rosey.expect("pm"))["msg"] == "psst"
        assert rosey.rank == 3
    assert Heard("alice", "chatMsg", {"msg": "hello *all*", "meta": {}}) in cytube.heard


async def test_acknowledges_new_polls_and_nothing_else(cytube: SimulatedCytube) -> None:
    """`newPoll` has an acknowledgement, also one that says what is wrong; a line never has."""
    async with Viewer(cytube.url, ROOM, "Rosey", "pw") as rosey:
        assert await rosey.ask("newPoll", {"title": "T", "opts": ["a"], "obscured": False}) == {}
        wrong = await rosey.ask("newPoll", {"title": "T", "opts": [""], "obscured": False})
        assert wrong == {"error": {"message": "Poll options must be 1-255 characters long."}}
    socket = await session(cytube)
    await socket.send('427["joinChannel",{"name":"movienight"}]')
    await socket.send('428["playerReady"]')
    frames: list[str] = []
    while not frames or not frames[-1].startswith('42["usercount"'):
        frames.append(str(await socket.recv()))
    assert not [frame for frame in frames if frame.startswith("43")]
    await socket.close()


async def test_a_kick_ends_the_session_and_leaves_the_transport(cytube: SimulatedCytube) -> None:
    """After `kick` and `41` the websocket stays open for a new session, until an event is sent on it."""
    socket = await session(cytube)
    await socket.send('42["login",{"name":"alice"}]')
    await socket.send('42["joinChannel",{"name":"movienight"}]')
    await cytube.wait_for(lambda: cytube.room.find("alice"))
    await cytube.kick("alice", None)
    while await socket.recv() != '42["kick",{}]':
        pass
    assert await socket.recv() == "41"
    await socket.send("40")
    assert str(await socket.recv()).startswith('40{"sid":')
    assert await socket.recv() == '42["rank",-1]'
    await socket.send("41")
    await cytube.wait_for(lambda: cytube.connections == 0)
    await socket.send('42["chatMsg",{"msg":"x"}]')
    assert await end(socket) == 1005


@pytest.mark.parametrize(
    "frame", ("42not json", '42{"a":1}', "42[]", "42[1]", "hello", "4", "45-[]", '42["connect"]', "40", b"4")
)
async def test_drops_who_sends_what_is_no_event(cytube: SimulatedCytube, frame: str | bytes) -> None:
    """Bytes that are no event end the connection with code 1005, and nothing else is harmed."""
    async with Viewer(cytube.url, ROOM, "alice") as alice:
        socket = await session(cytube)
        await socket.send(frame)
        assert await end(socket) == 1005
        await alice.say("still here")
        await alice.expect_line(lambda _, text: text == "still here")


async def test_drops_who_speaks_before_the_session_stands(cytube: SimulatedCytube) -> None:
    """An event right behind `40`, before its answer, ends the connection."""
    socket = await raw(cytube)
    await socket.send('42["joinChannel",{"name":"movienight"}]')
    assert await end(socket) == 1005
    assert not cytube.heard


async def test_a_frame_of_more_than_a_mebibyte_is_too_big(cytube: SimulatedCytube) -> None:
    """A client's frame may have 1 MiB; a longer one ends the connection with 1009."""
    socket = await session(cytube)
    await socket.send("42" + json.dumps(["chatMsg", {"msg": "x" * (1 << 20)}]))
    assert await end(socket) == 1009


async def test_refuses_who_connects_too_often() -> None:
    """The sixth connection of one address at once is refused with CyTube's words."""
    async with SimulatedCytube(connect_limit=True) as cytube:
        for _ in range(5):
            await (await session(cytube)).close()
        socket = await raw(cytube)
        await socket.send("40")
        assert await socket.recv() == '44{"message":"Rate limit exceeded"}'
        await socket.close()
        with pytest.raises(SocketIOError, match="Rate limit exceeded"):
            async with Viewer(cytube.url, "movienight", address="127.0.0.1"):
                pass
        async with Viewer(cytube.url, "movienight", address="198.51.100.7"):
            assert cytube.connections == 1


async def test_too_many_connections_are_kicked_off() -> None:
    """One more connection than allowed hears a kick, and its transport is closed."""
    async with SimulatedCytube(most_connections=1) as cytube:
        first = await session(cytube)
        second = await raw(cytube)
        await second.send("40")
        assert str(await second.recv()).startswith("40")
        assert "Too many connections" in str(await second.recv())
        assert await end(second) == 1005
        await first.close()


async def test_room_password() -> None:
    """The room's password lets in, another does not, and the owner needs none."""
    accounts: dict[str, Any] = {"accounts": {"Olive": "pw"}, "ranks": {"Olive": 5}}
    async with SimulatedCytube(ROOM, password="open sesame", **accounts) as cytube:
        async with Viewer(cytube.url, ROOM, "alice", room_password="open sesame") as alice:
            assert ("cancelNeedPassword", None) not in alice.received
        with pytest.raises(ChannelError):
            async with Viewer(cytube.url, ROOM, "bob", room_password="wrong"):
                pass
        async with Viewer(cytube.url, ROOM, "Olive", "pw"):
            assert cytube.room.find("Olive")


async def test_a_viewer_says_why_it_could_not_come(cytube: SimulatedCytube) -> None:
    """A wrong password, a ban and a name that no room can have each raise an error of their own."""
    with pytest.raises(LoginError, match="Invalid username/password combination"):
        async with Viewer(cytube.url, ROOM, "Rosey", "wrong"):
            pass
    cytube.room.moderation.add_ban("alice", "", "Olive")
    with pytest.raises(Kicked, match="You are banned"):
        async with Viewer(cytube.url, ROOM, "alice"):
            pass
    with pytest.raises(SocketIOError, match="could be called 'bad name'"):
        async with Viewer(cytube.url, "bad name", "bob"):
            pass
    assert cytube.connections == 0


async def test_drop_cuts_one_or_all_without_a_goodbye(cytube: SimulatedCytube) -> None:
    """A dropped client's websocket breaks with no closing frame; others stay until all are dropped."""
    async with Viewer(cytube.url, ROOM, "Rosey", "pw") as rosey, Viewer(cytube.url, ROOM, "alice") as alice:
        await cytube.drop("Rosey")
        await rosey.wait_closed()
        assert rosey.kicked is None
        assert (await alice.expect("userLeave"))["name"] == "Rosey"
        assert not alice.closed
        await cytube.drop()
        await alice.wait_closed()
        assert cytube.connections == 0
    with pytest.raises(LookupError, match="nobody called 'Rosey'"):
        await cytube.drop("Rosey")


async def test_down_and_up_again_on_the_same_port(cytube: SimulatedCytube) -> None:
    """While it is down connections are refused; afterwards the room has its history and items, with new uids."""
    url = cytube.url
    async with Viewer(cytube.url, ROOM, "Rosey", "pw") as rosey:
        await rosey.say("remember me")
        for name in "abc":
            await rosey.emit("queue", {"id": name, "type": "tw", "pos": "end"})
        await cytube.wait_for(lambda: len(cytube.room.playlist.items) == 3)
        await rosey.emit("delete", 0)
        await cytube.wait_for(lambda: len(cytube.room.playlist.items) == 2)
        await cytube.stop()
        await rosey.wait_closed()
    with pytest.raises(SocketIOError, match="can't be reached"):
        async with Viewer(url, ROOM):
            pass
    await cytube.start()
    assert cytube.url == url
    async with Viewer(url, ROOM, "alice") as alice:
        assert ("Rosey", "remember me") in alice.lines
        playlist = next(payload for name, payload in alice.received if name == "playlist")
        assert [(item["uid"], item["media"]["id"]) for item in playlist] == [(0, "b"), (1, "c")]


async def test_inject_sends_any_event_to_one_or_all(cytube: SimulatedCytube) -> None:
    """An event of the test's own arrives as it is, with a payload or none."""
    async with Viewer(cytube.url, ROOM, "alice") as alice, Viewer(cytube.url, ROOM, "bob") as bob:
        await cytube.inject("somethingNew", {"a": [1]})
        await cytube.inject("noPayload", to="Bob")
        assert await alice.expect("somethingNew") == {"a": [1]}
        assert await bob.expect("somethingNew") == {"a": [1]}
        assert await bob.expect("noPayload") is None
        assert not [name for name, _ in alice.received if name == "noPayload"]


async def test_waiting_in_vain_says_what_happened_instead(cytube: SimulatedCytube) -> None:
    """The time-out of `wait_for` names who is in the room and what was heard last."""
    async with Viewer(cytube.url, ROOM, "alice"):
        with pytest.raises(TimeoutError, match=r"in the room: alice; last heard: .*joinChannel from alice"):
            await cytube.wait_for(lambda: False, 0.05)


async def test_pings_in_its_own_time() -> None:
    """The server pings by itself, and ends a connection that leaves pings unanswered."""
    async with SimulatedCytube(ping=(1, 1)) as cytube:
        address = cytube.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
        async with connect(address, ping_interval=None, proxy=None) as socket:
            assert json.loads(str(await socket.recv())[1:])["pingInterval"] == 1000
            await socket.send("40")
            while await socket.recv() != "2":
                pass
            async with asyncio.timeout(20):
                await end(socket)
        await cytube.wait_for(lambda: cytube.connections == 0)


async def test_a_large_list_arrives_in_one_frame(cytube: SimulatedCytube) -> None:
    """4,000 items with long titles make one frame of more than 1 MiB, as on a real server."""
    cytube.room.fill(4000, type="cm", title_length=100)
    async with Viewer(cytube.url, ROOM, "alice") as alice:
        playlist = next(payload for name, payload in alice.received if name == "playlist")
        assert len(playlist) == 4000
        assert len(json.dumps(playlist)) > 1 << 20


async def test_half_a_character_reaches_others_as_it_was_sent(cytube: SimulatedCytube) -> None:
    """A lone surrogate is escaped on the wire, as Node does, and harms nobody."""
    async with Viewer(cytube.url, ROOM, "alice") as alice:
        socket = await session(cytube)
        await socket.send('42["login",{"name":"bob"}]')
        await socket.send('42["joinChannel",{"name":"movienight"}]')
        await socket.send(r'42["pm",{"to":"alice","msg":"\ud83d half"}]')
        assert "half" in (await alice.expect("pm"))["msg"]
        await socket.close()


async def break_a_rule() -> None:
    """Use a simulation that has a fault."""
    async with SimulatedCytube(ROOM) as cytube, Viewer(cytube.url, ROOM, "alice") as alice:
        cytube.room._answers["breaks"] = lambda _user, _data: 1 // 0
        await alice.emit("breaks")
        await cytube.wait_for(lambda: cytube._errors)
        await alice.say("it lives on")
        await alice.expect_line(lambda _, text: text == "it lives on")


async def test_a_fault_of_the_simulation_is_told_at_its_end() -> None:
    """What goes wrong inside the rules fails the test that used them."""
    with pytest.raises(AssertionError, match="the simulated CyTube failed: ZeroDivisionError"):
        await break_a_rule()


async def test_leaves_no_task_behind() -> None:
    """After its end nothing of it runs on."""
    async with SimulatedCytube(ROOM) as cytube, Viewer(cytube.url, ROOM, "alice"):
        pass
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_needs_no_aiohttp() -> None:
    """The simulation does not import aiohttp, which a fresh machine need not have."""
    code = "import sys, rosey_core.testing.cytube, rosey_core.testing.scenario; print('aiohttp' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "False"
