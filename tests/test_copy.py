"""`ctx.channel` in a worker is exact, whatever gets lost on the way: in memory and virtual time, on real JSON."""

from __future__ import annotations

import asyncio
import random
from asyncio import sleep
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import structlog

from rosey_core import events as ev
from rosey_core.api import Context, Manifest, NormalizedEvent, Settings, command, hookimpl
from rosey_core.channel.channel import Channel
from rosey_core.envelope import NOTHING
from rosey_core.errors import PluginError, Unavailable
from rosey_core.host.budget import Budgets
from rosey_core.host.commands import CommandCall
from rosey_core.host.describe import describe
from rosey_core.host.inside import Inside
from rosey_core.host.lane import Lane
from rosey_core.host.messages import Hello, Start
from rosey_core.host.outside import Outside
from rosey_core.host.remote import Remote, Room
from rosey_core.testing.clock import run_virtual

GRANTS = frozenset(("chat.read", "user.read", "media.read", "poll.read", "channel.read", "channel.state"))


class Daemon:
    """The daemon's side of one channel: its state, and what it was after each event."""

    name = "cytube"
    prefix = "!"

    def __init__(self) -> None:
        self.state = Channel()
        self.seen = 0
        self.after: dict[int, bytes] = {}

    def happen(self, data: ev.Data) -> NormalizedEvent:
        """Something happens."""
        self.state.apply(data)
        self.seen += 1
        self.after[self.seen] = told(self.state)
        kind = next(kind for kind, struct in ev.EVENT_TYPES.items() if type(data) is struct)
        return NormalizedEvent(kind, "cytube", data, 1.0, NOTHING, f"c-{self.seen}", "cytube", self.seen)


def told(state: Channel) -> bytes:
    """The whole state."""
    return msgspec.json.encode(state.snapshot())


class Copyist:
    """Compares its copy with the daemon's state, list by list."""

    manifest = Manifest(name="copyist", summary="Compares.", asks=tuple(sorted(GRANTS)))
    daemon: Daemon
    heard: list[int]

    def __init__(self, settings: Settings) -> None:
        """Nothing to set."""

    @hookimpl
    def start(self, ctx: Context) -> None:
        """Be exact from the beginning."""
        self._compare(ctx)

    @hookimpl
    def on_events(self, ctx: Context, events: Sequence[NormalizedEvent]) -> None:
        """Compare behind each list."""
        self.heard.extend(event.seq for event in events)
        assert self._compare(ctx) >= events[-1].seq

    @command("seen")
    def tell(self, ctx: Context, call: CommandCall) -> str:
        """Tells what it saw last."""
        return f"{call.user} {self._compare(ctx)}"

    def _compare(self, ctx: Context) -> int:
        seen: int = ctx._port.seen
        assert told(ctx.channel) == self.daemon.after.get(seen, told(Channel())), seen
        return seen


class Way:
    """NATS, as bad as it can be: requests and answers are lost or come twice, and workers die and come again."""

    def __init__(self, seed: int, faults: float) -> None:
        self.random = random.Random(seed)  # noqa: S311  a dice, no secret
        self.faults = faults
        self.remote: Remote | None = None
        self.lives = 0
        self.waiting: dict[str, asyncio.Future[bytes]] = {}
        self.tokens = 0

    def _bad(self) -> bool:
        return self.random.random() < self.faults

    async def ask(self, subject: str, payload: bytes, *, replies: str, seconds: float | None) -> bytes:
        """Send a request, perhaps."""
        self.tokens += 1
        reply = f"{replies}.{self.tokens}"
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.waiting[reply] = future
        if self._bad():
            raise Unavailable("NATS is away")
        for _ in range(1 + self._bad()):
            if self.remote is not None and not self._bad():
                self.remote.take(subject, payload, reply)
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            raise Unavailable("no answer") from None

    def answer(self, reply: str, payload: bytes) -> None:
        """Send an answer, perhaps."""
        future = self.waiting.get(reply)
        if future is not None and not future.done() and not self._bad():
            future.set_result(payload)

    async def live(self, home: Outside) -> None:
        """The worker's process, again and again."""
        while True:
            self.lives += 1
            session = f"s{self.lives}"
            self.remote = Remote("copyist", session, cast("Any", Door()), make, self.answer, structlog.get_logger())
            home.hello(Hello(session, 1))
            try:
                await home.start()
                await sleep(self.random.uniform(0, 20) if self.faults else 1e6)
            except PluginError:
                pass
            home.gone()
            for task in self.remote._tasks:
                task.cancel()
            await sleep(self.random.uniform(0, 1))


class Door:
    """The worker's way to the daemon; nobody uses it here."""

    clock = None


