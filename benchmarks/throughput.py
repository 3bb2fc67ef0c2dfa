"""How much rosey costs beside a bridge that does nothing else: `python benchmarks/throughput.py`.

Both take the same chat lines from the same feed in the same run, in turns, several rounds; the table has medians.
The bridge (`bridge.py`) is 20 lines of websockets, json and nats-py. rosey decodes, keeps the state, runs `echo`,
`logging` and a counting plugin inside, and publishes. A rate is up to the last line that a NATS subscriber in
another process got; CPU is that of the bot's process alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from rosey_core import log
from rosey_core.bus.access import core_user
from rosey_core.bus.broker import Broker
from rosey_core.config import NatsConfig
from rosey_core.subjects import platform_event
from rosey_core.testing.process import RoseyProcess

HERE = Path(__file__).parent
WARM_UP = 2_000
TICKS = os.sysconf("SC_CLK_TCK")


class Row(NamedTuple):
    """What was measured: events a second, CPU microseconds an event, delays in ms, MiB, lines lost."""

    rate: float
    cpu: float
    p50: float
    p99: float
    memory: float
    lost: int


class Program:
    """A child that takes orders on standard input and answers with lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def answer(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        line = (await self.process.stdout.readline()).decode().strip()
        assert line, "a program of the benchmark ended early"
        return line

    async def order(self, text: str) -> str:
        """Give an order, and wait for its line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n".encode())
        return await self.answer()


@asynccontextmanager
async def program(*arguments: str, **environ: str) -> AsyncIterator[Program]:
    """Run a Python program of this directory."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **environ},
        limit=1 << 26,
    )
    try:
        yield Program(process)
    finally:
        process.terminate()
        await process.wait()


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def held(pid: int) -> float:
    """MiB that a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def quantile(delays: Sequence[float], share: float) -> float:
    """A quantile of sorted seconds, in ms."""
    return delays[min(len(delays) - 1, int(len(delays) * share))] * 1000


async def measure(feed: Program, counter: Program, pid: int, lines: int, seconds: float) -> Row:
    """Warm up, take a burst, then a quiet stream of 200 lines a second."""
    await feed.order("client")
    await counter.order(f"new {WARM_UP}")
    await feed.order(f"burst {WARM_UP}")
    await counter.order("wait")
    idle = held(pid)
    await counter.order(f"new {lines}")
    before, began = cpu(pid), time.time()
    await feed.order(f"burst {lines}")
    burst = json.loads(await counter.order("wait"))
    used = cpu(pid) - before
    await counter.order(f"new {int(200 * seconds)}")
    await feed.order(f"rate 200 {seconds}")
    quiet = json.loads(await counter.order("wait"))
    return Row(
        rate=burst["count"] / (burst["last"] - began),
        cpu=used / lines * 1e6,
        p50=quantile(quiet["delays"], 0.5),
        p99=quantile(quiet["delays"], 0.99),
        memory=idle,
        lost=lines - burst["count"],
    )


@asynccontextmanager
async def nats_server() -> AsyncIterator[str]:
    """A broker for the bridge: the one that rosey runs, at an address with a password in it."""
    with tempfile.TemporaryDirectory(prefix="rosey-bench-") as directory:
        user = core_user()
        broker = Broker(NatsConfig(), Path(directory), (user,), log.get("bench"))
        broker.spawn()
        try:
            url = await broker.ready()
            yield url.replace("://", f"://{user.name}:{user.password}@")
        finally:
            await broker.stop()


async def bridge(lines: int, seconds: float) -> Row:
    """The bridge, with a broker of its own."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(nats_server())
        feed = await stack.enter_async_context(program(str(HERE / "feed.py")))
        site = await feed.answer()
        counter = await stack.enter_async_context(program(str(HERE / "count.py"), url, "bridge.chatMsg"))
        await counter.answer()
        bot = await stack.enter_async_context(program(str(HERE / "bridge.py"), site, url))
        return await measure(feed, counter, bot.process.pid, lines, seconds)


