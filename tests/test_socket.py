"""The websocket that feeds a deque: what it overrides in websockets, and its bound."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from rosey_core.cytube import socket as module
from rosey_core.cytube.socket import Socket
from rosey_core.testing.player import Line, Player, Script


@asynccontextmanager
async def dialled(script: Script, *, close_timeout: float = 1.0, max_size: int = 1 << 20) -> AsyncIterator[Socket]:
    """A socket connected to a player."""
    async with Player(script) as player:
        address = player.url.replace("http", "ws", 1) + "/socket.io/"
        socket = await connect(
            address,
            create_connection=Socket,
            compression=None,
            ping_interval=None,
            close_timeout=close_timeout,
            max_size=max_size,
            proxy=None,
        )
        assert isinstance(socket, Socket)
        try:
            yield socket
        finally:
            await socket.shut()


async def arrived(socket: Socket, ready: Callable[[], bool]) -> None:
    """Wait until `ready`, with the socket's own waiting."""
    async with asyncio.timeout(10):
        while not ready():
            if socket.frames:
                await asyncio.sleep(0)  # more may be on its way
            else:
                await socket.arrival(asyncio.get_running_loop().time() + 10)


async def drained(socket: Socket) -> list[bytes]:
    """Take everything until the connection ends."""
    taken = []
    async with asyncio.timeout(20):
        while socket.frames or not socket.ended:
            if socket.frames:
                taken.append(socket.take())
            else:
                await socket.arrival(asyncio.get_running_loop().time() + 10)
    return taken


def test_pinned_to_websockets() -> None:
    """The three callbacks that are overridden exist in websockets, with the arguments that we give on."""
    for name in ("process_event", "data_received", "connection_lost"):
        ours, theirs = getattr(Socket, name), getattr(ClientConnection, name)
        assert ours is not theirs
        assert len(inspect.signature(ours).parameters) == len(inspect.signature(theirs).parameters)
    for name in ("send_data", "transport", "connection_lost_waiter"):
        assert name in inspect.getsource(inspect.getmodule(ClientConnection.__mro__[1]) or module)


async def test_frames_arrive_whole_and_in_order() -> None:
    """Text frames, fragmented or not, arrive as bytes in their order, and then the end."""

    async def script(line: Line) -> None:
        await line.say("one")
        await line.websocket.send(iter(["tw", "", "o"]))
        await line.say("é")
        await line.websocket.ping()
        await line.close(1001)

    async with dialled(script) as socket:
        assert await drained(socket) == [b"one", b"two", "é".encode()]
        assert socket.why_closed == 1001
        assert socket.broken == ""


async def test_writing() -> None:
    """What is written arrives; after the end it goes nowhere and raises nothing."""

    async def script(line: Line) -> None:
        await line.hear("hello")
        await line.say("seen")
        await line.drop()

    async with dialled(script) as socket:
        socket.write("hello")
        assert await drained(socket) == [b"seen"]
        socket.write("too late")
        assert socket.why_closed in {None, 1006}


async def test_burst_pauses_reading_and_loses_nothing() -> None:
    """More frames than the queue holds pause the network; all of them arrive."""
    count = 3 * module.MOST_FRAMES

    async def script(line: Line) -> None:
        for number in range(count):
            await line.say(str(number))
        await line.close()

    async with dialled(script) as socket:
        await arrived(socket, lambda: socket.pauses > 0)
        held = len(socket.frames)
        await asyncio.sleep(0.05)
        assert len(socket.frames) == held
        # What one read from the network brings may come on top.
        assert held < module.MOST_FRAMES + 200_000
        assert await drained(socket) == [str(number).encode() for number in range(count)]


