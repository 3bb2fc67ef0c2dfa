"""What a room plays: the current item, its time, who leads, and when the next one begins.

The times are CyTube's (3.86, seen on a running server): three seconds of lead-in at -3, a `mediaUpdate` when they are
over and at each fifth second after, and the next item two seconds after the end. With `speed` 60 a minute passes in
a second; what clients are told stays the item's own time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from rosey_core.testing.lookup import LIVE
from rosey_core.testing.part import Answer, Part
from rosey_core.testing.payloads import tidy

if TYPE_CHECKING:
    from rosey_core.testing.playlist import Item
    from rosey_core.testing.room import Room
    from rosey_core.testing.timers import Timer
    from rosey_core.testing.users import User

_UPDATE_EACH = 5


class Playback(Part):
    """The one thing that plays.

    Attributes:
        current: the item, or nothing.
        time: seconds into it; negative in the lead-in.
        leader: the user who plays for everybody; the server does where there is none.
    """

    SHAPES: ClassVar = {
        "assignLeader": {"name": "string"},
        "mediaUpdate": {
            "id": "string",
            "currentTime": "number",
            "paused": "boolean,optional",
            "type": "string,optional",
        },
    }

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.current: Item | None = None
        self.time: float = 0
        self.paused = False
        self.leader: User | None = None
        self._ticks = 0
        self._told_at = 0.0
        self._timer: Timer | None = None

    def answers(self) -> dict[str, Answer]:
        """Jumping, and leading."""
        return {
            "jumpTo": self._jump,
            "playNext": self._skip,
            "playerReady": lambda user, _: self.show(user),
            "assignLeader": self._assign_leader,
            "mediaUpdate": self._lead,
        }

    def left(self, user: User) -> None:
        """Without its leader the room is led by the server again."""
        if self.leader is user:
            self.leader = None
            self._lead_again()

    def stop(self) -> None:
        """Stand still."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def show(self, user: User) -> None:
        """Tell one user what plays, if anything does."""
        if self.current is not None:
            user.tell("setCurrent", self.current.uid)
            user.tell("changeMedia", self._packed(self.current))

    def start(self, item: Item, time: float = 0) -> None:
        """Play an item from `time`, or from its lead-in, and tell everybody."""
        self.current = item
        self.stop()
        led = self.leader is not None
        self.time = time or (-3 if item.media.seconds > 0 and not led else 0)
        self.paused = self.time < 0 and not led
        self.room.broadcast("setCurrent", item.uid)
        self.room.broadcast("changeMedia", self._packed(item))
        self.room.note(f"[playlist] Now playing: {item.media.title} ({item.media.type}:{item.media.id})")
        self.room.media_changed()
        if item.media.seconds > 0 and not led:
            self._tick_on()

    def forget(self) -> None:
        """Play nothing; nobody is told."""
        self.current = None
        self.stop()

    def resume(self) -> None:
        """Go on after `stop`, as a room does that is loaded again."""
        if self.current is not None and self.current.media.seconds > 0 and self.leader is None:
            self._tick_on()

    def play_next(self) -> None:
        """The next item: at the end of this one, or because somebody wants it."""
        if self.current is None:
            return
        if self.current.temp and self.current in self.room.playlist.items:
            self.room.playlist.delete(self.current)
        elif (following := self.room.playlist.after(self.current)) is not None:
            self.start(following)

    def _packed(self, item: Item) -> dict[str, Any]:
        return item.media.packed() | self._update()

    def _update(self) -> dict[str, Any]:
        return {"currentTime": tidy(self.time), "paused": self.paused}

    def _tell_time(self) -> None:
        self.room.broadcast("mediaUpdate", self._update())

    def _tick_on(self) -> None:
        self._told_at = self.room.timers.now()
        self._timer = self.room.timers.later(1 / self.room.speed, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self.current is None:
            return
        passed = (self.room.timers.now() - self._told_at) * self.room.speed
        if self.time < 0 <= self.time + passed:
            self.time, self.paused, self._ticks = 0, False, 0
            self._tell_time()
        else:
            self.time += passed
            self._ticks += 1
            if self.time >= self.current.media.seconds + 2:
                self.play_next()
                return
            if self._ticks % _UPDATE_EACH == 0:
                self._tell_time()
        self._tick_on()

    def _jump(self, user: User, data: Any) -> None:
        item = self.room.playlist.find(data)
        if item is None or not self.room.permissions.can(user, "playlistjump"):
            return
        old = self.current
        self.start(item)
        if old is not None and old.temp and old is not item and old in self.room.playlist.items:
            self.room.playlist.delete(old)

    def _skip(self, user: User, _: Any) -> None:
        if self.room.permissions.can(user, "playlistjump"):
            self.play_next()

    def _assign_leader(self, user: User, data: dict[str, str]) -> None:
        if not self.room.permissions.can(user, "leaderctl"):
            user.kick("Attempted assignLeader without sufficient permission")
            return
        if self.leader is not None:
            old, self.leader = self.leader, None
            if old.rank == 1.5:
                old.rank = old.rank_before_leading
                old.tell("rank", old.rank)
            self.room.broadcast("setUserRank", {"name": old.name, "rank": old.rank})
        name = data["name"]
        if not name:
            self._lead_again()
            return
        leader = next((each for each in self.room.users if each.name == name), None)
        if leader is None:
            user.tell("errorMsg", {"msg": f"Unable to assign leader: could not find user {name}"})
            return
        self.leader = leader
        self.stop()
        if leader.rank < 1.5:
            leader.rank_before_leading, leader.rank = leader.rank, 1.5
            leader.tell("rank", 1.5)
        self.room.broadcast("setLeader", name)
        if leader.rank == 1.5:
            self.room.broadcast("setUserRank", {"name": name, "rank": 1.5})

    def _lead_again(self) -> None:
        self.room.broadcast("setLeader", "")
        if self.current is not None:
            self.paused = False
            self._tell_time()
            if self._timer is None:
                self.resume()

    def _lead(self, user: User, data: dict[str, Any]) -> None:
        current = self.current
        if self.leader is not user or current is None or current.media.type in LIVE:
            return
        if data["id"] == current.media.id and math.isfinite(data["currentTime"]):
            self.time, self.paused = data["currentTime"], bool(data.get("paused"))
            self._tell_time()