CONFIG = """
version = 1
[channels.cytube]
server = "{site}"
room = "bench"
username = "Rosey"
password = {{ env = "BENCH_PASSWORD" }}
[nats.users.bench]
password = {{ env = "BENCH_PASSWORD" }}
grant = ["query:bench0"]
"""
BUNDLED = """
[plugins.echo]
enabled = true
grant = ["chat.read", "chat.send"]
[plugins.logging]
enabled = true
grant = ["chat.read", "media.read"]
"""
PLUGIN = """
[plugins.bench{number}]
enabled = true
run = "{run}"
grant = ["chat.read"]
"""
PASSWORD = token_hex(8)
ENVIRON = {"BENCH_PASSWORD": PASSWORD, "PYTHONPATH": os.pathsep.join((str(HERE / "plugins"), str(HERE)))}


class Bot(NamedTuple):
    """What was measured of rosey: as for the bridge, from frame to hook, and seconds from its start to READY."""

    row: Row
    hook_p50: float
    hook_p99: float
    ready: float


async def rosey(lines: int, seconds: float, plugins: int) -> Bot:
    """The daemon with its bundled plugins and so many that count."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rosey-bench-")))
        feed = await stack.enter_async_context(program(str(HERE / "feed.py")))
        site = await feed.answer()
        tables = "".join(PLUGIN.format(number=number, run="inside") for number in range(plugins))
        bot = RoseyProcess(directory, CONFIG.format(site=site) + BUNDLED + tables, environ=ENVIRON)
        await bot.start()
        await feed.order("client")
        await bot.stop()
        began = time.monotonic()
        await stack.enter_async_context(bot)
        ready = time.monotonic() - began
        status = await bot.until("NATS is there", lambda told: told["nats"]["connected"])
        url = status["nats"]["url"].replace("://", f"://bench:{PASSWORD}@")
        counter = await stack.enter_async_context(
            program(str(HERE / "count.py"), url, platform_event("cytube", "chat.message"))
        )
        await counter.answer()
        row = await measure(feed, counter, bot.pid, lines, seconds)
        seen = bot.state / "plugins" / "bench0"
        quiet = json.loads((seen / f"{WARM_UP + lines + int(200 * seconds)}.json").read_text())
        return Bot(
            row,
            hook_p50=quantile(quiet["delays"], 0.5),
            hook_p99=quantile(quiet["delays"], 0.99),
            ready=ready,
        )


def middle(rows: Sequence[Row]) -> Row:
    """The medians of several rounds; of lost lines, all."""
    rate, cpu, p50, p99, memory = (statistics.median(column) for column in list(zip(*rows, strict=True))[:-1])
    return Row(rate, cpu, p50, p99, memory, sum(row.lost for row in rows))


def show(name: str, row: Row, base: Row, hook: Sequence[Bot] = ()) -> None:
    """Print a row of the table."""
    hooks = (
        f"{statistics.median(b.hook_p50 for b in hook):.1f} / {statistics.median(b.hook_p99 for b in hook):.1f}"
        if hook
        else ""
    )
    print(
        f"| {name} | {row.rate:,.0f} | {row.rate / base.rate:.2f} | {row.cpu:.0f} | {row.cpu / base.cpu:.2f} "
        f"| {row.p50:.1f} / {row.p99:.1f} | {hooks} | {row.memory:.0f} | {row.lost} |",
        flush=True,
    )


async def main() -> None:
    """Measure everything, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=20_000, help="lines in a burst, a multiple of 1,000")
    parser.add_argument("--seconds", type=float, default=10, help="seconds of the quiet stream, a multiple of 5")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plugins", type=int, nargs="*", default=[1, 10, 50], help="how many counting plugins")
    wish = parser.parse_args()
    bridges: list[Row] = []
    bots: dict[int, list[Bot]] = {count: [] for count in wish.plugins}
    for number in range(wish.rounds):
        print(f"round {number + 1} of {wish.rounds} ...", file=sys.stderr, flush=True)
        bridges.append(await bridge(wish.lines, wish.seconds))
        for count, measured in bots.items():
            measured.append(await rosey(wish.lines, wish.seconds, count))
    base = middle(bridges)
    print(
        "| | events/s | of the bridge's | CPU, us/event | of the bridge's "
        "| to NATS, ms | to a hook, ms | MiB | lost |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    show("bridge", base, base)
    for count, measured in bots.items():
        show(f"rosey, {count} + 2 plugins", middle([bot.row for bot in measured]), base, measured)
    ready = statistics.median(bot.ready for measured in bots.values() for bot in measured)
    print(f"\nDelays are p50 / p99 at 200 lines/s; start to READY with cached manifests: {ready * 1000:.0f} ms.")


if __name__ == "__main__":
    asyncio.run(main())
