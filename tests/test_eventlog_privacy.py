"""Taking a user out of events."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core import events as ev
from rosey_core.envelope import NOTHING, Metadata, NormalizedEvent, decode, encode
from rosey_core.eventlog.kept import KEPT
from rosey_core.eventlog.privacy import without
from rosey_core.testing.eventlog import memory_log

ITEM = ev.Item(uid=1, media=ev.Media(id="x", type="yt", title="Alice in Chains"), queued_by="Alice")
GONE = (
    ev.ChatMessage("alice", "hi"),
    ev.ChatPm("Rosey", "ALICE", "psst"),
    ev.ChatPm("Alice", "Rosey", "psst"),
    ev.UserJoined("Alice"),
    ev.UserLeft("alice"),
    ev.UserRankChanged("Alice", 2),
)
CHANGED = (
    (ev.ChatCleared("Alice"), ev.ChatCleared("")),
    (ev.MediaQueued(ITEM, "prepend"), ev.MediaQueued(msgspec.structs.replace(ITEM, queued_by=""), "prepend")),
    (ev.MediaPlayed(ITEM.media, queued_by="alice"), ev.MediaPlayed(ITEM.media, queued_by="")),
    (ev.UserList((ev.User("bob"), ev.User("Alice", 3))), ev.UserList((ev.User("bob"),))),
    (ev.PollOpened("Alice?", ("a",), (0,), "Alice"), ev.PollOpened("Alice?", ("a",), (0,), "")),
)
SAME = (ev.ChatMessage("bob", "alice is nice"), ev.UserLeft("alice2"), ev.ChatMessage("alice_", "hi"))


def event(data: ev.Data, seq: int = 1) -> NormalizedEvent:
    """In its envelope."""
    return NormalizedEvent(ev.event_type_of(data), "cytube", data, 1.0, NOTHING, f"id{seq}", "cytube", seq)


@pytest.mark.parametrize("data", GONE)
def test_what_they_said_is_gone(data: ev.Data) -> None:
    """Nothing of it stays."""
    assert without(ev.event_type_of(data), encode(event(data)), "aLICE") is None


@pytest.mark.parametrize(("data", "expected"), CHANGED)
def test_what_others_see_stays_without_the_name(data: ev.Data, expected: ev.Data) -> None:
    """The event is there, and the name is not."""
    body = without(ev.event_type_of(data), encode(event(data)), "Alice")
    assert body is not None
    assert decode(body) == event(expected)


@pytest.mark.parametrize("data", SAME)
def test_others_stay(data: ev.Data) -> None:
    """Another name, and a line of somebody else's."""
    body = without(ev.event_type_of(data), encode(event(data)), "alice")
    assert body is not None
    assert decode(body) == event(data)


@pytest.mark.parametrize("user", ("yt", "say", "log", "Jaws", "x"))
def test_a_name_is_one_only_where_names_stand(user: str) -> None:
    """Somebody may be called like a type, a kind or a title."""
    played = ev.MediaPlayed(ev.Media(id="x", type="yt", title="Jaws"), queued_by="bob")
    for data in (played, ev.ChatMessage("bob", "x"), ev.CoreGap(1, 2, 3, where="log")):
        body = encode(event(data))
        assert without(ev.event_type_of(data), body, user) is body


def test_what_the_server_says_of_them() -> None:
    """CyTube tells moderators who came; that goes, and what it says of others stays."""
    told = event(ev.ChatMessage("[server]", "Alice joined (aliases: bob)"))
    told = msgspec.structs.replace(told, metadata=Metadata(server=True))
    assert without("chat.message", encode(told), "alice") is None
    assert without("chat.message", encode(told), "BOB") is None
    body = encode(told)
    assert without("chat.message", body, "ali") is body


@given(st.lists(st.sampled_from([*GONE, *(before for before, _ in CHANGED), *SAME]), max_size=12))
def test_a_log_forgets(happened: list[ev.Data]) -> None:
    """Behind `forget`, `export` finds nothing, and who reads gets the rest."""

    async def scenario() -> None:
        log = memory_log(lambda: 1.0)
        await log.open()
        reader = log.reader("one", "cytube", oldest=True)
        for seq, data in enumerate(happened, 1):
            assert ev.event_type_of(data) in KEPT
            log.append(event(data, seq), encode(event(data, seq)))
        found = await log.export("alice")
        gone, changed = await log.forget("alice")
        assert gone == sum(data in GONE for data in happened)
        assert changed == sum(data not in GONE + SAME for data in happened)
        assert gone + changed == len(found)
        assert await log.export("Alice") == []
        events, _ = await reader.next(lambda _: True, 100) if gone < len(happened) else ([], 0)
        before, after = ([pair[which] for pair in CHANGED] for which in (0, 1))
        assert [one.data for one in events] == [
            after[before.index(data)] if data in before else data for data in happened if data not in GONE
        ]
        await log.close()

    asyncio.run(scenario())
