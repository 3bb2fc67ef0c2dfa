"""Adding to a room's playlist: who may, what, how often and how much, and what CyTube says to others.

The list itself is `playlist`'s; what a link leads to is `lookup`'s. The rules and the sentences are those of CyTube
3.86 (sync `src/channel/playlist.js`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rosey_core.testing.lookup import LIVE, LookupFailed, Media, link
from rosey_core.testing.markup import escape
from rosey_core.testing.part import Answer, Part

if TYPE_CHECKING:
    from rosey_core.testing.playlist import Item
    from rosey_core.testing.users import User


@dataclass(slots=True)
class Wish:
    """What somebody wants in the list, and on what terms."""

    id: str
    link: str | None
    temp: bool
    next: bool
    longest: float
    title: str = ""
    seconds: float = 0
    keep: bool = False


class Queueing(Part):
    """The way into the playlist."""

    SHAPES: ClassVar = {
        "queue": {
            "id": "string,boolean",
            "type": "string",
            "pos": "string",
            "title": "string,boolean,optional",
            "duration": "number,optional",
            "temp": "boolean,optional",
        },
    }

    def answers(self) -> dict[str, Answer]:
        """One event; saved lists come in by `library`."""
        return {"queue": self._queue}

    def _queue(self, user: User, data: dict[str, Any]) -> None:
        id_, type_, position = data["id"], data["type"], data["pos"]
        can = self.room.permissions.can
        if id_ is True or position not in {"next", "end"} or not can(user, "playlistadd"):
            return
        if position == "next" and not can(user, "playlistnext"):
            return
        id_ = id_ or ""
        address = link(id_, type_)
        if refusal := self._refusal(user, type_):
            user.tell("queueFail", {"msg": refusal, "link": address, "id": id_})
            return
        burst, sustained = (10, 2) if user.rank >= 2 else (3, 1)
        if user.queue_limit.refuses(self.room.timers.now(), burst, sustained):
            user.tell("queueFail", {"msg": "You are adding videos too quickly", "link": address, "id": id_})
            return
        temp = bool(data.get("temp")) or not can(user, "addnontemp")
        title = data.get("title")
        wish = Wish(
            id=id_,
            link=address,
            temp=temp,
            next=position == "next",
            longest=self._longest(user),
            title=title if isinstance(title, str) and type_ in {"cu", "fi"} else "",
            seconds=data.get("duration", 0) if type_ in LIVE else 0,
            keep=not temp,
        )
        try:
            found = self.room.lookup.find_list(id_) if type_ == "yp" else [self.room.lookup.find(id_, type_)]
        except LookupFailed as error:
            user.tell("queueFail", {"msg": escape(str(error)), "link": address, "id": id_})
            return
        self.add_all(found, wish, user)

    def _refusal(self, user: User, type_: str) -> str:
        """Why this user may not add media of a type."""
        can = self.room.permissions.can
        if type_ == "yp" and not can(user, "playlistaddlist"):
            return "You don't have permission to add playlists"
        if type_ in LIVE and not can(user, "playlistaddlive"):
            return "You don't have permission to add live media"
        if type_ == "cu" and not can(user, "playlistaddcustom"):
            return "You don't have permission to add custom embeds"
        if type_ in {"fi", "cm"} and not can(user, "playlistaddrawfile"):
            return "You don't have permission to add raw video files"
        return ""

    def _longest(self, user: User) -> float:
        if self.room.permissions.can(user, "exceedmaxlength"):
            return 0
        return float(self.room.options["maxlength"])

    def wish_for_list(self, user: User, data: dict[str, Any]) -> Wish | None:
        """The terms of `queuePlaylist`, if the user may."""
        can = self.room.permissions.can
        if data["pos"] not in {"next", "end"} or not can(user, "playlistaddlist"):
            return None
        if data["pos"] == "next" and not can(user, "playlistnext"):
            return None
        temp = bool(data.get("temp")) or not can(user, "addnontemp")
        return Wish("", None, temp, data["pos"] == "next", self._longest(user))

    def add_all(self, found: list[Media], wish: Wish, user: User) -> None:
        """Add several, in their order even when each goes right behind what plays."""
        if wish.next:
            found = [*reversed(found)]
            if not self.room.playlist.items and found:
                found.insert(0, found.pop())
        for media in found:
            self.add(media, wish, user)

    def add(self, media: Media, wish: Wish, user: User) -> None:
        """Add one, or tell the user why not."""
        if wish.seconds:
            media.seconds = int(wish.seconds)
        existing = self.room.playlist.same(media)
        if reason := self._reason(media, wish, user, existing):
            answer = {"msg": reason, "link": wish.link}
            user.tell("queueFail", answer | ({"id": wish.id} if wish.id else {}))
            return
        if wish.title and media.type in {"cu", "fi"}:
            media.title = wish.title
        if wish.next:
            instead_of = None if self.room.options["allow_dupes"] else existing
            self.room.playlist.put_next(media, user.name, temp=wish.temp, instead_of=instead_of)
        else:
            self.room.playlist.append(media, user.name, temp=wish.temp)
        if wish.keep and media.type not in LIVE:
            self.room.library.keep(media)

    def _reason(self, media: Media, wish: Wish, user: User, existing: Item | None) -> str:
        """Why the list does not take a medium."""
        can, options = self.room.permissions.can, self.room.options
        if not wish.seconds and media.seconds == 0 and not can(user, "playlistaddlive"):
            return "You don't have permission to add livestreams"
        if 0 < wish.longest < media.seconds:
            return f"Video exceeds the maximum length set by the channel admin: {wish.longest:g} seconds"
        if len(self.room.playlist.items) >= self.room.most_items:
            return f"Playlist limit reached ({self.room.most_items})"
        stays = not wish.next or existing is self.room.playback.current
        if existing is not None and not options["allow_dupes"] and stays:
            return "This item is already on the playlist"
        most, longest = options["playlist_max_per_user"], options["playlist_max_duration_per_user"]
        if most or longest:
            own = [item.media.seconds for item in self.room.playlist.items if item.queued_by.lower() == user.lower]
            if most and len(own) >= most and not can(user, "exceedmaxitems"):
                return "Channel limit exceeded: maximum number of videos per user"
            if longest and sum(own) + media.seconds >= longest and not can(user, "exceedmaxdurationperuser"):
                return "Channel limit exceeded: maximum total playlist time per user"
        return ""