async def test_bytes_pause_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few big frames pause the network as many small ones do."""
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)

    async def script(line: Line) -> None:
        for _ in range(8):
            await line.say("x" * 600_000)
        await line.close()

    async with dialled(script) as socket:
        await arrived(socket, lambda: socket.pauses > 0)
        assert len(socket.frames) < 8
        assert [len(frame) for frame in await drained(socket)] == [600_000] * 8


async def test_shut_while_paused() -> None:
    """A socket whose reading is paused closes as quickly as any other."""

    async def script(line: Line) -> None:
        for number in range(3 * module.MOST_FRAMES):
            await line.say(str(number))

    async with dialled(script) as socket:
        await arrived(socket, lambda: socket.pauses > 0)
        async with asyncio.timeout(5):
            await socket.shut()


async def test_half_open_does_not_hang() -> None:
    """When the other side never answers the goodbye, closing ends by its own time-out."""

    async def script(line: Line) -> None:
        line.freeze()
        await line.say("frozen")

    async with dialled(script, close_timeout=0.1) as socket:
        await arrived(socket, lambda: bool(socket.frames))
        async with asyncio.timeout(5):
            await socket.shut()


async def test_half_open_with_a_full_buffer_does_not_hang() -> None:
    """The same when more waits to be sent than the network takes."""

    async def script(line: Line) -> None:
        line.freeze()
        await line.say("frozen")

    async with dialled(script, close_timeout=0.1) as socket:
        await arrived(socket, lambda: bool(socket.frames))
        for _ in range(100):
            socket.write("x" * 200_000)
        async with asyncio.timeout(5):
            await socket.shut()


async def test_close_frame_ends_it_though_tcp_stays() -> None:
    """A close frame is the end, even where the server never closes the TCP connection."""

    async def script(line: Line) -> None:
        await line.say("last")
        line.freeze()
        await line.write(b"\x88\x02\x03\xe9")  # close, 1001

    async with dialled(script, close_timeout=0.1) as socket:
        assert await drained(socket) == [b"last"]
        assert socket.why_closed == 1001


async def test_too_big_a_frame() -> None:
    """A frame over the limit ends the connection with 1009, after all that came before it."""

    async def script(line: Line) -> None:
        await line.say("small", "x" * 2000)

    async with dialled(script, max_size=1000) as socket:
        assert await drained(socket) == [b"small"]
        assert socket.why_closed == 1009
        assert socket.overlong


@pytest.mark.parametrize("data", (b"\x83\x00", b"\x80\x00", b"\xf1\x00", b"\x81\x85abcd"))
async def test_no_websocket_frame(data: bytes) -> None:
    """Bytes that break the websocket protocol end the connection with 1002."""

    async def script(line: Line) -> None:
        await line.write(data)

    async with dialled(script) as socket:
        assert await drained(socket) == []
        assert socket.why_closed == 1002


async def test_half_a_frame_is_never_delivered() -> None:
    """A frame that breaks off in its middle is no frame."""

    async def script(line: Line) -> None:
        await line.say("whole")
        await line.write(b"\x81\x7e\x01\x00half")
        await asyncio.sleep(0.05)
        await line.drop()

    async with dialled(script) as socket:
        assert await drained(socket) == [b"whole"]


async def test_binary_frame_ends_it() -> None:
    """A binary frame, which CyTube never sends, ends the connection and is named; whole or in parts."""

    async def script(line: Line) -> None:
        await line.websocket.send(iter([b"bi", b"nary"]))

    async with dialled(script) as socket:
        assert await drained(socket) == []
        assert "binary" in socket.broken


async def test_endless_parts_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message in endless empty parts does not fill the memory."""
    monkeypatch.setattr(module, "MOST_PARTS", 50)

    async def script(line: Line) -> None:
        await line.write(b"\x01\x00" + b"\x00\x00" * 100)

    async with dialled(script) as socket:
        assert await drained(socket) == []
        assert "parts" in socket.broken


async def test_pings_of_the_websocket_are_answered() -> None:
    """The websocket's own ping, which proxies send, is answered."""
    answered: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def script(line: Line) -> None:
        answered.set_result(await (await line.websocket.ping()))

    async with dialled(script):
        async with asyncio.timeout(10):
            assert await answered >= 0


async def test_arrival_returns_at_its_time() -> None:
    """Waiting ends at the given time at the latest, also when an earlier timer was set for later."""

    async def script(line: Line) -> None:
        await line.hear("never")

    async with dialled(script) as socket:
        loop = asyncio.get_running_loop()
        waiting = asyncio.create_task(socket.arrival(loop.time() + 1000))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        async with asyncio.timeout(5):
            due = loop.time() + 0.01
            while loop.time() < due:
                await socket.arrival(due)
        assert not socket.frames


async def test_plain_reception_is_not_fed() -> None:
    """`recv` of websockets gets nothing: there is one way to the frames."""

    async def script(line: Line) -> None:
        await line.say("one")
        await line.close()

    async with dialled(script) as socket:
        await drained(socket)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
