"""Promise 7 for the disk: full, it is seen within seconds, chat goes on, and it recovers by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.viewer import Viewer
from tests.promises.reading import said
from tests.promises.test_database import LINES, joined, rows

MIB = 1 << 20


@pytest.fixture(params=("inside", "process"))
def run(request: pytest.FixtureRequest) -> str:
    """Each test in both homes."""
    home: str = request.param
    return home


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory on a file system of 12 MiB."""
    directory = tmp_path_factory.mktemp("d")
    mounted = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(directory)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("nobody but root may mount a small file system")
    try:
        yield directory
    finally:
        subprocess.run(["/bin/umount", "-l", str(directory)], check=True)


def fill(directory: Path) -> Path:
    """Leave no byte free; the file that takes them."""
    path = directory / "ballast"
    with path.open("ab", buffering=0) as file:
        for size in (MIB, 4096, 64, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return path


@pytest.mark.skipif(os.name != "posix", reason="it mounts")
async def test_a_full_disk(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """Degraded within 5 s, with chat and commands going on; then it recovers alone, and every line is there."""
    async with make(cytube.url, "database", "echo") as process:
        await joined(process, cytube)
        cytube.room.say_as("bob", "before")
        ballast = fill(process.directory)
        began = time.monotonic()
        told = 0
        status: dict[str, Any] = {}
        while not status or not status["eventlog"]["fault"]:
            told += 1
            cytube.room.say_as("bob", f"{told} " + "x" * 200)
            await asyncio.sleep(0.02)
            status = await process.ask()
            assert time.monotonic() - began < 30, process.tail()
        assert "full" in status["eventlog"]["fault"]
        code, text = await process.command("status")
        assert code == 0
        assert "full" in text
        for number in range(3):
            await alice.say(f"!echo still here {number}")
            assert await said(alice) == f"still here {number}"
        ballast.unlink()
        cytube.room.say_as("bob", "after")
        await process.until("it recovered", lambda s: not s["eventlog"]["fault"], 5)
        async with asyncio.timeout(30):
            while ("after",) not in rows(process, LINES):  # noqa: ASYNC110  it is a file
                await asyncio.sleep(0.05)
        lines = [text for (text,) in rows(process, LINES)]
        kept = [text for text in lines if text[0].isdigit()]
        assert [int(text.split()[0]) for text in kept] == list(range(1, told + 1))
        assert {"before", "after"} <= set(lines)
        status = await process.ask()
        assert status["eventlog"]["lost"] == 0
        await process.until("all runs", lambda s: all(row["state"] == "running" for row in s["plugins"]))
