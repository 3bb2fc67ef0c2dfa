"""The door of a room: who may come in, what they are asked for, and what they are told in which order.

The order of a join is one that clients depend on and that never changes (CyTube 3.86, seen on a running server).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rosey_core.testing.payloads import MISSING
from rosey_core.testing.users import Event, User, Waiting

if TYPE_CHECKING:
    from rosey_core.testing.room import Room


class Door:
    """The way into one room, for those who have a name and those who have none yet."""

    def __init__(self, room: Room) -> None:
        self.room = room

    def knock(self, user: User, password: object = MISSING) -> None:
        """Somebody wants in: past the ban list, the password and the block of anonymous users."""
        if user.account is not None:
            self._look_up_rank(user)
        if self.room.registered and self.room.moderation.is_banned(user.name, user.ip):
            user.kick("You are banned from this channel.")
            return
        if self.room.options["password"] is False or password == self.room.options["password"]:
            self._pass_password(user)
        elif user.name and user.rank >= 2:
            self._pass_password(user)
            user.tell("cancelNeedPassword")
        else:
            user.waiting = Waiting(self.room, "password")
            user.tell("needPassword", password is not MISSING)
        self._show_own_lists(user)

    def try_password(self, user: User, password: object) -> None:
        """Somebody at the door says a password."""
        if password != self.room.options["password"] or not isinstance(password, str):
            user.tell("needPassword", True)  # noqa: FBT003  the event's own argument
            return
        user.tell("cancelNeedPassword")
        self._pass_password(user)
        self._show_own_lists(user)

    def named_at_door(self, user: User) -> None:
        """Somebody at the door logged in, which may open it."""
        at_password = user.waiting is not None and user.waiting.gate == "password"
        if not at_password:
            self._enter(user)
        if user.account is not None:
            self._look_up_rank(user)
            if not at_password:
                self.room.playlist.show(user)
            elif user.rank >= 2:
                self._pass_password(user)
                user.tell("cancelNeedPassword")
            if user.room is self.room:
                self.room.broadcast("setUserRank", {"name": user.name, "rank": user.rank})
            self._show_own_lists(user)
        if user.room is self.room:
            self._kick_if_banned(user)

    def named(self, user: User) -> None:
        """Somebody who was here anonymously logged in."""
        self._announce(user)
        self.room.moderation.mute_again(user)
        if user.account is not None:
            self._look_up_rank(user)
            self.room.playlist.show(user)
            self.room.broadcast("setUserRank", {"name": user.name, "rank": user.rank})
        self._kick_if_banned(user)

    def _look_up_rank(self, user: User) -> None:
        """The rank in this room, which registered users hear on entering and on logging in."""
        own = self.room.moderation.ranks.get(user.lower, ("", 1))[1]
        self.room.set_rank_of(user, max(user.global_rank, own))
        user.known_rank = True

    def _pass_password(self, user: User) -> None:
        if self.room.options["block_anonymous_users"] and not user.name:
            user.waiting = Waiting(self.room, "name")
            text = "This channel has blocked anonymous users. Please provide a user name to join."
            user.tell("errorMsg", {"msg": text})
            return
        self._enter(user)

    def _show_own_lists(self, user: User) -> None:
        """On entering, the saved lists of those who have an account."""
        if user.room is self.room and user.account is not None:
            self.room.library.show_lists(user)

    def _kick_if_banned(self, user: User) -> None:
        if self.room.registered and self.room.moderation.is_banned(user.name):
            user.kick("You are banned from this channel.")
            self.room.chat.whisper(f"{user.name} was kicked (name is banned)", 2)

    def _enter(self, user: User) -> None:
        """The join itself, in CyTube's order."""
        user.waiting = None
        user.room = self.room
        self.room.note(f"[login] Accepted connection from {user.cloaked}")
        if user.name:
            self._announce(user)
        self.room.users.append(user)
        self.room.watch_for_away(user)
        if user.name:
            self.room.moderation.mute_again(user)
        for part in self.room.parts:
            part.joined(user)
        self.room.tell_userlist(user)
        if self.room.playback.leader is not None:
            user.tell("setLeader", self.room.playback.leader.name)
        self.room.usercount()
        if not self.room.registered:
            user.tell("channelNotRegistered")
        self.room.site.entered(self.room, user)

    def _announce(self, user: User) -> None:
        """Somebody has a name now: who had it before goes, and everybody is told."""
        for each in tuple(self.room.users):
            if each is not user and each.lower == user.lower:
                each.kick("Duplicate login")
                # On the real server a newcomer hears the room from here on, and so this.
                if user not in self.room.users:
                    user.tell("userLeave", {"name": each.name})
        if not user.aliases:
            user.aliases.append(user.name)
        events = [Event("addUser", (user.packed(level),)) for level in range(3)]
        for each in tuple(self.room.users):
            each.hear(events[each.level()])
        self.room.chat.whisper(f"{user.name} joined (aliases: {','.join(user.aliases)})", 2)
        self.room.note(f"[login] {user.cloaked} logged in as {user.name}")
