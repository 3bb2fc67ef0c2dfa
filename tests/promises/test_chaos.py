"""Everything is killed at random while lines come in, and what arrived is counted.

The ordinary run is a short one. `ROSEY_CHAOS=20000` in the environment makes it that many lines, and as many kills as
go with them; `ROSEY_CHAOS_SEED` repeats a run.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess
from tests.promises.test_database import joined, rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_000)]

LINES = int(os.environ.get("ROSEY_CHAOS", "2500"))
SEED = int(os.environ.get("ROSEY_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
FULL = LINES >= 20_000
RATE = 500
LOST_SECONDS = 0.25
"""What came in so long before a kill of the daemon may be lost."""
TEXTS = "SELECT text FROM chat WHERE text LIKE 'line %' ORDER BY id"


@pytest.fixture
def run() -> str:
    """The database is in a process of its own."""
    return "process"


@pytest.fixture
def luck() -> random.Random:
    """Says what happens; printed, so that a run can be repeated."""
    print(f"ROSEY_CHAOS={LINES} ROSEY_CHAOS_SEED={SEED}")
    return random.Random(SEED)


def children(pid: int) -> dict[str, int]:
    """The processes below one, by what they are: `nats`, or the plugin of a worker in the order of their starts."""
    found: dict[str, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(path.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            words = path.joinpath("cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if parent == pid:
            found["nats" if "nats-server" in words[0] else f"worker {path.name}"] = int(path.name)
    return found


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to somebody who may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


async def speak(cytube: SimulatedCytube, count: int, rate: float, first: int = 1) -> list[float]:
    """Say numbered lines; when each was said."""
    times = []
    began = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        cytube.room.say_as("alice", f"line {first + number}")
        times.append(time.monotonic())
    return times


async def settled(process: RoseyProcess, count: int, seconds: float = 90) -> list[int]:
    """The numbers of the lines in the database, when there are so many or no more come."""
    last, since = -1, time.monotonic()
    while len(found := rows(process, TEXTS)) < count:
        if len(found) != last:
            last, since = len(found), time.monotonic()
        if time.monotonic() - since > seconds:
            break
        await asyncio.sleep(0.2)
    return [int(text.split()[1]) for (text,) in found]


async def test_every_line_once_whatever_dies(cytube: SimulatedCytube, make: Any, luck: random.Random) -> None:
    """nats-server and workers are killed and frozen at random: each line is in the database once, in order."""
    did = Counter[str]()
    async with make(cytube.url, "database", "echo", "notary") as process:
        await joined(process, cytube)

        async def trouble() -> None:
            long = FULL
            while True:
                await asyncio.sleep(luck.uniform(0.3, 1.5))
                victims = children(process.pid)
                if not victims:
                    continue
                name = luck.choice(sorted(victims))
                what = luck.choice(("kill", "kill", "freeze"))
                did[f"{what} {name.split()[0]}"] += 1
                if what == "kill":
                    kill(victims[name])
                    continue
                kill(victims[name], signal.SIGSTOP)
                await asyncio.sleep(30 if long and "worker" in name else luck.uniform(0.2, 3))
                long = long and "worker" not in name
                kill(victims[name], signal.SIGCONT)

        troubling = asyncio.create_task(trouble())
        try:
            times = await speak(cytube, LINES, RATE)
        finally:
            troubling.cancel()
            for pid in children(process.pid).values():
                kill(pid, signal.SIGCONT)
        numbers = await settled(process, LINES)
        rate = LINES / (times[-1] - times[0])
        print(f"{LINES} lines at {rate:.0f}/s, {len(numbers)} rows; {dict(did)}")
        assert numbers == list(range(1, LINES + 1))
        status = await process.ask()
        assert status["eventlog"]["lost"] == 0


async def test_a_killed_daemon_loses_a_quarter_second(
    cytube: SimulatedCytube, make: Any, luck: random.Random
) -> None:
    """Missing is only what came in the last quarter of a second before a kill, or while nobody listened."""
    kills: list[tuple[float, float]] = []
    process = make(cytube.url, "database")
    await process.start()
    try:
        await joined(process, cytube)
        speaking = asyncio.create_task(speak(cytube, LINES, RATE))
        while not speaking.done():
            await asyncio.sleep(luck.uniform(0.5, 2.0))
            when = time.monotonic()
            kill(process.pid)
            await process.ended()
            await process.start()
            await joined(process, cytube)
            kills.append((when - LOST_SECONDS, time.monotonic()))
        times = speaking.result()
        numbers = await settled(process, LINES, 5)
        missing = set(range(1, LINES + 1)) - set(numbers)
        late = [n for n in missing if not any(begin <= times[n - 1] <= end for begin, end in kills)]
        print(f"{LINES} lines, {len(numbers)} rows, {len(kills)} kills, {len(missing)} missing, {len(late)} too many")
        assert numbers == sorted(set(numbers))
        assert late == []
    finally:
        await process.stop()


async def test_at_five_lines_a_second_nothing_is_missing(
    cytube: SimulatedCytube, make: Any, luck: random.Random
) -> None:
    """The room's history fills in what a killed daemon did not hear."""
    count = 500 if FULL else 60
    process = make(cytube.url, "database")
    await process.start()
    try:
        await joined(process, cytube)
        speaking = asyncio.create_task(speak(cytube, count, 5))
        kills = 0
        while not speaking.done():
            await asyncio.sleep(luck.uniform(0.5, 4.0))
            kill(process.pid)
            kills += 1
            await process.ended()
            await process.start()
            await joined(process, cytube)
        await speaking
        numbers = await settled(process, count, 20)
        print(f"{count} lines, {len(numbers)} rows, {kills} kills of the daemon")
        assert numbers == list(range(1, count + 1))
    finally:
        await process.stop()


async def test_files_are_whole_after_each_kill(cytube: SimulatedCytube, make: Any, luck: random.Random) -> None:
    """The daemon, or the database alone, is killed at random points under load; each time all files are whole."""
    count = 200 if FULL else 8
    process = make(cytube.url, "database", "careless")
    await process.start()
    try:
        await joined(process, cytube)
        said = 1
        for number in range(count):
            speaking = asyncio.create_task(speak(cytube, 200, RATE, said))
            said += 200
            await asyncio.sleep(luck.uniform(0.05, 0.5))
            if number % 2:
                kill(process.pid)
                await process.ended()
            else:
                for pid in children(process.pid).values():
                    kill(pid)
            for path in process.state.rglob("*.db"):
                with closing(sqlite3.connect(path, timeout=10)) as file:
                    assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)], path
            if number % 2:
                await process.start()
                await joined(process, cytube)
            await speaking
        print(f"{count} kills, {len(rows(process, TEXTS))} rows, all files whole")
    finally:
        await process.stop()
