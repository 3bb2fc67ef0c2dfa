"""From a frame at the socket to a row on disk, with everything durable: `python benchmarks/database.py`.

Compared, in turns and in one run: the bridge that stores nothing (`bridge.py`, counted at a NATS subscriber), a lean
pipeline that stores and survives nothing (`lean.py`), and rosey with its event log and the plugin database, inside
and in a process of its own. A rate is up to the last row (of the bridge: the last message); a delay is from the
moment when a line left the room until its row can be read.

`--flat N` instead sends N lines in parts, and prints what rosey holds and needs after each part.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import NamedTuple

from throughput import CONFIG, ENVIRON, HERE, PASSWORD, Program, bridge, cpu, held, nats_server, program, quantile

from rosey_core.testing.process import RoseyProcess

WARM_UP = 2_000
PLUGIN = """
[plugins.database]
enabled = true
run = "{run}"
grant = ["chat.read", "user.read", "media.read", "channel.read"]
"""
LOOK = 0.002


class Result(NamedTuple):
    """Rows a second, ms from the room to the row, MiB of all its processes, CPU microseconds a line, lost lines."""

    rate: float
    p50: float
    p99: float
    memory: float
    cpu: float
    lost: int


class Rows:
    """The rows of a file, while somebody else writes it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def last(self) -> int:
        """The number of the last row."""
        try:
            with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as file:
                row = file.execute("SELECT max(id) FROM chat").fetchone()
        except sqlite3.OperationalError:
            return 0
        return row[0] or 0

    async def begun(self) -> None:
        """Wait for the first row."""
        while not self.last():  # noqa: ASYNC110  it is a file
            await asyncio.sleep(LOOK)

    async def until(self, last: int, seconds: float = 120) -> tuple[float, int]:
        """When the row of that number was there, and how many are missing."""
        end = time.time() + seconds
        with contextlib.closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as file:
            while True:
                now, found = time.time(), file.execute("SELECT max(id) FROM chat").fetchone()[0] or 0
                if found >= last or now > end:
                    return now, last - found
                await asyncio.sleep(LOOK)

    async def delays(self, after: int, count: int, seconds: float = 120) -> list[float]:
        """For each of the next rows, seconds since its line left the room; sorted."""
        found: list[float] = []
        end = time.time() + seconds
        with contextlib.closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as file:
            while len(found) < count and time.time() < end:
                for number, text in file.execute("SELECT id, text FROM chat WHERE id > ? ORDER BY id", (after,)):
                    found.append(time.time() - float(text.rpartition(" ")[2]))
                    after = number
                await asyncio.sleep(LOOK)
        return sorted(found)


async def measure(feed: Program, rows: Rows, pids: Callable[[], list[int]], lines: int, seconds: float) -> Result:
    """Warm up, take a burst, then a quiet stream of 200 lines a second."""
    await feed.order("client")
    await feed.order(f"burst {WARM_UP}")
    await rows.begun()
    await rows.until(WARM_UP)
    before, began = sum(map(cpu, pids())), time.time()
    await feed.order(f"burst {lines}")
    last, lost = await rows.until(WARM_UP + lines)
    used, memory = sum(map(cpu, pids())) - before, sum(map(held, pids()))
    after, count = rows.last(), int(200 * seconds)
    looking = asyncio.create_task(rows.delays(after, count))
    await feed.order(f"rate 200 {seconds}")
    delays = await looking
    return Result(
        lines / (last - began),
        quantile(delays, 0.5),
        quantile(delays, 0.99),
        memory,
        used / lines * 1e6,
        lost + count - len(delays),
    )


