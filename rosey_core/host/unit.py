"""A plugin's process that the daemon did not start: it finds the daemon, and finds it again.

A daemon, or its NATS, may be away at any time, and come back as another one that knows nothing of this process. What
shows it is that pings stop: then hello is said again. A daemon that knows this life only answers; any other starts
the plugin anew.
"""

from __future__ import annotations

import asyncio

from rosey_core.errors import PluginError, Taken, Unavailable
from rosey_core.host.home import STOP_SECONDS
from rosey_core.host.orders import Orders
from rosey_core.host.remote import Remote
from rosey_core.host.worker import HELLO_AGAIN, Worker
from rosey_core.service import notify, watchdog

PATIENCE = 5.0
"""Seconds without a word of the daemon's, whose pings come more often, after which hello is said again."""


class Unit(Worker):
    """The process of a plugin, on its own.

    `run` raises `PluginError` when the daemon stopped the plugin for good, `Taken` when it has another process.

    Args:
        orders: what it was told.
    """

    def __init__(self, orders: Orders) -> None:
        super().__init__(orders)
        self._said = ""

    async def _live(self, remote: Remote) -> None:
        feeding = asyncio.create_task(watchdog(), name="watchdog")
        try:
            await self._stay(remote)
        finally:
            notify("STOPPING=1")
            feeding.cancel()
            await remote.end(STOP_SECONDS)

    async def _stay(self, remote: Remote) -> None:
        loop = asyncio.get_running_loop()
        rest = 0.0
        while True:
            await asyncio.sleep(rest)
            if (rest := remote.heard + PATIENCE - loop.time()) > 0:
                continue
            rest = PATIENCE
            try:
                await self._hello()
            except Unavailable as error:
                self._say(f"waiting for rosey: {error}")
                rest = HELLO_AGAIN
            except Taken:
                raise  # each would push out the other, for ever
            except PluginError as error:
                if remote.begun:
                    raise  # another process may do better
                self._say(f"rosey does not want it: {error}", "READY=1")
            else:
                self._say("running with rosey", "READY=1")

    def _say(self, status: str, *lines: str) -> None:
        """Say how it is, to systemd and the log, once."""
        if status != self._said:
            self._said = status
            notify("\n".join((*lines, f"STATUS={' '.join(status.split())}")))
            self._log.info("unit", status=status)
