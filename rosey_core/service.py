"""Being a service: telling systemd that we are ready, and seeing when the event loop is blocked."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

BLOCKED = 0.2
BEAT = 0.05


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


class LoopWatch:
    """A thread that notices when the event loop stands still, and where.

    asyncio's time-outs can't stop blocking code, but another thread can see what the loop's thread is doing.

    Args:
        blocked: is told, in that thread, for how many seconds and at which place (`file:line in function`).
    """

    def __init__(self, blocked: Callable[[float, str], None]) -> None:
        self._blocked = blocked
        self._beat = time.monotonic()
        self._stop = threading.Event()
        self._loop_thread = threading.get_ident()
        self.lag = 0.0

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
        finally:
            self._stop.set()

    def _watch(self) -> None:
        told = 0.0
        while not self._stop.wait(BEAT):
            beat = self._beat
            still = time.monotonic() - beat - BEAT
            if still > BLOCKED and beat != told:
                told = beat
                self._blocked(still, _place(sys._current_frames().get(self._loop_thread)))  # noqa: SLF001  documented; the only way to see another thread


def _place(frame: FrameType | None) -> str:
    """The innermost place that is neither Python's own nor rosey's core: most likely a plugin's."""
    chosen = frame
    walk = frame
    while walk is not None:
        name = walk.f_code.co_filename
        if "rosey_core" not in name and not name.startswith((sys.base_prefix, "<")):
            chosen = walk
            break
        walk = walk.f_back
    if chosen is None:
        return "nowhere"
    return f"{chosen.f_code.co_filename}:{chosen.f_lineno} in {chosen.f_code.co_qualname}"
