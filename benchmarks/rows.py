"""How many lines a second the plugin `database` writes: `python benchmarks/rows.py [ROWS] [--in DIRECTORY]`.

Lists of 256 lines of one channel, one after another, each on the disk before the next, while the search index
follows. Measured with an empty table, and again behind ROWS lines; then the questions, and forgetting a user.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import tempfile
import time
from collections.abc import Coroutine, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from rosey_core.api import Context, NormalizedEvent
from rosey_core.api import events as ev
from rosey_core.envelope import NOTHING
from rosey_plugins.database import Database
from rosey_plugins.database.settings import DatabaseSettings

LIST = 256
MEASURED = 200 * LIST
WORDS = [f"word{i}" for i in range(5000)]
USERS = 200


class Place:
    """As much of a context as the plugin uses."""

    channel_name = "cytube"
    settings = DatabaseSettings()
    log = logging.getLogger("database")

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tasks: list[asyncio.Task[Any]] = []
        self.published = 0

    clock = staticmethod(time.time)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """A task of the plugin's."""
        self.tasks.append(asyncio.get_running_loop().create_task(work, name=name))
        return self.tasks[-1]

    def publish(self, name: str, data: Any) -> None:
        """Count it."""
        del name, data
        self.published += 1


def line(number: int, dice: random.Random) -> NormalizedEvent:
    """A line of eight words."""
    at = round(1.7e9 + number * 0.05, 3)
    text = " ".join(dice.choice(WORDS) for _ in range(8))
    data = ev.ChatMessage(f"user{dice.randrange(USERS)}", text, html=text, time_ms=int(at * 1000))
    identity = blake2b(str(number).encode(), digest_size=12).hexdigest()
    return NormalizedEvent("chat.message", "cytube", data, at, NOTHING, identity, "cytube", number)


def lists(first: int, count: int) -> Iterator[list[NormalizedEvent]]:
    """Lists of lines."""
    dice = random.Random(first)  # noqa: S311  no secret
    for begin in range(first, first + count, LIST):
        yield [line(number, dice) for number in range(begin, min(begin + LIST, first + count))]


async def fill(plugin: Database, ctx: Context, first: int, count: int) -> None:
    """Write lines, and say how fast."""
    spent = worst = 0.0
    for events in lists(first, count):
        begun = time.perf_counter()
        await plugin.on_events(ctx, events)
        took = time.perf_counter() - begun
        spent, worst = spent + took, max(worst, took)
    rate = f"{count / spent:10,.0f} lines/s   slowest list {worst * 1000:5.0f} ms"
    print(f"{first - 1:>12,} lines before: {rate}", flush=True)


async def measure(rows: int, directory: Path) -> None:
    """Fill, measure, ask, forget."""
    place = Place(directory)
    plugin, ctx = Database(place.settings), cast("Context", place)
    await plugin.start(ctx)
    await fill(plugin, ctx, 1, 1000)
    await fill(plugin, ctx, 1001, MEASURED)
    if rows > 1000 + MEASURED:
        await fill(plugin, ctx, 1001 + MEASURED, rows - 1000 - MEASURED)
        await fill(plugin, ctx, rows + 1, MEASURED)
    questions: dict[str, Coroutine[Any, Any, Any]] = {
        "recent_chat": plugin.recent_chat(ctx),
        "search_chat of two words": plugin.search_chat(ctx, "word17 word9*"),
        "search_chat of every line": plugin.search_chat(ctx, "word*"),
        "top_chatters": plugin.top_chatters(ctx),
        "user_stats": plugin.user_stats(ctx, "user7"),
        "forgetting a user": plugin.forget(ctx, "user5"),
    }
    for what, question in questions.items():
        begun, refused = time.perf_counter(), ""
        try:
            await question
        except Exception as error:
            refused = f"   {error}"
        print(f"{what:>40}: {(time.perf_counter() - begun) * 1000:8.1f} ms{refused}")
    await plugin.stop()
    for task in place.tasks:
        task.cancel()
    await asyncio.gather(*place.tasks, return_exceptions=True)


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--in", dest="directory", help="where to write; default: the directory for temporary files")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory) as directory:
        asyncio.run(measure(given.rows, Path(directory)))


if __name__ == "__main__":
    main()
