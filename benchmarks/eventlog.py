"""What the event log costs while it grows: `python benchmarks/eventlog.py [ROWS]`.

Groups of 256 events are committed to an empty log, and again behind ROWS (a million, if none are named): microseconds
an event, then reading, trimming, and how long it takes to open the log after a kill.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from rosey_core.eventlog.engine import Batch, Cursor, Row
from rosey_core.eventlog.sqlite import SqliteLog

GROUP = 256
MEASURED = 200
BODY = (
    b'{"event_type":"chat.message","platform":"cytube","data":{"username":"viewer1","text":"'
    + b"x" * 70
    + b'","html":"'
    + b"x" * 70
    + b'","time_ms":1764000000000,"kind":"say","links":[],"emotes":[]},"timestamp":1764000000.0,"metadata":{},'
    b'"id":"0123456789abcdef01234567","channel":"cytube","seq":1}'
)


async def commit(log: SqliteLog, first: int, groups: int) -> float:
    """Commit groups; microseconds an event."""
    began = time.perf_counter()
    for group in range(groups):
        start = first + group * GROUP
        rows = [Row("cytube", start + n, "chat.message", "viewer1", float(start + n), BODY) for n in range(GROUP)]
        await log.commit(Batch(rows, [Cursor("database", "cytube", start)]))
    return (time.perf_counter() - began) / (groups * GROUP) * 1e6


async def read(log: SqliteLog, first: int, groups: int) -> float:
    """Read groups; microseconds an event."""
    began = time.perf_counter()
    for group in range(groups):
        rows = await log.read("cytube", first + group * GROUP, GROUP)
        assert len(rows) == GROUP
    return (time.perf_counter() - began) / (groups * GROUP) * 1e6


async def main(rows: int) -> None:
    """Measure, and print the table."""
    with tempfile.TemporaryDirectory(prefix="rosey-bench-") as directory:
        log = SqliteLog(Path(directory) / "events.db")
        await log.open()
        print("| rows | commit, us/event | read, us/event | trim 10,000, ms | open after a kill, ms | MiB |")
        print("|---|---|---|---|---|---|")
        head = 1
        for size in (1_000, rows):
            await commit(log, head, max(0, size - head) // GROUP)
            head += max(0, size - head) // GROUP * GROUP
            written = await commit(log, head, MEASURED)
            head += MEASURED * GROUP
            had = await read(log, head - MEASURED * GROUP - 1, MEASURED)
            oldest = (await log.read("cytube", 0, 1))[0].written
            began = time.perf_counter()
            await log.trim(oldest + 10_000, 1 << 50)
            trimmed = (time.perf_counter() - began) * 1e3
            # Another one on the same file: the first did not say that it ends, as if it was killed.
            again = SqliteLog(Path(directory) / "events.db")
            began = time.perf_counter()
            await again.open()
            opened = (time.perf_counter() - began) * 1e3
            mib = await again.size() / (1 << 20)
            print(f"| {size:,} | {written:.1f} | {had:.1f} | {trimmed:.0f} | {opened:.0f} | {mib:,.0f} |", flush=True)
        await log.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1].replace(",", "").replace("_", "")) if len(sys.argv) > 1 else 1_000_000))
