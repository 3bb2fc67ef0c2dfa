"""What outlives a playlist: the room's library and its search, and the lists that accounts have saved."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from rosey_core.testing.lookup import LIVE, Media, clock
from rosey_core.testing.part import Answer, Part

if TYPE_CHECKING:
    from rosey_core.testing.room import Room
    from rosey_core.testing.users import User

_NOT_REGISTERED = "Only registered users can use the user playlist function."


class Library(Part):
    """The library of a registered room, by media id."""

    SHAPES: ClassVar = {
        "searchMedia": {"source": "string,optional", "query": "string"},
        "uncache": {"id": "string"},
        "clonePlaylist": {"name": "string"},
        "deletePlaylist": {"name": "string"},
        "queuePlaylist": {"name": "string", "pos": "string", "temp": "boolean,optional"},
    }

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self._kept: dict[str, Media] = {}

    def answers(self) -> dict[str, Answer]:
        """Search, and the saved lists."""
        return {
            "searchMedia": self._search,
            "uncache": self._uncache,
            "listPlaylists": lambda user, _: self.show_lists(user),
            "clonePlaylist": self._clone,
            "deletePlaylist": self._delete_list,
            "queuePlaylist": self._queue_list,
        }

    def keep(self, media: Media) -> None:
        """Put a medium into the library."""
        if self.room.registered and media.type not in LIVE:
            self._kept[media.id] = media

    def show_lists(self, user: User) -> None:
        """The lists that the user's account has saved."""
        if user.account is None:
            user.tell("errorMsg", {"msg": _NOT_REGISTERED})
            return
        lists = sorted(user.account.playlists.items())
        rows = [
            {"name": name, "count": len(media), "duration": sum(each.seconds for each in media)}
            for name, media in lists
        ]
        user.tell("listPlaylists", rows)

    def _search(self, user: User, data: dict[str, str]) -> None:
        query = data["query"][:100]
        can_see = self.room.permissions.can(user, "seeplaylist")
        if data.get("source") == "yt" or not self.room.registered or not can_see:
            found = [media.packed() for media in self.room.lookup.search(query)]
            user.tell("searchResults", {"source": "yt", "results": found})
            return
        words = query.lower().split()
        kept = [media for media in self._kept.values() if all(word in media.title.lower() for word in words)]
        rows = [self._row(media) for media in sorted(kept, key=lambda media: media.title.lower())]
        user.tell("searchResults", {"source": "library", "results": rows})

    def _row(self, media: Media) -> dict[str, Any]:
        """A row as CyTube's data base has it: `meta` is JSON in a string, and without tracks."""
        meta = {key: value for key, value in media.meta.items() if key != "textTracks"}
        return {
            "id": media.id,
            "title": media.title,
            "seconds": media.seconds,
            "type": media.type,
            "meta": json.dumps(meta, separators=(",", ":")),
            "channel": self.room.name,
            "duration": clock(media.seconds),
        }

    def _uncache(self, user: User, data: dict[str, str]) -> None:
        if self.room.registered and self.room.permissions.can(user, "deletefromchannellib"):
            self._kept.pop(data["id"], None)

    def _clone(self, user: User, data: dict[str, str]) -> None:
        if user.account is None:
            user.tell("errorMsg", {"msg": _NOT_REGISTERED})
        elif not self.room.permissions.can(user, "seeplaylist"):
            user.tell("errorMsg", {"msg": "You are not allowed to save this playlist"})
        else:
            user.account.playlists[data["name"]] = [item.media for item in self.room.playlist.items]
            self.show_lists(user)

    def _delete_list(self, user: User, data: dict[str, str]) -> None:
        if user.account is not None:
            user.account.playlists.pop(data["name"], None)
        self.show_lists(user)

    def _queue_list(self, user: User, data: dict[str, Any]) -> None:
        wish = self.room.queueing.wish_for_list(user, data)
        if wish is None:
            return
        saved = user.account.playlists.get(data["name"]) if user.account is not None else None
        if saved is None:
            user.tell("errorMsg", {"msg": "Playlist load failed: Playlist does not exist"})
            return
        copies = [Media(each.id, each.title, each.seconds, each.type, each.meta) for each in saved]
        self.room.queueing.add_all(copies, wish, user)
