"""What a process of its own costs a plugin, beside the same one inside the daemon: `python benchmarks/workers.py`.

Several rounds, each with daemons of their own for what is compared, in turns; the tables have medians. Nothing else
runs in those daemons. A burst fits into a lane, so that nothing is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from throughput import CONFIG, ENVIRON, HERE, PASSWORD, PLUGIN, WARM_UP, Program, cpu, held, program, quantile

from rosey_core.bus.client import Client
from rosey_core.testing.process import RoseyProcess

JUDGE = """
[plugins.benchjudge]
enabled = true
run = "{run}"
grant = ["chat.read", "judge"]
"""
LINES = 8_000
SECONDS = 5
PATIENCE = 120.0
QUESTIONS = 500


class Daemon(NamedTuple):
    """A daemon in the room of a feed."""

    bot: RoseyProcess
    feed: Program

    def pid(self, plugin: str) -> int:
        """The process of a plugin: the daemon's own, or what the log told last."""
        rows = [json.loads(line) for line in self.bot.log.read_text().splitlines() if line.startswith("{")]
        pids = [row.get("pid") for row in rows if row["event"] == "plugin.running" and row["plugin"] == plugin]
        return int(pids[-1] or self.bot.pid) if pids else self.bot.pid

    async def heard(self, plugin: str, count: int) -> dict[str, float | list[float]]:
        """Wait until a plugin has heard so many lines since it was started; the delays of the last 1,000."""
        path = self.bot.state / "plugins" / plugin / f"{count}.json"
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                told: dict[str, float | list[float]] = json.loads(path.read_text())
            except (OSError, ValueError):
                await asyncio.sleep(0.02)
            else:
                return told
        raise TimeoutError(f"{plugin} did not hear {count} lines: some were lost")

    async def warm(self) -> None:
        """Enter the room, and hear the first lines."""
        await self.feed.order("client")
        await self.feed.order(f"burst {WARM_UP}")
        await self.heard("bench0", WARM_UP)


@asynccontextmanager
async def daemon(tables: str, plugins: int) -> AsyncIterator[tuple[Daemon, float]]:
    """Run one in which so many plugins run; the seconds that this took after the manifests were cached."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rosey-bench-")))
        feed = await stack.enter_async_context(program(str(HERE / "feed.py")))
        config = CONFIG.format(site=await feed.answer()) + tables
        bot = RoseyProcess(directory, config, environ=ENVIRON, arguments=("--set", "log.format=json"))
        for manifests in ("looked at", "cached"):
            began = time.monotonic()
            await bot.start()
            await bot.until("all run", lambda told: _running(told) == plugins, PATIENCE)
            took = time.monotonic() - began
            if manifests == "looked at":
                await feed.order("client")
                await bot.stop()
        stack.push_async_callback(bot.stop)
        yield Daemon(bot, feed), took


def _running(told: Mapping[str, list[dict[str, str]]]) -> int:
    return sum(row["state"] == "running" for row in told["plugins"])


def tables(runs: Sequence[str], judge: str = "") -> str:
    """The tables of `bench0`, `bench1` ..., and of a judge."""
    plugins = "".join(PLUGIN.format(number=number, run=run) for number, run in enumerate(runs))
    return plugins + (JUDGE.format(run=judge) if judge else "")


async def quiet(rig: Daemon, total: int) -> dict[str, float]:
    """A stream of 200 lines a second, of which `total` have come at its end: from frame to hook, in ms."""
    await rig.feed.order(f"rate 200 {SECONDS}")
    delays = (await rig.heard("bench0", total))["delays"]
    assert isinstance(delays, list)
    return {"p50": quantile(delays, 0.5), "p99": quantile(delays, 0.99)}


async def lane(run: str) -> dict[str, float]:
    """Events to one plugin."""
    async with daemon(tables((run,)), 1) as (rig, _):
        await rig.warm()
        own, other = rig.bot.pid, rig.pid("bench0")
        before, began = (cpu(own), cpu(other)), time.time()
        await rig.feed.order(f"burst {LINES}")
        told = await rig.heard("bench0", WARM_UP + LINES)
        used = [(cpu(pid) - was) / LINES * 1e6 for pid, was in zip((own, other), before, strict=True)]
        last = told["last"]
        assert isinstance(last, float)
        rate = LINES / (last - began)
        delays = await quiet(rig, WARM_UP + LINES + 200 * SECONDS)
        asked = await questions(rig)
        return {"rate": rate, "daemon": used[0], "worker": used[1] if other != own else 0.0, **delays, **asked}


async def questions(rig: Daemon) -> dict[str, float]:
    """Ask a query of the plugin, one after another: through the daemon, to the plugin and back, in ms."""
    told = await rig.bot.until("NATS is there", lambda status: status["nats"]["connected"])
    bus, took = Client(), []
    await bus.connect(told["nats"]["url"], user="bench", password=PASSWORD, inbox_prefix="_INBOX_bench")
    for _ in range(QUESTIONS):
        began = time.perf_counter()
        answer = json.loads((await bus.request("rosey.plugins.bench0.count", b"{}", timeout=10)).data)
        took.append(time.perf_counter() - began)
        assert answer["ok"], answer
    await bus.close()
    took.sort()
    return {"asked50": quantile(took, 0.5), "asked99": quantile(took, 0.99)}


async def judged(judge: str) -> dict[str, float]:
    """Lines to a plugin inside, with a judge inside, in a process, or with none."""
    async with daemon(tables(("inside",), judge), 1 + bool(judge)) as (rig, _):
        await rig.warm()
        return await quiet(rig, WARM_UP + 200 * SECONDS)


async def beside(*, stopped: bool) -> dict[str, float]:
    """Lines to a plugin in a process, while the process of another one is stopped, or is not."""
    async with daemon(tables(("process", "process")), 2) as (rig, _):
        await rig.warm()
        if stopped:
            os.kill(rig.pid("bench1"), signal.SIGSTOP)
        return await quiet(rig, WARM_UP + 200 * SECONDS)


async def many(count: int) -> dict[str, float]:
    """Start many at once; what each holds when it has nothing to do."""
    async with daemon(tables(["process"] * count), count) as (rig, took):
        await asyncio.sleep(3)
        pids = [rig.pid(f"bench{number}") for number in range(count)]
        shares = [_share(pid) for pid in pids]
        return {"start": took, "held": statistics.median(map(held, pids)), "share": statistics.median(shares)}


def _share(pid: int) -> float:
    """MiB of a process, where pages that others use as well are divided among all."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


