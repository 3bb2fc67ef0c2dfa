"""A room's playlist: what is in it, and everything that changes it.

Who may add what, and on which terms, is `queueing`'s; what plays, and when the next thing does, is `playback`'s.
The rules and the sentences are those of CyTube 3.86 (sync `src/channel/playlist.js`), its one known fault included:
moving an item behind one that does not exist loses it without a word, while the count stays.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rosey_core.testing.lookup import LIVE, Media, clock
from rosey_core.testing.part import Answer, Part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rosey_core.testing.room import Room
    from rosey_core.testing.users import User

MOST_ITEMS = 4000
"""CyTube's own default of `playlist.max-items`."""

_CLEAN_FLAGS = re.compile(r"-([img]+)\s+", re.IGNORECASE)


@dataclass(slots=True, eq=False)
class Item:
    """One place in the list."""

    media: Media
    uid: int
    temp: bool
    queued_by: str

    def packed(self) -> dict[str, Any]:
        """What clients are told."""
        return {"media": self.media.packed(), "uid": self.uid, "temp": self.temp, "queueby": self.queued_by}


class Playlist(Part):
    """The items, in order.

    Attributes:
        count: how many there are as CyTube says it, which a lost item leaves too high.
        seconds: how long they are together.
    """

    SHAPES: ClassVar = {
        "setTemp": {"uid": "number", "temp": "boolean"},
        "moveMedia": {"from": "number", "after": "string,number"},
    }

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.items: list[Item] = []
        self.count = 0
        self.seconds = 0
        self._ids: Counter[str] = Counter()
        self._uid = 0

    def answers(self) -> dict[str, Answer]:
        """All that changes what is in the list."""
        return {
            "delete": self._delete_one,
            "setTemp": self._set_temp,
            "moveMedia": self._move,
            "clearPlaylist": self._clear,
            "shufflePlaylist": self._shuffle,
            "requestPlaylist": self._request,
        }

    def joined(self, user: User) -> None:
        """The list, what plays, and the list again for those whose rank was known at the door."""
        self.show(user)
        self.room.playback.show(user)
        if user.known_rank:
            self.show(user)

    def show(self, user: User) -> None:
        """Count and length for everybody; the list and its current item for those who may see it."""
        user.tell("setPlaylistMeta", self.meta())
        if self.room.permissions.can(user, "seeplaylist"):
            user.tell("playlist", [item.packed() for item in self.items])
            current = self.room.playback.current
            if current is not None:
                user.tell("setCurrent", current.uid)

    def meta(self) -> dict[str, Any]:
        """What is told after each change."""
        return {"count": self.count, "rawTime": self.seconds, "time": clock(self.seconds)}

    def find(self, uid: object) -> Item | None:
        """The item with a uid."""
        if isinstance(uid, bool) or not isinstance(uid, (int, float)):
            return None
        return next((item for item in self.items if item.uid == uid), None)

    def after(self, item: Item) -> Item | None:
        """What comes behind an item; at the end the list begins again."""
        index = self.items.index(item) if item in self.items else -1
        return self.items[(index + 1) % len(self.items)] if self.items else None

    # --- adding ---------------------------------------------------------------------------------------------

    def append(self, media: Media, queued_by: str, *, temp: bool = False) -> Item:
        """Add one at the end as the server's own hand, told like any other."""
        item = Item(media, self._take_uid(), temp, queued_by)
        self._insert(len(self.items), item)
        self._tell_added(item)
        return item

    def put_next(self, media: Media, queued_by: str, *, temp: bool, instead_of: Item | None) -> Item:
        """Add one right behind what plays, and take another one out for it, whose `temp` it gets."""
        current = self.room.playback.current
        if current is None or current not in self.items:
            return self.append(media, queued_by, temp=temp)
        item = Item(media, self._take_uid(), temp, queued_by)
        self._insert(self.items.index(current) + 1, item)
        if instead_of is not None:
            item.temp = instead_of.temp
            self.delete(instead_of)
        self._tell_added(item)
        return item

    def fill(self, media: Iterable[Media], queued_by: str) -> None:
        """Add many without telling anybody of each; who is there gets the whole list at the end."""
        for each in media:
            self._insert(len(self.items), Item(each, self._take_uid(), False, queued_by))  # noqa: FBT003  Item's own order
            self.count += 1
            self.seconds += each.seconds
        for user in self.room.users:
            self.show(user)
        if self.items and self.room.playback.current is None:
            self.room.playback.start(self.items[0])

    def same(self, media: Media) -> Item | None:
        """The item that has the same medium."""
        if not self._ids[media.id]:
            return None
        return next((item for item in self.items if item.media.id == media.id), None)

    def _take_uid(self) -> int:
        uid, self._uid = self._uid, self._uid + 1
        return uid

    def _insert(self, index: int, item: Item) -> None:
        self.items.insert(index, item)
        self._ids[item.media.id] += 1

    def _remove(self, item: Item) -> None:
        self.items.remove(item)
        self._ids[item.media.id] -= 1

    def _tell_added(self, item: Item) -> None:
        index = self.items.index(item) if self.items[-1] is not item else len(self.items) - 1
        self.count += 1
        self.seconds += item.media.seconds
        self.room.note(f"[playlist] {item.queued_by or '(anonymous)'} added {item.media.title}")
        after = self.items[index - 1].uid if index else "prepend"
        self.room.tell_those_who_can("seeplaylist", "queue", {"item": item.packed(), "after": after})
        self.room.broadcast("setPlaylistMeta", self.meta())
        if len(self.items) == 1:
            self.room.playback.start(item)

    # --- changing -------------------------------------------------------------------------------------------

    def _delete_one(self, user: User, data: Any) -> None:
        item = self.find(data)
        if item is not None and self.room.permissions.can(user, "playlistdelete"):
            self.room.note(f"[playlist] {user.name} deleted {item.media.title}")
            self.delete(item)

    def delete(self, item: Item) -> None:
        """Take an item out; if it is playing, the next one begins, and with the last one nothing does."""
        following = self.after(item)
        self._remove(item)
        self.count -= 1
        self.seconds -= item.media.seconds
        self.room.tell_those_who_can("seeplaylist", "delete", {"uid": item.uid})
        self.room.broadcast("setPlaylistMeta", self.meta())
        if self.room.playback.current is item:
            if following is item or following is None:
                self.room.playback.forget()
            else:
                self.room.playback.start(following)

    def _set_temp(self, user: User, data: dict[str, Any]) -> None:
        item = self.find(data["uid"])
        if item is not None and self.room.permissions.can(user, "settemp"):
            item.temp = data["temp"]
            self.room.broadcast("setTemp", data)
            if not item.temp and item.media.type not in LIVE:
                self.room.library.keep(item.media)

    def _move(self, user: User, data: dict[str, Any]) -> None:
        item, after = self.find(data["from"]), self.find(data["after"])
        if item is None or item is after or not self.room.permissions.can(user, "playlistmove"):
            return
        self._remove(item)
        if data["after"] == "prepend":
            self._insert(0, item)
        elif data["after"] == "append":
            self._insert(len(self.items), item)
        elif after is not None:
            self._insert(self.items.index(after) + 1, item)
        else:
            return
        self.room.broadcast("moveVideo", data)

    def _clear(self, user: User, _: Any) -> None:
        if self.room.permissions.can(user, "playlistclear"):
            self.room.note(f"[playlist] {user.name} cleared the playlist")
            self.room.playback.forget()
            self._empty()
            self.count = self.seconds = 0
            self.room.broadcast("playlist", [])
            self.room.broadcast("setPlaylistMeta", self.meta())

    def _empty(self) -> None:
        self.items.clear()
        self._ids.clear()

    def _shuffle(self, user: User, _: Any) -> None:
        if not self.room.permissions.can(user, "playlistshuffle"):
            return
        self.room.note(f"[playlist] {user.name} shuffled the playlist")
        playback = self.room.playback
        current, left = playback.current, list(self.items)
        self._empty()
        while left:
            old = left.pop(self.room.random.randrange(len(left)))
            item = Item(old.media, self._take_uid(), old.temp, old.queued_by)
            self._insert(0 if old is current else len(self.items), item)
        self.room.tell_those_who_can("seeplaylist", "playlist", [item.packed() for item in self.items])
        if self.items:
            playback.start(self.items[0], playback.time if current is not None else 0)

    def renumber(self) -> None:
        """Give all items new uids from 0, as CyTube does when it loads a room again; nobody is told."""
        self._uid = 0
        for item in self.items:
            item.uid = self._take_uid()
        self.count = len(self.items)

    def _request(self, user: User, _: Any) -> None:
        if not user.list_limit.refuses(self.room.timers.now(), 1, 0, 60):
            self.show(user)
            return
        text = "Get Playlist URLs is limited to 1 usage every 60 seconds.  Please try again later."
        user.tell("errorMsg", {"msg": text, "code": "REQ_PLAYLIST_LIMIT_REACHED"})

    def clean(self, user: User, line: str) -> None:
        """The chat commands `/clean USER` and `/cleantitle TITLE`, both with expressions."""
        if not self.room.permissions.can(user, "playlistdelete"):
            return
        command, _, target = line.partition(" ")
        if not target:
            text = f"No target given for {command}.  Usage: /clean <username> or /cleantitle <title>"
            user.tell("errorMsg", {"msg": text})
            return
        flags = _CLEAN_FLAGS.match(target)
        source = target[flags.end() :] if flags else target
        try:
            pattern = re.compile(source, re.IGNORECASE if flags and "i" in flags[1].lower() else 0)
        except re.error:
            user.tell("errorMsg", {"msg": f"Invalid target: {target}"})
            return
        for item in tuple(self.items):
            if pattern.search(item.queued_by if command == "/clean" else item.media.title):
                self.delete(item)
