"""A NATS subscriber in a process of its own: `python count.py URL SUBJECT`; `wait N` answers when N have come.

It prints JSON: how many came, when the last did, and for each the seconds since it left the room.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

import nats
from nats.aio.msg import Msg

STAMP = re.compile(rb"(\d{10}\.\d{6})")
PATIENCE = 60.0


async def main(url: str, subject: str) -> None:
    """Count until standard input ends."""
    loop = asyncio.get_running_loop()
    came: list[tuple[float, float]] = []
    enough = asyncio.Event()
    wanted = 0

    async def take(message: Msg) -> None:
        now = time.time()
        found = STAMP.search(message.data)
        came.append((now, now - float(found[1]) if found else 0.0))
        if len(came) >= wanted:
            enough.set()

    bus = await nats.connect(url)
    await bus.subscribe(subject, cb=take, pending_msgs_limit=0, pending_bytes_limit=0)
    await bus.flush()
    print("ready", flush=True)
    while order := (await loop.run_in_executor(None, sys.stdin.readline)).split():
        if order[0] == "new":
            came.clear()
            enough.clear()
            wanted = int(order[1])
            print("ready", flush=True)
            continue
        if len(came) < wanted:
            try:
                async with asyncio.timeout(PATIENCE):
                    await enough.wait()
            except TimeoutError:
                pass
        answer = {
            "count": len(came),
            "last": came[-1][0] if came else 0.0,
            "delays": sorted(delay for _, delay in came),
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