async def main() -> None:
    """Measure everything, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=20, help="how many are started at once, 50 at most")
    wish = parser.parse_args()
    cases: dict[str, Callable[[], Awaitable[dict[str, float]]]] = {
        "inside": lambda: lane("inside"),
        "process": lambda: lane("process"),
        "no judge": lambda: judged(""),
        "a judge inside": lambda: judged("inside"),
        "a judge in a process": lambda: judged("process"),
        "all run": lambda: beside(stopped=False),
        "one stopped": lambda: beside(stopped=True),
        "many": lambda: many(wish.workers),
    }
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
    for number in range(wish.rounds):
        for name, case in cases.items():
            print(f"round {number + 1} of {wish.rounds}: {name} ...", file=sys.stderr, flush=True)
            rounds[name].append(await case())
    show({name: _middle(told) for name, told in rounds.items()}, wish.workers)


def _middle(told: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: statistics.median(one[key] for one in told) for key in told[0]}


def show(found: Mapping[str, Mapping[str, float]], workers: int) -> None:
    """Print the tables."""
    base = found["inside"]
    print("| one plugin | events/s | of inside | CPU, us/event | of inside | to a hook, ms | a query, ms |")
    print("|---|---|---|---|---|---|---|")
    for name in ("inside", "process"):
        row = found[name]
        used = row["daemon"] + row["worker"]
        print(
            f"| {name} | {row['rate']:,.0f} | {row['rate'] / base['rate']:.2f} "
            f"| {row['daemon']:.0f} + {row['worker']:.0f} | {used / base['daemon']:.2f} "
            f"| {row['p50']:.1f} / {row['p99']:.1f} | {row['asked50']:.1f} / {row['asked99']:.1f} |"
        )
    print("\n| at 200 lines/s | to a hook, ms | more than above, p50 |\n|---|---|---|")
    for name, than in (
        ("no judge", "no judge"),
        ("a judge inside", "no judge"),
        ("a judge in a process", "no judge"),
        ("all run", "all run"),
        ("one stopped", "all run"),
    ):
        row, more = found[name], found[name]["p50"] - found[than]["p50"]
        shown = f"two workers, {name}" if than == "all run" else name
        print(f"| {shown} | {row['p50']:.1f} / {row['p99']:.1f} | {f'{more:.1f}' if name != than else ''} |")
    row = found["many"]
    print(
        f"\nDelays are p50 / p99. CPU is the daemon's + the worker's. {workers} workers ran "
        f"{row['start']:.1f} s after the daemon's start; an idle one holds {row['held']:.1f} MiB, "
        f"{row['share']:.1f} where shared pages count by shares."
    )


if __name__ == "__main__":
    asyncio.run(main())