async def lean(lines: int, seconds: float) -> Result:
    """The lean pipeline."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rosey-bench-")))
        url = await stack.enter_async_context(nats_server())
        feed = await stack.enter_async_context(program(str(HERE / "feed.py")))
        site = await feed.answer()
        path = directory / "lean.db"
        store = await stack.enter_async_context(program(str(HERE / "lean.py"), "store", url, str(path)))
        await store.answer()
        bot = await stack.enter_async_context(program(str(HERE / "lean.py"), "bot", site, url))
        pids = [store.process.pid, bot.process.pid]
        return await measure(feed, Rows(path), lambda: pids, lines, seconds)


def family(pid: int) -> list[int]:
    """A process and those that it started, without nats-server."""
    found = [pid]
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            head, _, rest = path.read_text().rpartition(")")
            if int(rest.split()[1]) == pid and "nats-server" not in head:
                found.append(int(path.parent.name))
    return found


@asynccontextmanager
async def running(run: str, directory: Path) -> AsyncIterator[tuple[Program, RoseyProcess, Rows]]:
    """Rosey with the database, and the room that speaks."""
    async with AsyncExitStack() as stack:
        feed = await stack.enter_async_context(program(str(HERE / "feed.py")))
        site = await feed.answer()
        bot = RoseyProcess(directory, CONFIG.format(site=site) + PLUGIN.format(run=run), environ=ENVIRON)
        await stack.enter_async_context(bot)
        await bot.started()
        await bot.until("it runs", lambda told: all(row["state"] == "running" for row in told["plugins"]))
        yield feed, bot, Rows(bot.state / "plugins" / "database" / "database.db")


async def rosey(run: str, lines: int, seconds: float) -> Result:
    """The daemon with the database."""
    with tempfile.TemporaryDirectory(prefix="rosey-bench-") as directory:
        async with running(run, Path(directory)) as (feed, bot, rows):
            return await measure(feed, rows, lambda: family(bot.pid), lines, seconds)


async def flat(run: str, lines: int, part: int) -> None:
    """What it holds and needs while more and more lines come."""
    print("| lines | events/s | CPU, us/line | MiB | files, MiB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="rosey-bench-") as directory:
        async with running(run, Path(directory)) as (feed, bot, rows):
            await feed.order("client")
            for done in range(part, lines + 1, part):
                before, began = sum(map(cpu, family(bot.pid))), time.time()
                for _ in range(part // 10_000):
                    await feed.order("burst 10000")
                await rows.begun()
                last, lost = await rows.until(done, 600)
                assert not lost, f"{lost} lines are missing"
                used, memory = sum(map(cpu, family(bot.pid))) - before, sum(map(held, family(bot.pid)))
                size = sum(path.stat().st_size for path in bot.state.rglob("*") if path.is_file()) / (1 << 20)
                print(
                    f"| {done:,} | {part / (last - began):,.0f} | {used / part * 1e6:.0f} "
                    f"| {memory:.0f} | {size:,.0f} |",
                    flush=True,
                )


def show(name: str, results: list[Result], base: float) -> None:
    """Print a row of the table, of medians; of lost lines, all."""
    rate, p50, p99, memory, used = (statistics.median(column) for column in list(zip(*results, strict=True))[:-1])
    lost = sum(result.lost for result in results)
    print(
        f"| {name} | {rate:,.0f} | {rate / base:.2f} | {used:.0f} | {p50:.1f} / {p99:.1f} | {memory:.0f} | {lost} |",
        flush=True,
    )


async def main() -> None:
    """Measure, and print the table."""
    assert PASSWORD
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=20_000, help="lines in a burst")
    parser.add_argument("--seconds", type=float, default=10, help="seconds of the quiet stream")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flat", type=int, default=0, metavar="N", help="send N lines in parts instead")
    parser.add_argument("--part", type=int, default=100_000, help="lines of a part, a multiple of 10,000")
    parser.add_argument("--run", choices=("inside", "process"), default="process", help="where, with --flat")
    wish = parser.parse_args()
    if wish.flat:
        await flat(wish.run, wish.flat, wish.part)
        return
    bridges: list[float] = []
    results: dict[str, list[Result]] = {"lean": [], "inside": [], "process": []}
    for number in range(wish.rounds):
        print(f"round {number + 1} of {wish.rounds} ...", file=sys.stderr, flush=True)
        bridges.append((await bridge(wish.lines, 2.0)).rate)
        results["lean"].append(await lean(wish.lines, wish.seconds))
        for run in ("inside", "process"):
            results[run].append(await rosey(run, wish.lines, wish.seconds))
    base = statistics.median(bridges)
    print(
        "| | rows/s | of the bridge's | CPU, us/line | room to row, ms | MiB | lost |\n|---|---|---|---|---|---|---|"
    )
    print(f"| bridge, which stores nothing | {base:,.0f} | 1.00 | | | | |")
    show("lean pipeline, nothing durable in between", results["lean"], base)
    show("rosey, database inside", results["inside"], base)
    show("rosey, database in a process", results["process"], base)
    print("\nDelays are p50 / p99 at 200 lines/s; MiB and CPU are of all processes but nats-server.")


if __name__ == "__main__":
    asyncio.run(main())
