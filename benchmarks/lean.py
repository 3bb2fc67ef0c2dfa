"""The least that stores chat: websockets, msgspec and core NATS, and a second process that inserts in groups.

Nothing in between is on disk: what a kill takes is lost. `lean.py bot SITE BROKER`, `lean.py store BROKER FILE`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from typing import Any

import msgspec
import nats
from nats.aio.msg import Msg
from websockets.asyncio.client import connect

LINGER = 0.005


class Chat(msgspec.Struct):
    """A chat line."""

    username: str
    msg: str
    time: int


class Event(msgspec.Struct):
    """An event on the bus."""

    event_type: str
    data: Chat


async def bot(site: str, broker: str) -> None:
    """Join, and publish every line."""
    bus = await nats.connect(broker)
    decode = msgspec.json.Decoder(tuple[str, Chat]).decode
    encode = msgspec.json.Encoder().encode
    address = f"{site.replace('http', 'ws', 1)}/socket.io/?EIO=4&transport=websocket"
    async with connect(address, max_size=None, compression=None) as socket:
        await socket.send("40")
        await socket.send('42["login",{"name":"lean","pw":"x"}]')
        await socket.send('42["joinChannel",{"name":"bench"}]')
        async for frame in socket:
            if isinstance(frame, str) and frame.startswith('42["chatMsg"'):
                name, line = decode(frame[2:])
                await bus.publish("lean.chat", encode(Event(name, line)))


async def store(broker: str, path: str) -> None:
    """Insert what comes, in groups."""
    file = sqlite3.connect(path, isolation_level=None)
    file.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
        "CREATE TABLE chat (id INTEGER PRIMARY KEY, at INTEGER, username TEXT, text TEXT)"
    )
    decode = msgspec.json.Decoder(Event).decode
    waiting: list[tuple[Any, ...]] = []

    async def take(message: Msg) -> None:
        line = decode(message.data).data
        waiting.append((line.time, line.username, line.msg))

    bus = await nats.connect(broker)
    await bus.subscribe("lean.chat", cb=take, pending_msgs_limit=0, pending_bytes_limit=0)
    await bus.flush()
    print("ready", flush=True)
    while True:
        await asyncio.sleep(LINGER)
        if waiting:
            file.execute("BEGIN")
            file.executemany("INSERT INTO chat (at, username, text) VALUES (?, ?, ?)", waiting)
            file.execute("COMMIT")
            waiting.clear()


if __name__ == "__main__":
    asyncio.run({"bot": bot, "store": store}[sys.argv[1]](*sys.argv[2:]))
