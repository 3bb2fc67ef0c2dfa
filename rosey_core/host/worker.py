"""The program of a plugin's own process: `python -m rosey_core.host.worker FD`.

FD is an open file with an `Orders` as JSON: nothing of it is on a command line. The program connects to NATS as the
plugin's own user, says hello, and does what the daemon says from then on.
"""

from __future__ import annotations

import asyncio
import os
import resource
import secrets
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from rosey_core import log, subjects
from rosey_core.bus.bus import Bus, Login
from rosey_core.clock import wall
from rosey_core.config import Limits, LogConfig, Secret
from rosey_core.errors import ConfigError, Unavailable
from rosey_core.host import messages
from rosey_core.host.budget import Budgets
from rosey_core.host.describe import load
from rosey_core.host.door import Door
from rosey_core.host.inside import Inside
from rosey_core.host.orders import Orders
from rosey_core.host.ownership import exception_handler, task_factory
from rosey_core.host.remote import Remote, Room
from rosey_core.manifest import API
from rosey_core.service import LoopWatch
from rosey_core.threads import Loop

HELLO_SECONDS = 5.0
HELLO_AGAIN = 0.5


class Worker:
    """A plugin's process.

    Args:
        orders: what it was told.
    """

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._log = log.get("worker").bind(plugin=orders.plugin)
        self._session = secrets.token_hex(8)
        self._budgets = Budgets()
        self._stop = asyncio.Event()
        self._bus = Bus(self._login, name=orders.plugin, gap=_no_gap, log=self._log)

    async def run(self) -> None:
        """Run until the daemon or a signal says that it is enough."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(task_factory)
        loop.set_exception_handler(exception_handler)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        orders = self._orders
        door = self._door = Door(orders.plugin, self._bus, wall, self._secret)
        remote = Remote(orders.plugin, self._session, door, self._make, self._bus.publish_own, self._log)
        await door.open()
        for way in ("hook", "control"):
            await self._bus.subscribe(f"{subjects.worker(orders.plugin, way)}.>", remote.take)
        await self._bus.start()
        ticker = asyncio.create_task(self._budgets.run(), name="budgets")
        watch = asyncio.create_task(LoopWatch(self._log).run(), name="loop watch")
        life = asyncio.create_task(self._live(remote), name="life")
        await asyncio.wait({asyncio.create_task(self._stop.wait()), life}, return_when=asyncio.FIRST_COMPLETED)
        for task in (life, ticker, watch):
            task.cancel()
        await asyncio.wait((life,))
        await self._bus.close(1.0)
        if not life.cancelled():
            life.result()

    async def _live(self, remote: Remote) -> None:
        """Say hello until the daemon heard it, and return when the daemon says that it is over."""
        greeting = asyncio.create_task(self._greet(), name="hello")
        try:
            await remote.over.wait()
        finally:
            greeting.cancel()

    async def _greet(self) -> None:
        while True:
            try:
                await self._hello()
            except Unavailable:
                await asyncio.sleep(HELLO_AGAIN)
            else:
                return

    async def _hello(self) -> None:
        """Say hello. Raises `Unavailable` when nobody hears it, `PluginError` when it is refused."""
        hello = messages.Hello(self._session, API, os.getpid())
        messages.raw_result_of(await self._door.ask("hello", hello, HELLO_SECONDS))

    async def _login(self) -> Login:
        return self._orders.login

    def _secret(self, secret: Secret) -> str:
        try:
            return self._orders.secrets[msgspec.json.encode(secret).decode()]
        except KeyError:
            raise ConfigError(f"the worker of {self._orders.plugin} was not given this secret") from None

    def _make(self, rooms: Mapping[str, Room], start: messages.Start) -> dict[str, Inside]:
        cls = load(self._orders.plugin, self._orders.value)
        groups = [dict(rooms)] if cls.manifest.shared else [{name: room} for name, room in rooms.items()]
        homes: dict[str, Inside] = {}
        for group in groups:
            first = next(iter(group))
            settings = start.settings if cls.manifest.shared else start.channels[first].settings
            home = self._home(cls, settings, frozenset(start.grants))
            for name, room in group.items():
                home.enter(room, start.channels[name].settings)
                homes[name] = home
        return homes

    def _home(self, cls: type[Any], settings: dict[str, Any], grants: frozenset[str]) -> Inside:
        return Inside(
            cls,
            settings,
            host=self._door,
            grants=grants,
            directory=Path(self._orders.directory),
            budgets=self._budgets,
            log=self._log,
            parked=self._parked,
        )

    def _parked(self, reason: str) -> None:
        self._tell = asyncio.get_running_loop().create_task(
            self._door.ask("parked", messages.Parked(self._session, reason), HELLO_SECONDS), name="parked"
        )


def _no_gap(*_: Any) -> tuple[str, bytes]:
    """A worker publishes no channel's events, so none of them can be lost on its way."""
    raise NotImplementedError


def main() -> None:
    """Run as the worker."""
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        orders = msgspec.json.decode(file.read(), type=Orders)
    _leash(orders.parent)
    _limit(orders.limits)
    for value in (orders.login.password, *orders.secrets.values()):
        log.add_secret(value)
    log.configure(LogConfig(level=orders.level, format="json"))  # type: ignore[arg-type]  # the daemon's own level
    asyncio.Runner(loop_factory=Loop).run(Worker(orders).run())
    # What the plugin left behind keeps nothing.
    os._exit(0)


def _limit(limits: Limits) -> None:
    """Let the system hold what the owner wrote."""
    for what, most in (
        (resource.RLIMIT_AS, limits.memory_mib << 20),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_NOFILE, limits.files),
    ):
        if most:
            resource.setrlimit(what, (most, most))


def _leash(parent: int) -> None:
    """End with the daemon, also when it is killed. Linux has a way; elsewhere the worker outlives a killed daemon."""
    if parent and sys.platform == "linux":
        import ctypes  # noqa: PLC0415  a worker of another system has no use for it

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


if __name__ == "__main__":
    main()
