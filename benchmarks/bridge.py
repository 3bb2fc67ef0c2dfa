"""The least that can be called a bot: from CyTube's websocket to NATS, and nothing else. What we compare with."""

import asyncio
import json
import sys

import nats
from websockets.asyncio.client import connect


async def main(site: str, broker: str) -> None:
    """Join, then publish every event under its name."""
    bus = await nats.connect(broker)
    async with connect(
        f"{site.replace('http', 'ws', 1)}/socket.io/?EIO=4&transport=websocket", max_size=None
    ) as socket:
        await socket.send("40")
        await socket.send('42["login",{"name":"bridge","pw":"x"}]')
        await socket.send('42["joinChannel",{"name":"bench"}]')
        async for frame in socket:
            if isinstance(frame, str) and frame.startswith("42"):
                name, *args = json.loads(frame[2:])
                await bus.publish(f"bridge.{name}", json.dumps({"event_type": name, "data": args}).encode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
