"""What has to be remembered for one event to be told whole: who, when, what plays, which emotes."""

from __future__ import annotations

import msgspec
import pytest

from rosey_core import events
from rosey_core.cytube.translate import Draft, Translator
from rosey_core.cytube.wire import Event
from rosey_core.envelope import NOTHING
from rosey_core.events import Data

NOW = 1795475430286


def feed(translator: Translator, name: str, *args: object) -> list[Draft]:
    """What the translator makes of an event with these arguments."""
    return translator.feed(Event(name, msgspec.json.encode(args)[1:-1]))


def chat(translator: Translator, msg: str = "hi", username: str = "bob", meta: object = None) -> Draft:
    """What a line of chat becomes."""
    (draft,) = feed(translator, "chatMsg", {"username": username, "msg": msg, "meta": meta, "time": NOW})
    return draft


def media(id: str = "9bZkp7q19f0", type: str = "yt", **more: object) -> dict[str, object]:  # noqa: A002  CyTube's names
    """A medium as CyTube spells it."""
    return {"id": id, "type": type, "title": "PSY", "seconds": 253, "duration": "04:13", "meta": {}, **more}


def item(uid: int, queueby: str = "bob") -> dict[str, object]:
    """A playlist item as CyTube spells it."""
    return {"media": media(), "uid": uid, "temp": True, "queueby": queueby}


ITEM_MEDIA = events.Media("9bZkp7q19f0", "yt", "PSY", 253, "https://youtu.be/9bZkp7q19f0")


# --- chat --------------------------------------------------------------------------------------------------


def test_plain_line() -> None:
    """The server's time, the text, and nothing special."""
    draft = chat(Translator(), "hello")
    assert draft == Draft(events.ChatMessage("bob", "hello", "hello", NOW), NOW / 1000, NOTHING)
    assert draft.metadata is NOTHING


def test_line_with_html() -> None:
    """Text is plain, HTML is as received, links are told."""
    html = 'see <a href="https://x.example/?a&amp;b">https://x.example/?a&amp;b</a> <strong>now</strong>'
    data = chat(Translator(), html).data
    assert isinstance(data, events.ChatMessage)
    assert data.text == "see https://x.example/?a&b now"
    assert data.html == html
    assert data.links == ("https://x.example/?a&b",)


@pytest.mark.parametrize(
    ("meta", "said_as"),
    (
        ({"addClass": "action", "action": True}, "action"),
        ({"addClass": "greentext"}, "greentext"),
        ({"addClass": "spoiler"}, "spoiler"),
        ({"addClass": "shout", "forceShowName": True}, "shout"),
        ({"addClass": "drink"}, "drink"),
        ({"modflair": 2}, "say"),
        ({"superadminflair": {"labelclass": "x", "icon": "y"}}, "say"),
    ),
)
def test_kind_of_a_line(meta: dict[str, object], said_as: str) -> None:
    """`/me` is told by its meta, since its text has no `/me`; the rest by class."""
    data = chat(Translator(), meta=meta).data
    assert isinstance(data, events.ChatMessage)
    assert data.kind == said_as


@pytest.mark.parametrize("name", ("[server]", "[voteskip]", "", "a b", "x" * 21, "b\u00f6b"))
def test_system_names(name: str) -> None:
    """Whoever has no valid user name is the server."""
    draft = chat(Translator(), username=name)
    assert draft.metadata.server
    assert isinstance(draft.data, events.ChatMessage)
    assert draft.data.kind == "server"


def test_shadow_and_own() -> None:
    """A shadow-muted user's line is marked; the bot's own is, in any capitals, once it is logged in."""
    translator = Translator()
    assert chat(translator, meta={"shadow": True}).metadata.shadow
    assert not chat(translator, username="testbot").metadata.own
    feed(translator, "login", {"success": False, "error": "no", "name": "Other"})
    assert translator.me == ""
    feed(translator, "login", {"success": True, "name": "TestBot"})
    assert translator.me == "TestBot"
    assert chat(translator, username="testbot").metadata.own
    assert not chat(translator).metadata.own
    (draft,) = feed(
        translator,
        "pm",
        {"username": "TestBot", "to": "bob", "msg": "&gt;x", "meta": {"addClass": "greentext"}, "time": NOW},
    )
    assert draft.metadata.own
    assert draft.data == events.ChatPm("TestBot", "bob", ">x", "&gt;x", NOW, "greentext")
    assert draft.time == NOW / 1000


@pytest.mark.parametrize("end", (("drinkCount", 0), ("userlist", []), ("drinkCount", "broken"), ("userlist", None)))
def test_history_lasts_until_the_drinks(end: tuple[str, object]) -> None:
    """Chat from the join to the first drinkCount or userlist is history, at each join; a broken one ends it too."""
    translator = Translator()
    assert not chat(translator).metadata.history
    for _ in range(2):
        translator.joining()
        assert chat(translator).metadata.history
        (pm,) = feed(translator, "pm", {"username": "bob", "to": "x", "msg": "x"})
        assert not pm.metadata.history
        feed(translator, *end)
        assert not chat(translator).metadata.history


