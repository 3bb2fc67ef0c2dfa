"""The database in the real daemon: what was said is there once, whatever ended it, and is answered on the bus."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.viewer import Viewer
from rosey_plugins.database import plugin
from tests.promises.reading import states

TABLE = f"""
[plugins.database]
enabled = true
run = "inside"
path = "{Path(plugin.__file__)}"
grant = ["chat.read", "user.read", "media.read", "channel.read"]
"""


async def ask(bus: Any, subject: str, **arguments: Any) -> Any:
    """What a query answers."""
    answer = json.loads((await bus.request(subject, json.dumps(arguments).encode(), timeout=10)).data)
    assert answer["ok"], answer
    return answer["result"]


async def test_nothing_is_done_twice(make: Any, cytube: SimulatedCytube, connect: Any, alice: Viewer) -> None:
    """A killed daemon comes back, CyTube repeats the last lines, and each is one row; both subjects answer."""
    process = make(cytube.url, rest=TABLE)
    config = process.directory / "rosey.toml"
    config.write_text(config.read_text().replace('"query:asker"', '"query:database"'))
    for end in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        await process.start()
        try:
            await cytube.wait_for(lambda: cytube.room.find("Rosey"))
            await process.until("it runs", lambda s: states(s)["database"] == "running")
            bus = await connect(process)
            await alice.say(f"before {end}")
            subject = "rosey.plugins.database.recent_chat"
            while f"before {end}" not in [one["message"] for one in (await ask(bus, subject, limit=20))["messages"]]:
                pass
            await bus.close()
        finally:
            process.send_signal(end)
            await process.ended()
    async with process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.until("it runs", lambda s: states(s)["database"] == "running")
        bus = await connect(process)
        lines = (await ask(bus, "rosey.events.database.query.recent_chat"))["messages"]
        assert [one["message"] for one in lines] == ["before 9", "before 15", "before 9"]
        stats = await ask(bus, "rosey.events.database.query.user_stats", username="ALICE")
        assert (stats["username"], stats["total_chat_lines"], stats["found"]) == ("alice", 3, True)
        assert stats["current_session_start"] is not None
