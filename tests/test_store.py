"""`ctx.store` as a plugin has it: types, limits, sentences, and what it costs the plugin's time."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rosey_core.charge import CALL, Call
from rosey_core.errors import PluginError
from rosey_core.host.store import Store
from rosey_core.storage.items import Operation
from rosey_core.storage.storage import Storage
from tests.stores import of, running


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Storage]:
    """A store that serves."""
    async with running(tmp_path / "store.db") as kept:
        yield kept


@pytest.fixture
def store(kept: Storage) -> Store:
    """A plugin's view of it."""
    return of(kept)


class Quote(msgspec.Struct):
    """A plugin's value."""

    by: str
    when: dt.date
    tags: tuple[str, ...] = ()


class LaterQuote(msgspec.Struct):
    """The same in its next version."""

    by: str
    when: dt.date
    tags: tuple[str, ...] = ()
    votes: int = 0


QUOTE = Quote("alice", dt.date(2026, 11, 24), ("ü", "\x00"))
LATER = LaterQuote("alice", dt.date(2026, 11, 24), ("ü", "\x00"))


async def test_types(store: Store) -> None:
    """What msgspec can write comes back as the type that is asked for."""
    assert await store.get("q", Quote) is None
    assert await store.get("q", int, 7) == 7
    await store.put("q", QUOTE)
    assert await store.get("q", Quote) == QUOTE
    assert await store.get("q") == {"by": "alice", "when": "2026-11-24", "tags": ["ü", "\x00"]}
    for value, kind in ((b"\x00\xff", bytes), ({1, 2}, set[int]), (None, None), (2**80, int), (1.5, float | str)):
        await store.put("x", value)
        assert await store.get("x", kind, "nothing") == value


async def test_another_type(store: Store) -> None:
    """What is there and is no such type is an error that names plugin, key, and what does not fit."""
    await store.put("q", {"by": 5})
    with pytest.raises(PluginError) as caught:
        await store.get("q", Quote)
    reason = "Expected `str`, got `int` - at `$.by`"
    assert str(caught.value) == f"dice: what the store has under 'q' is no Quote: {reason}"
    with pytest.raises(PluginError, match=r"is no list\[int\]|is no list: "):
        await store.get("q", list[int])


async def test_swap_of_structs(store: Store) -> None:
    """A Struct that got a field since it was stored is equal to what is there; one that differs is not."""
    assert await store.swap("q", None, QUOTE)
    assert not await store.swap("q", None, QUOTE)
    assert await store.swap("q", LATER, LATER)
    assert await store.get("q") == {"by": "alice", "when": "2026-11-24", "tags": ["ü", "\x00"], "votes": 0}
    await store.put("q", [QUOTE])
    assert await store.swap("q", [QUOTE], QUOTE)
    assert not await store.swap("q", LaterQuote("bob", LATER.when, LATER.tags), LATER)
    await store.put("q", 5)
    assert not await store.swap("q", LATER, QUOTE)
    assert await store.delete("q")
    assert not await store.swap("q", LATER, QUOTE)


async def test_swap_with_nothing(store: Store) -> None:
    """`None` is nothing on both sides."""
    assert await store.swap("x", None, None)
    assert await store.list() == []
    await store.put("x", None)
    assert await store.swap("x", None, 1)
    assert await store.swap("x", 1, None)
    assert await store.list() == []