def make(rooms: Mapping[str, Room], start: Start) -> dict[str, Inside]:
    """Make the plugin, as the worker's program does."""
    home = Inside(
        Copyist,
        {},
        host=cast("Any", Door()),
        grants=frozenset(start.grants),
        directory=Path(),
        budgets=Budgets(),
        log=structlog.get_logger(),
        parked=failed.append,
    )
    for room in rooms.values():
        home.enter(room, {})
    made.append(home)
    return dict.fromkeys(rooms, home)


failed: list[str] = []
made: list[Inside] = []


class Session:
    """A long random session in a room."""

    def __init__(self, seed: int, items: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  a dice, no secret
        self.items = items
        self.uids: list[int] = []
        self.next = 0

    def _item(self) -> ev.Item:
        self.next += 1
        self.uids.append(self.next)
        return ev.Item(self.next, ev.Media(f"id{self.next}", "yt", f"title {self.next}", 60.0), False, "bob")

    def load(self) -> list[ev.Data]:
        """The whole playlist, in pages: at a join, and after a shuffle, which changes every uid."""
        self.uids = []
        all_items = [self._item() for _ in range(self.items)]
        pages = [tuple(all_items[n : n + 500]) for n in range(0, len(all_items), 500)]
        return [ev.PlaylistLoaded(page, number, len(pages)) for number, page in enumerate(pages, 1)]

    def join(self) -> list[ev.Data]:
        """What a join brings."""
        users = tuple(ev.User(name, rank) for name, rank in (("alice", 0.0), ("bob", 2.0)))
        return [ev.UserList(users), *self.load(), ev.ConnectionJoined("room", "Rosey", 3.0)]

    def step(self) -> list[ev.Data]:
        """Something."""
        pick = self.random.choice
        uid = pick(self.uids)
        what = self.random.randrange(100)
        if what < 2:
            return self.load()
        if what < 4:
            return [ev.ConnectionLost("gone"), *self.join()]
        if what < 30:
            return [ev.MediaQueued(self._item(), pick((uid, "prepend", "append")))]
        if what < 45:
            self.uids.remove(uid)
            return [ev.MediaDeleted(uid)]
        if what < 65:
            return [ev.MediaMoved(uid, pick((pick(self.uids), "prepend", "append")))]
        return [
            pick(
                (
                    ev.MediaPlayed(ev.Media("x", "yt", "t", 60.0), 0.0, uid=uid),
                    ev.UserJoined(f"user{what}", 1.0),
                    ev.UserLeft(f"user{what}"),
                    ev.ChatMessage("bob", "hello"),
                    ev.MediaSynced(self.random.uniform(0, 60)),
                    ev.MediaTempChanged(uid, temp=True),
                )
            )
        ]


@pytest.mark.parametrize(
    ("seed", "items", "steps", "faults", "limit"),
    (
        (1, 4_000, 500, 0.0, 10_000),
        (2, 4_000, 500, 0.15, 10_000),
        (3, 20, 5_000, 0.15, 10_000),
        (4, 20, 5_000, 0.15, 40),
    ),
)
def test_the_copy_is_exact(seed: int, items: int, steps: int, faults: float, limit: int) -> None:
    """After every list, over shuffles, rejoins, lost and doubled messages, restarts, and dropped events."""

    async def scenario() -> tuple[Daemon, Way, list[int], int]:
        failed.clear()
        made.clear()
        daemon, way, session = Daemon(), Way(seed, faults), Session(seed, items)
        heard: list[int] = []
        Copyist.daemon, Copyist.heard = daemon, heard
        home = Outside(describe("copyist", Copyist), GRANTS, {}, {"cytube": (cast("Any", daemon), {})}, way.ask)
        home.poisoned = failed.append
        lane = Lane(home.deliver_to("cytube"), limit=limit)
        tasks = [asyncio.create_task(lane.run()), asyncio.create_task(way.live(home))]
        for number in range(steps):
            for data in session.join() if number == 0 else session.step():
                lane.put(daemon.happen(data))
            await sleep(way.random.choice((0, 0, 0.01, 0.1, 2 if faults else 0)))
        way.faults = 0.0
        await lane.drained()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return daemon, way, heard, lane.dropped

    with structlog.testing.capture_logs():
        daemon, way, heard, dropped = run_virtual(scenario())
    errors = [home.counts.last_error for home in made if home.counts.errors]
    assert errors == []
    assert failed == []
    assert (way.lives > 10) == bool(faults)
    assert bool(dropped) == (limit == 40)
    # In order; a list that a dying worker had may come again, whole, and nothing is skipped that was not announced.
    assert heard[-1] == daemon.seen
    if not dropped:
        assert sorted(set(heard)) == list(range(1, daemon.seen + 1))
    if not faults:
        assert heard == list(range(1, daemon.seen + 1))