def test_emotes_in_a_line() -> None:
    """The room's emotes are found as they are known at the moment."""
    translator = Translator()

    def found() -> tuple[str, ...]:
        data = chat(translator, "Kappa &lt;3 LUL").data
        assert isinstance(data, events.ChatMessage)
        return data.emotes

    assert found() == ()
    feed(translator, "emoteList", [{"name": "Kappa"}, {"name": "<3"}])
    assert found() == ("Kappa", "<3")
    feed(translator, "updateEmote", {"name": "LUL"})
    feed(translator, "removeEmote", {"name": "<3"})
    assert found() == ("Kappa", "LUL")
    feed(translator, "renameEmote", {"old": "LUL", "name": "LUL2"})
    assert found() == ("Kappa",)
    feed(translator, "emoteList", [])
    assert found() == ()


# --- users, playlist ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "sizes"), ((0, [0]), (1, [1]), (500, [500]), (501, [500, 1]), (1200, [500, 500, 200]))
)
def test_pages(count: int, sizes: list[int]) -> None:
    """User list and playlist go out in pages of 500, at least one."""
    translator = Translator()
    users = [draft.data for draft in feed(translator, "userlist", [{"name": f"u{n}"} for n in range(count)])]
    items = [draft.data for draft in feed(translator, "playlist", [item(n) for n in range(count)])]
    for pages in (users, items):
        told = []
        for number, page in enumerate(pages, 1):
            assert isinstance(page, events.UserList | events.PlaylistLoaded)
            assert (page.page, page.pages) == (number, len(sizes))
            told.append(len(page.users if isinstance(page, events.UserList) else page.items))
        assert told == sizes


def test_played_knows_its_item() -> None:
    """The uid is the last setCurrent's, and who queued it comes from the list; a join forgets both."""
    translator = Translator()
    feed(translator, "playlist", [item(3), item(4, "alice")])
    feed(translator, "setCurrent", 4)
    (played,) = feed(translator, "changeMedia", {**media(), "currentTime": -3, "paused": True})
    assert played.data == events.MediaPlayed(ITEM_MEDIA, -3, paused=True, uid=4, queued_by="alice")
    feed(translator, "queue", {"item": item(5, "carol"), "after": 4})
    feed(translator, "setCurrent", 5)
    (played,) = feed(translator, "changeMedia", media())
    assert played.data == events.MediaPlayed(ITEM_MEDIA, uid=5, queued_by="carol")
    feed(translator, "delete", {"uid": 5})
    (played,) = feed(translator, "changeMedia", media())
    assert played.data == events.MediaPlayed(ITEM_MEDIA, uid=5)
    translator.joining()
    (played,) = feed(translator, "changeMedia", media())
    assert played.data == events.MediaPlayed(ITEM_MEDIA)


def sync(translator: Translator, time: float, *, paused: bool) -> list[Data]:
    """What a mediaUpdate becomes."""
    return [draft.data for draft in feed(translator, "mediaUpdate", {"currentTime": time, "paused": paused})]


def test_lead_in_is_no_pause() -> None:
    """From -3 paused to 0 playing is the beginning."""
    translator = Translator()
    feed(translator, "changeMedia", {**media(), "currentTime": -3, "paused": True})
    assert sync(translator, -1, paused=True) == [events.MediaSynced(-1, paused=True)]
    assert sync(translator, 0, paused=False) == [events.MediaSynced(0)]
    assert sync(translator, 5, paused=False) == [events.MediaSynced(5)]


def test_pause_and_resume() -> None:
    """A changed `paused` is told beside the position; the next item starts anew."""
    translator = Translator()
    assert sync(translator, 4, paused=True) == [events.MediaSynced(4, paused=True)]
    feed(translator, "changeMedia", {**media(), "currentTime": 0, "paused": False})
    assert sync(translator, 5, paused=True) == [events.MediaSynced(5, paused=True), events.MediaPaused(5)]
    assert sync(translator, 5, paused=True) == [events.MediaSynced(5, paused=True)]
    assert sync(translator, 5, paused=False) == [events.MediaSynced(5), events.MediaResumed(5)]
    sync(translator, 6, paused=True)
    feed(translator, "changeMedia", {**media(), "currentTime": 0, "paused": False})
    assert sync(translator, 5, paused=False) == [events.MediaSynced(5)]
    translator.joining()
    assert sync(translator, 9, paused=True) == [events.MediaSynced(9, paused=True)]


def test_joining_a_paused_item() -> None:
    """An item that is paused when the bot comes is resumed later."""
    translator = Translator()
    feed(translator, "changeMedia", {**media(), "currentTime": 60, "paused": True})
    assert sync(translator, 60, paused=False) == [events.MediaSynced(60), events.MediaResumed(60)]
