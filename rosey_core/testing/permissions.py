"""A room's permissions: which rank may do what, and the playlist's lock.

A node that is missing from the table, as some are in unregistered rooms, is one that nobody passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rosey_core.testing.part import Answer, Part
from rosey_core.testing.payloads import parse_number

if TYPE_CHECKING:
    from rosey_core.testing.room import Room
    from rosey_core.testing.users import User

REGISTERED: dict[str, float] = {
    "seeplaylist": -1,
    "playlistadd": 1.5,
    "playlistnext": 1.5,
    "playlistmove": 1.5,
    "playlistdelete": 2,
    "playlistjump": 1.5,
    "playlistaddlist": 1.5,
    "oplaylistadd": -1,
    "oplaylistnext": 1.5,
    "oplaylistmove": 1.5,
    "oplaylistdelete": 2,
    "oplaylistjump": 1.5,
    "oplaylistaddlist": 1.5,
    "playlistaddcustom": 3,
    "playlistaddrawfile": 2,
    "playlistaddlive": 1.5,
    "exceedmaxlength": 2,
    "addnontemp": 2,
    "settemp": 2,
    "playlistshuffle": 2,
    "playlistclear": 2,
    "pollctl": 1.5,
    "pollvote": -1,
    "viewhiddenpoll": 1.5,
    "voteskip": -1,
    "viewvoteskip": 1.5,
    "mute": 1.5,
    "kick": 1.5,
    "ban": 2,
    "motdedit": 3,
    "filteredit": 3,
    "filterimport": 3,
    "emoteedit": 3,
    "emoteimport": 3,
    "playlistlock": 2,
    "leaderctl": 2,
    "drink": 1.5,
    "chat": 0,
    "chatclear": 2,
    "exceedmaxitems": 2,
    "deletefromchannellib": 2,
    "exceedmaxdurationperuser": 2,
}
"""What a registered room begins with (CyTube 3.86, seen on a running server)."""

_ABSENT = frozenset(
    [
        "playlistaddrawfile",
        "mute",
        "kick",
        "ban",
        "motdedit",
        "filteredit",
        "filterimport",
        "emoteedit",
        "emoteimport",
        "exceedmaxdurationperuser",
    ]
)
_STILL = {
    "playlistadd": -1,
    "oplaylistadd": -1,
    "seeplaylist": -1,
    "pollvote": -1,
    "voteskip": -1,
    "viewhiddenpoll": 1.5,
    "viewvoteskip": 1.5,
    "playlistlock": 2,
    "chatclear": 2,
    "exceedmaxitems": 2,
    "deletefromchannellib": 2,
}

UNREGISTERED: dict[str, float] = {node: _STILL.get(node, 0) for node in REGISTERED if node not in _ABSENT}
"""What an unregistered room has, always."""


class Permissions(Part):
    """Who may do what. `locked` says that the list is closed, so that the `o...` nodes do not help."""

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.nodes = dict(REGISTERED if room.registered else UNREGISTERED)
        self.locked = room.registered

    def can(self, user: User, node: str) -> bool:
        """Whether the user's rank passes a node."""
        nodes = self.nodes
        if not self.locked and node.startswith("playlist") and user.rank >= nodes.get("o" + node, float("inf")):
            return True
        return user.rank >= nodes.get(node, float("inf"))

    def set_locked(self, *, locked: bool) -> None:
        """Lock or unlock the playlist as the server's own hand, and tell everybody."""
        self.locked = locked
        self.room.broadcast("setPlaylistLocked", locked)

    def answers(self) -> dict[str, Answer]:
        """What clients may change."""
        return {"setPermissions": self._set, "togglePlaylistLock": self._toggle_lock}

    def joined(self, user: User) -> None:
        """The first two events of a join."""
        user.tell("setPermissions", self.nodes)
        user.tell("setPlaylistLocked", self.locked)

    def _set(self, user: User, data: Any) -> None:
        if not isinstance(data, dict):
            return
        if user.rank < 3:
            user.kick("Attempted setPermissions as a non-admin")
            return
        for node, value in data.items():
            if node in self.nodes and (number := parse_number(value)) is not None:
                self.nodes[node] = number
        if "seeplaylist" in data:
            for each in self.room.users:
                self.room.playlist.show(each)
        self.room.note(f"[mod] {user.name} updated permissions")
        self.room.broadcast("setPermissions", self.nodes)

    def _toggle_lock(self, user: User, _: Any) -> None:
        if self.can(user, "playlistlock"):
            self.room.note(f"[playlist] {user.name} {'un' if self.locked else ''}locked the playlist")
            self.set_locked(locked=not self.locked)
