"""Telling systemd, and seeing a blocked loop."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, NoReturn

import pytest
import structlog

from rosey_core import service
from rosey_core.service import LoopWatch, keep_told, notify, status_line, watchdog


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
    """The thread tells which line while it lasts, and for how long afterwards; and it ends with the watch."""
    told: list[str] = []
    freed: list[tuple[float, str]] = []
    heard = threading.Event()
    over = asyncio.Event()

    def take(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> NoReturn:
        if entry["event"] == "loop.blocked":
            told.append(entry["place"])
            heard.set()
        else:
            freed.append((entry["seconds"], entry["place"]))
            over.set()
        raise structlog.DropEvent

    watch = LoopWatch(structlog.wrap_logger(None, processors=[take]))
    task = asyncio.create_task(watch.run())
    await asyncio.sleep(0.1)
    assert told == []
    heard.wait(10)  # blocks the loop until it was told
    time.sleep(0.5)  # noqa: ASYNC251  and longer
    async with asyncio.timeout(10):
        await over.wait()
    task.cancel()
    await asyncio.wait((task,))
    assert len(told) == 1
    assert re.fullmatch(r".*test_service\.py:\d+ in test_a_blocked_loop_is_seen", told[0])
    assert freed[0][0] > 0.6
    assert freed[0][1] == told[0]
    assert watch.times == 1
    assert (round(watch.longest[0], 2), watch.longest[1]) == freed[0]
    for thread in threading.enumerate():
        if thread.name == "rosey-loop-watch":
            thread.join(5)
            assert not thread.is_alive()


def test_whose_code_it_is() -> None:
    """What is installed is not Python's own, also where Python's own directory is around it; rosey's core is ours."""
    assert service._is_own(os.__file__)
    assert service._is_own("<frozen runpy>")
    assert service._is_own(service.__file__)
    assert not service._is_own(pytest.__file__)
    assert not service._is_own(__file__)


@pytest.fixture
def systemd(short: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(short / "notify"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(short / "notify"))
        yield listener


async def told(systemd: socket.socket) -> str:
    """The next message."""
    async with asyncio.timeout(10):
        return (await asyncio.get_running_loop().sock_recv(systemd, 1000)).decode()


async def test_watchdog(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is fed as long as the loop runs, and not while the loop is blocked."""
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    task = asyncio.create_task(watchdog())
    assert [await told(systemd) for _ in range(3)] == ["WATCHDOG=1"] * 3
    time.sleep(0.3)  # noqa: ASYNC251  blocks the loop for longer than systemd would wait
    with pytest.raises(BlockingIOError):
        systemd.recv(100)
    assert await told(systemd) == "WATCHDOG=1"
    task.cancel()
    await asyncio.wait((task,))


@pytest.mark.parametrize(("allowed", "whom"), (("", ""), ("100000", "1"), ("soon", "")))
async def test_no_watchdog(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch, allowed: str, whom: str) -> None:
    """Where systemd waits for nothing, or for another process, there is nothing to do."""
    monkeypatch.setenv("WATCHDOG_USEC", allowed)
    monkeypatch.setenv("WATCHDOG_PID", whom)
    await watchdog()
    with pytest.raises(BlockingIOError):
        systemd.recv(100)


async def test_a_status_is_told_when_it_changes(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once each, and to nobody where there is no systemd."""
    monkeypatch.setattr(service, "LOOK", 0.001)
    lines = iter(("one", "one", "two"))
    task = asyncio.create_task(keep_told(lambda: next(lines, "three")))
    assert [await told(systemd) for _ in range(3)] == ["STATUS=one", "STATUS=two", "STATUS=three"]
    monkeypatch.delenv("NOTIFY_SOCKET")
    async with asyncio.timeout(10):
        await task


def test_the_status_line() -> None:
    """It says how many channels are joined, and why the others are not; what a site said can't add a line."""
    assert status_line({"a": ("joined", "")}) == "1 of 1 channels joined"
    channels = {"a": ("joined", ""), "b": ("finding", ""), "c": ("waiting", "kicked: x\nSTOPPING=1")}
    assert status_line(channels) == "1 of 3 channels joined; b: finding; c: waiting (kicked: x STOPPING=1)"
