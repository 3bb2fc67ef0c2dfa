"""A CyTube room that does nothing but speak, as fast as it is told: `python feed.py`, then lines on standard input.

`burst N` sends N chat lines at once, `rate R SECONDS` R of them each second. Every line ends with the time at which
it left. It prints its address first, and `sent N` after each order. The websocket frames of a burst are made before
the first is sent, so that this process takes as little as possible of the machine.
"""

from __future__ import annotations

import asyncio
import sys
import time

from rosey_core.testing.player import Line, Player, event

ITEMS = 100
SPEAKERS = [f"viewer{number}" for number in range(20)]


def chat(number: int) -> str:
    """One chat line as CyTube sends it; each fifth has markup."""
    now = time.time()
    text = f"line {number} of the benchmark, about as long as people write it"
    if number % 5 == 0:
        text = f"<strong>{text}</strong> &amp; more"
    line = {
        "username": SPEAKERS[number % len(SPEAKERS)],
        "msg": f"{text} {now:.6f}",
        "meta": {},
        "time": int(now * 1000),
    }
    return event("chatMsg", line)


def frame(text: str) -> bytes:
    """A text frame of a server, without a mask."""
    data = text.encode()
    head = bytes((0x81, len(data))) if len(data) < 126 else bytes((0x81, 126)) + len(data).to_bytes(2, "big")
    return head + data


def item(uid: int) -> dict[str, object]:
    """An item of the playlist."""
    media = {
        "id": f"{uid:011}",
        "title": f"item {uid}",
        "seconds": 200,
        "duration": "03:20",
        "type": "yt",
        "meta": {},
    }
    return {"media": media, "uid": uid, "temp": False, "queueby": "viewer1"}


async def main() -> None:
    """Serve one client after another until standard input ends."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[Line] = asyncio.Queue()

    async def script(line: Line) -> None:
        await line.greet(interval=600)
        await line.login()
        await line.admit()
        await line.event("playlist", [item(uid) for uid in range(ITEMS)])
        users = [{"name": name, "rank": 1, "profile": {}, "meta": {}} for name in SPEAKERS]
        await line.event("userlist", users)
        lines.put_nowait(line)

    async with Player(script) as player:
        print(player.url, flush=True)
        line = None
        while order := (await loop.run_in_executor(None, sys.stdin.readline)).split():
            if order[0] == "client":
                line = await lines.get()
                print("here", flush=True)
                continue
            assert line is not None, "the first order is `client`"
            count = int(order[1])
            if order[0] == "burst":
                await line.write(b"".join(frame(chat(number)) for number in range(count)))
            else:
                begin, count = loop.time(), int(float(order[1]) * float(order[2]))
                for number in range(count):
                    await asyncio.sleep(max(0.0, begin + number / float(order[1]) - loop.time()))
                    await line.write(frame(chat(number)))
            print(f"sent {count}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
