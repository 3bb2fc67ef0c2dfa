"""The store, on real SQLite files: what it keeps, for whom, for how long, and how much."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from structlog.testing import capture_logs

from rosey_core.errors import PluginError
from rosey_core.storage import file, items
from rosey_core.storage.items import Place
from rosey_core.storage.storage import Storage
from tests.stores import Clock, of, running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "store.db"


@pytest.fixture
async def kept(path: Path) -> AsyncIterator[Storage]:
    """A store that serves."""
    async with running(path) as kept:
        yield kept


PLUGINS = ("a", "a_b", "a-b", "ab")
CHANNELS = ("", "c", "b_c", "_b")
KEYS = ("c", "b_c", "_", "%", "C", "c\U0010ffff", "\U0010ffff", "c/1", "ключ", "'; DROP TABLE item; --")
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
).filter(lambda value: _encodes(value))


def _encodes(value: Any) -> bool:
    try:
        return bool(msgspec.json.decode(msgspec.json.encode(value)) == value)
    except (ValueError, msgspec.MsgspecError):
        return False  # half a character


ttls = st.none() | st.sampled_from((0.5, 10.0, 100.0))


class Model(RuleBasedStateMachine):
    """The store beside a dict: by plugin, channel and key, a value and when it ends."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.stack = contextlib.AsyncExitStack()
        self.model: dict[tuple[str, str, str], tuple[Any, float]] = {}

    @initialize(directory=st.uuids())
    def begin(self, directory: Any) -> None:
        """Open a new one."""
        self.path = DIRECTORY[0] / f"{directory}.db"
        for each in DIRECTORY[0].glob(f"{self.path.name}*"):
            each.unlink()
        self.kept = self.runner.run(self.stack.enter_async_context(running(self.path, self.clock)))

    def teardown(self) -> None:
        """Close it."""
        self.runner.run(self.stack.aclose())
        self.runner.close()

    def here(self, where: tuple[str, str, str]) -> Any:
        """What the model has."""
        value, ends = self.model.get(where, (None, 0.0))
        return value if ends > self.clock.now else None

    def set(self, where: tuple[str, str, str], value: Any, ttl: float | None) -> None:
        """Put it into the model."""
        self.model[where] = value, self.clock.now + (float("inf") if ttl is None else ttl)

    @rule(where=st.tuples(*map(st.sampled_from, (PLUGINS, CHANNELS, KEYS))), value=values, ttl=ttls)
    def put(self, where: tuple[str, str, str], value: Any, ttl: float | None) -> None:
        """Put."""
        self.runner.run(of(self.kept, *where[:2]).put(where[2], value, ttl=ttl))
        self.set(where, value, ttl)

    @rule(where=st.tuples(*map(st.sampled_from, (PLUGINS, CHANNELS, KEYS))))
    def get(self, where: tuple[str, str, str]) -> None:
        """Get."""
        assert self.runner.run(of(self.kept, *where[:2]).get(where[2])) == self.here(where)

    @rule(where=st.tuples(*map(st.sampled_from, (PLUGINS, CHANNELS, KEYS))))
    def delete(self, where: tuple[str, str, str]) -> None:
        """Delete."""
        there = where in self.model and self.model[where][1] > self.clock.now
        assert self.runner.run(of(self.kept, *where[:2]).delete(where[2])) is there
        self.model.pop(where, None)

    @rule(
        where=st.tuples(*map(st.sampled_from, (PLUGINS, CHANNELS, KEYS))), old=values, new=values, right=st.booleans()
    )
    def swap(self, where: tuple[str, str, str], old: Any, new: Any, right: bool) -> None:
        """Compare and set, with what is there or with something else."""
        here = self.here(where)
        old = here if right else old
        assert self.runner.run(of(self.kept, *where[:2]).swap(where[2], old, new)) is (here == old)
        if here == old:
            self.set(where, new, None)
            if new is None:
                del self.model[where]

    @rule(
        where=st.tuples(*map(st.sampled_from, (PLUGINS, CHANNELS, KEYS))),
        amount=st.integers(-(10**30), 10**30) | st.floats(-1e9, 1e9),
        ttl=ttls,
    )
    def add(self, where: tuple[str, str, str], amount: float, ttl: float | None) -> None:
        """Add, where it is a number."""
        there = where in self.model and self.model[where][1] > self.clock.now
        here = self.here(where) if there else 0
        work = of(self.kept, *where[:2]).add(where[2], amount, ttl=ttl)
        if isinstance(here, bool) or not isinstance(here, int | float):
            with pytest.raises(PluginError, match="is no number"):
                self.runner.run(work)
        elif abs(here + amount) < 1e300:
            assert self.runner.run(work) == here + amount
            ends = self.model[where][1] if there else float("inf")
            self.set(where, here + amount, ttl)
            if ttl is None:
                self.model[where] = here + amount, ends
        else:
            work.close()

    @rule(plugin=st.sampled_from(PLUGINS), channel=st.sampled_from(CHANNELS), prefix=st.sampled_from(("", *KEYS)))
    def list(self, plugin: str, channel: str, prefix: str) -> None:
        """List, in pages."""
        there = [
            key
            for (owner, room, key), (_, ends) in self.model.items()
            if (owner, room) == (plugin, channel) and ends > self.clock.now and key.startswith(prefix)
        ]
        told: list[str] = []
        while page := self.runner.run(of(self.kept, plugin, channel).list(prefix, after="".join(told[-1:]), limit=2)):
            told += page
        assert told == sorted(there)

    @rule(seconds=st.sampled_from((0.25, 5.0, 50.0)))
    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.clock.now += seconds

    @rule()
    def reopen(self) -> None:
        """Another life of the daemon."""
        self.runner.run(self.stack.aclose())
        self.kept = self.runner.run(self.stack.enter_async_context(running(self.path, self.clock)))