@pytest.mark.parametrize(
    ("work", "reason"),
    (
        (lambda s: s.put("", 1), "a key of the store is a text that is not empty"),
        (lambda s: s.put("a\0b", 1), r"a key of the store can't have a NUL in it: 'a\x00b'"),
        (lambda s: s.get("a\ud800"), r"a key of the store can't have half a character in it: 'a\ud800'"),
        (lambda s: s.put(5, 1), "a key of the store is a text, not int"),
        (lambda s: s.delete("ü" * 257), f"a key of the store has at most 512 bytes; '{'ü' * 60}...' has 514"),
        (lambda s: s.list("\0"), r"the beginning of keys of the store can't have a NUL in it: '\x00'"),
        (
            lambda s: s.list(after="x" * 513),
            f"the key to begin after of the store has at most 512 bytes; '{'x' * 60}",
        ),
        (lambda s: s.list(limit=0), "1 to 1000 keys are told at once, not 0; go on with after="),
        (lambda s: s.list(limit=1001), "1 to 1000 keys are told at once, not 1001; go on with after="),
        (lambda s: s.put("x", 1, ttl=0), "the ttl of 'x' is 0, and should be seconds above 0"),
        (lambda s: s.add("x", ttl=float("inf")), "the ttl of 'x' is inf, and should be seconds above 0"),
        (lambda s: s.swap("x", 1, 2, ttl=float("nan")), "the ttl of 'x' is nan, and should be seconds above 0"),
        (lambda s: s.put("x", object()), "what should go under 'x' can't be stored: Encoding objects of type object"),
        (lambda s: s.put("x", "\ud800"), "what should go under 'x' can't be stored: 'utf-8' codec can't encode"),
        (lambda s: s.put("x", deep()), "what should go under 'x' can't be stored: "),
        (lambda s: s.swap("x", None, msgspec.Raw(b"{")), "what should go under 'x' is no JSON that can be stored: "),
        (
            lambda s: s.put("x", "x" * 65_535),
            "the value for 'x' has 65,537 bytes as JSON, and one value may have 65,536;",
        ),
        (lambda s: s.add("x", float("nan")), "what should be added to 'x' is no number: null"),
        (lambda s: s.add("x", "5"), "what should be added to 'x' is no number: \"5\""),
        (lambda s: s.add("x", True), "what should be added to 'x' is no number: true"),
        (lambda s: s.add("big", 1e300), "the number under 'big' would be too big"),
        (lambda s: s.add("text", 1), "what is under 'text' is no number: \"abc\""),
        (lambda s: s.add("yes", 1), "what is under 'yes' is no number: true"),
    ),
)
async def test_what_is_wrong(store: Store, work: Any, reason: str) -> None:
    """Each is a sentence that says what; nothing is changed."""
    before = {"big": 9e299, "text": "abc", "yes": True}
    for key, value in before.items():
        await store.put(key, value)
    with pytest.raises(PluginError) as caught:
        await work(store)
    assert str(caught.value).startswith(reason)
    assert {key: await store.get(key) for key in await store.list()} == before


def deep() -> Any:
    """Lists in lists without end, nearly."""
    value: Any = []
    for _ in range(100_000):
        value = [value]
    return value


async def test_the_biggest(store: Store) -> None:
    """A value of exactly 64 KiB and a key of 512 bytes are taken, and told."""
    key, value = "\U0010ffff" * 128, "x" * 65_534
    await store.put(key, value)
    assert await store.get(key) == value
    assert await store.list(key) == await store.list("\U0010ffff") == [key]


async def test_across_channels(store: Store, kept: Storage) -> None:
    """What is shared is one for all channels, and apart from each."""
    other = of(kept, channel="films")
    await store.put("x", 1)
    await store.shared.put("x", 2)
    assert [await each.get("x") for each in (store, other, store.shared, other.shared, store.shared.shared)] == [
        *(1, None, 2, 2, 2)
    ]
    assert await of(kept, "other").shared.get("x") is None


async def test_waiting_is_not_charged() -> None:
    """While the store is asked, the call's time stands still."""
    call = Call(5.0, lambda _: None)
    call.begin("hook", asyncio.get_running_loop().time())
    seen: list[float] = []

    async def keep(_: str, operation: Operation) -> msgspec.Raw:
        seen.append(call.since)
        return msgspec.Raw(b"null")

    token = CALL.set((call, 0))
    try:
        await Store(keep, "dice", "cytube").put("x", 1)
    finally:
        CALL.reset(token)
    assert seen == [0.0]
    assert call.since > 0
