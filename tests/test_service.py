"""Telling systemd, and seeing a blocked loop."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rosey_core.service import LoopWatch, notify


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a short path."""
    with tempfile.TemporaryDirectory(prefix="rosey-") as directory:
        yield Path(directory)


@pytest.mark.parametrize("abstract", (False, True))
def test_notify(short: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    """The message arrives, at a path and at an abstract address."""
    name = f"rosey-test-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}" if abstract else str(short / name))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if abstract else str(short / name))
        assert notify("READY=1\nSTATUS=well")
        assert systemd.recv(100) == b"READY=1\nSTATUS=well"


def test_nobody_to_tell(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without systemd, or with one that is gone, nothing happens."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(short / "nobody"))
    assert not notify("READY=1")


async def test_a_blocked_loop_is_seen() -> None:
    """The thread tells for how long, and which line; and its thread ends with the watch."""
    told: list[tuple[float, str]] = []
    heard = threading.Event()

    def blocked(seconds: float, place: str) -> None:
        told.append((seconds, place))
        heard.set()

    watch = LoopWatch(blocked)
    task = asyncio.create_task(watch.run())
    await asyncio.sleep(0.1)
    assert told == []
    heard.wait(10)  # blocks the loop until it was told
    task.cancel()
    await asyncio.wait((task,))
    assert told[0][0] > 0.2
    assert "test_service.py" in told[0][1]
    assert "test_a_blocked_loop_is_seen" in told[0][1]
    for thread in threading.enumerate():
        if thread.name == "rosey-loop-watch":
            thread.join(5)
            assert not thread.is_alive()