DIRECTORY: list[Path] = []


def test_like_a_dict(tmp_path: Path) -> None:
    """Whatever is done, with whatever names, by whom, and when: it is as in a dict."""
    DIRECTORY[:] = [tmp_path]
    run_state_machine_as_test(Model, settings=settings(max_examples=40, stateful_step_count=25, deadline=None))


async def test_names(kept: Storage) -> None:
    """No two names ever look alike, however they are put together."""
    ways = [("a", "b_c", "d"), ("a_b", "c", "d"), ("a", "b", "c_d"), ("a", "", "b_c_d"), ("a_b_c", "", "d")]
    for way in ways:
        await of(kept, *way[:2]).put(way[2], list(way))
    for way in ways:
        assert await of(kept, *way[:2]).get(way[2]) == list(way)
        assert await of(kept, *way[:2]).list() == [way[2]]


async def test_adds_at_once(kept: Storage, path: Path) -> None:
    """Each of a thousand counts once, and they are not a thousand transactions."""
    stores = [of(kept), of(kept), of(kept, "other")]
    with capture_logs() as lines:
        sums = await asyncio.gather(*(stores[n % 3].add("count") for n in range(1500)))
    assert (await stores[0].get("count"), await stores[2].get("count")) == (1000, 500)
    assert sorted(sums) == sorted([*range(1, 1001), *range(1, 501)])
    assert lines == []
    assert path.with_name("store.db-wal").stat().st_size < 1000 * 4096


async def test_swaps_at_once(kept: Storage) -> None:
    """Of many that find the same, one wins."""
    store = of(kept)
    for number in range(5):
        won = await asyncio.gather(*(store.swap("x", number or None, number + 1) for _ in range(20)))
        assert won.count(True) == 1


async def test_one_after_another(kept: Storage) -> None:
    """What a plugin asks without waiting is done in the order in which it asked."""
    store = of(kept)
    said = await asyncio.gather(
        store.put("x", 1), store.get("x"), store.add("x"), store.swap("x", 2, "two"), store.add("x"),
        store.get("x"), store.delete("x"), store.get("x"),
        return_exceptions=True,
    )  # fmt: skip
    assert said[:4] + said[5:] == [None, 1, 2, True, "two", True, None]
    assert str(said[4]) == """what is under 'x' is no number: "two\""""


async def test_expired_is_gone_from_the_file(path: Path) -> None:
    """What has expired is gone at once, and from the file with the next write."""
    clock = Clock()
    async with running(path, clock) as kept:
        await of(kept).put("x", "the-old-one", ttl=5)
        clock.now += 5
        assert await of(kept).get("x") is None
        assert await kept.find("the-old-one") == [Place("dice", "cytube", "x")]
        await of(kept).put("y", 1)
        assert await kept.find("the-old-one") == []


async def test_how_much_one_plugin_may_keep(kept: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has it all is told so; others go on, and deleting makes room."""
    monkeypatch.setattr(file, "MOST", 200_000)
    store = of(kept)
    for number in range(3):
        await store.put(f"{number}", "x" * 60_000)
    told = await asyncio.gather(
        store.put("more", "x" * 60_000), of(kept, "other").put("0", "x"), store.put("0", "y"), return_exceptions=True
    )
    assert str(told[0]).startswith(
        "dice has 0 MiB in the store, and one plugin may keep no more there: let it delete"
    )
    assert list(told[1:]) == [None, None]
    await store.put("more", "x" * 60_000)
    for key in await store.list():
        await store.delete(key)
    for number in range(3):
        await store.put(f"{number}", "x" * 60_000)


async def test_small_values_count_too(kept: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each counts what it takes on the disk beside its bytes."""
    monkeypatch.setattr(file, "MOST", 1000)
    done = await asyncio.gather(*(of(kept).put(f"{n:02}", 1) for n in range(20)), return_exceptions=True)
    assert done.count(None) == 1000 // (items.EACH + 3)
