"""Being a service: telling systemd how we are, and seeing when the event loop is blocked."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from structlog.typing import FilteringBoundLogger

BLOCKED = 0.2
BEAT = 0.05
LOOK = 0.5
"""Seconds between looks at what is to be told."""


def notify(message: str) -> bool:
    """Send systemd a message such as `READY=1`; whether there was anybody to tell. See sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        try:
            peer.sendto(message.encode(), address)
        except OSError:
            return False
    return True


async def watchdog() -> None:
    """Send `WATCHDOG=1` twice in the time that systemd allows; from the event loop: a blocked one sends none.

    Returns at once where systemd waits for none of this process.
    """
    allowed, whom = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not allowed.isdigit() or whom not in ("", str(os.getpid())):
        return
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(int(allowed) / 2_000_000)


async def keep_told(line: Callable[[], str]) -> None:
    """Send systemd `STATUS=` and a line about us when it reads otherwise; returns where there is no systemd."""
    told = ""
    while os.environ.get("NOTIFY_SOCKET"):
        if (now := line()) != told:
            notify(f"STATUS={now}")
            told = now
        await asyncio.sleep(LOOK)


def status_line(channels: Mapping[str, tuple[str, str]], *faults: str) -> str:
    """How channels are, in one line for systemd, and what is wrong beside. Each has a state and a reason.

    `1 of 2 channels joined; lobby: waiting (kicked: bye)`.
    """
    away = {name: told for name, told in channels.items() if told[0] != "joined"}
    head = f"{len(channels) - len(away)} of {len(channels)} channels joined"
    rest = (f"{name}: {state}" + (f" ({reason})" if reason else "") for name, (state, reason) in away.items())
    # A line end in what a site said would begin another message to systemd.
    return "; ".join(" ".join(text.split()) for text in (head, *rest, *filter(None, faults)))


class LoopWatch:
    """A thread that notices when the event loop stands still, and where.

    asyncio's time-outs can't stop blocking code, but another thread can see what the loop's thread is doing.

    Args:
        log: is told where (`file:line in function`) the loop stands still, by that thread, while it does; and for how
            many seconds it did, when it goes on.

    Attributes:
        lag: how late the loop was a moment ago, in seconds.
        times: how often it stood still.
        longest: for how many seconds at most, and where.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self.lag = 0.0
        self.times = 0
        self.longest = (0.0, "")
        self._log = log
        self._beat = time.monotonic()
        self._place = ""
        self._stop = threading.Event()
        self._loop_thread = threading.get_ident()

    async def run(self) -> None:
        """Beat until cancelled; the thread ends with it."""
        thread = threading.Thread(target=self._watch, name="rosey-loop-watch", daemon=True)
        thread.start()
        try:
            while True:
                before = time.monotonic()
                self._beat = before
                await asyncio.sleep(BEAT)
                self.lag = max(0.0, time.monotonic() - before - BEAT)
                if self._place:
                    if self.lag > BLOCKED:  # else the thread saw the end of it only
                        self._note(self.lag, self._place)
                    self._place = ""
        finally:
            self._stop.set()

    def _note(self, seconds: float, place: str) -> None:
        self.times += 1
        self.longest = max(self.longest, (seconds, place))
        self._log.warning("loop.freed", seconds=round(seconds, 2), place=place)

    def _watch(self) -> None:
        while not self._stop.wait(BEAT):
            if not self._place and time.monotonic() - self._beat - BEAT > BLOCKED:
                self._place = _place(sys._current_frames().get(self._loop_thread))  # noqa: SLF001  documented; the only way to see another thread
                self._log.warning("loop.blocked", place=self._place)


_CORE = f"{Path(__file__).parent}{os.sep}"
_PYTHON = tuple(f"{sysconfig.get_path(key)}{os.sep}" for key in ("stdlib", "platstdlib"))
_PACKAGES = tuple(f"{sysconfig.get_path(key)}{os.sep}" for key in ("purelib", "platlib"))


def _is_own(file: str) -> bool:
    """Whether a file is rosey's or Python's; what is installed stands below Python's own and is not."""
    return file.startswith((_CORE, "<")) or (file.startswith(_PYTHON) and not file.startswith(_PACKAGES))


def _place(frame: FrameType | None) -> str:
    """The innermost place that is neither Python's own nor rosey's core: most likely a plugin's."""
    chosen = frame
    walk = frame
    while walk is not None and walk.f_code.co_name != "run_forever":  # what is outside started the loop
        if not _is_own(walk.f_code.co_filename):
            chosen = walk
            break
        walk = walk.f_back
    if chosen is None:
        return "nowhere"
    return f"{chosen.f_code.co_filename}:{chosen.f_lineno} in {chosen.f_code.co_qualname}"


def calm_gc() -> None:
    """Look for cycles less often: events hold none, and each look costs as much as many lines."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
