"""A room's votes: polls, votes to skip what plays, and drinks. One vote for each address, as CyTube counts them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from rosey_core.testing.markup import escape_poll
from rosey_core.testing.part import Answer, Part

if TYPE_CHECKING:
    from rosey_core.testing.room import Room
    from rosey_core.testing.timers import Timer
    from rosey_core.testing.users import User

_MOST_OPTIONS = 50


class Poll:
    """One poll. `votes` is the option that each address chose; `hidden` polls show their counts to few."""

    def __init__(self, initiator: str, title: str, options: list[str], timestamp: int) -> None:
        self.initiator = initiator
        self.title = escape_poll(title)
        self.options = [escape_poll(option) for option in options]
        self.timestamp = timestamp
        self.votes: dict[str, int] = {}
        self.hidden = False
        self.keeps_votes = False
        self.timer: Timer | None = None

    def packed(self, *, shown: bool) -> dict[str, Any]:
        """What clients are told: the counts of a hidden poll are text, `"3?"` or `"?"`."""
        counts: list[Any] = [0] * len(self.options)
        for option in self.votes.values():
            counts[option] += 1
        if self.hidden:
            counts = [f"{count}?" if shown else "?" for count in counts]
        return {
            "title": self.title,
            "options": self.options,
            "counts": counts,
            "initiator": self.initiator,
            "timestamp": self.timestamp,
        }


class Polls(Part):
    """The open poll, if there is one."""

    SHAPES: ClassVar = {
        "newPoll": {
            "title": "string",
            "timeout": "number,optional",
            "obscured": "boolean",
            "retainVotes": "boolean,optional",
            "opts": "array",
        },
        "vote": {"option": "number"},
    }

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.poll: Poll | None = None

    def answers(self) -> dict[str, Answer]:
        """`newPoll` is the only event of all that is acknowledged."""
        return {"newPoll": self._open, "vote": self._vote, "closePoll": self._close}

    def joined(self, user: User) -> None:
        """The open poll."""
        if self.poll is not None:
            user.tell("newPoll", self.poll.packed(shown=self._sees(user)))

    def left(self, user: User) -> None:
        """Take the vote back, unless the poll keeps votes."""
        poll = self.poll
        if poll is not None and not poll.keeps_votes and poll.votes.pop(user.ip, None) is not None:
            self._tell("updatePoll", poll)

    def stop(self) -> None:
        """Forget when the poll was to end."""
        if self.poll is not None and self.poll.timer is not None:
            self.poll.timer.cancel()

    def command(self, user: User, line: str) -> None:
        """The chat commands `/poll title,option,...` and `/hpoll`; the title keeps the blank before it."""
        if not self.room.permissions.can(user, "pollctl"):
            return
        hidden = line.startswith("/h")
        title, *options = line.removeprefix("/hpoll" if hidden else "/poll").split(",")
        self.close()
        if wrong := _complaint(title, options):
            user.tell("errorMsg", {"msg": f"Error creating poll: {wrong}"})
            return
        self._begin(user, title, options, hidden=hidden)

    def close(self) -> None:
        """Close the open poll; a hidden one shows its counts first."""
        poll, self.poll = self.poll, None
        if poll is None:
            return
        if poll.timer is not None:
            poll.timer.cancel()
        if poll.hidden:
            poll.hidden = False
            self.room.broadcast("updatePoll", poll.packed(shown=True))
        self.room.broadcast("closePoll", None)

    def _sees(self, user: User) -> bool:
        return self.room.permissions.can(user, "viewhiddenpoll")

    def _tell(self, name: str, poll: Poll) -> None:
        self.room.tell_by(self._sees, name, poll.packed(shown=True), poll.packed(shown=False))

    def _begin(self, user: User, title: str, options: list[str], *, hidden: bool) -> Poll:
        poll = self.poll = Poll(user.name, title, options, self.room.timers.wall_ms())
        poll.hidden = hidden
        self._tell("newPoll", poll)
        self.room.note(f"[poll] {user.name} opened poll: '{poll.title}'")
        return poll

    def _open(self, user: User, data: dict[str, Any]) -> dict[str, Any] | None:
        if not self.room.permissions.can(user, "pollctl"):
            return None
        self.close()
        wrong = _complaint(data["title"], data["opts"])
        timeout = data.get("timeout")
        if not wrong and timeout is not None and not 1 <= timeout <= 86400:
            wrong = "Poll timeout must be between 1 and 86400 seconds"
        if wrong:
            return {"error": {"message": wrong}}
        poll = self._begin(user, data["title"], data["opts"], hidden=data["obscured"])
        poll.keeps_votes = bool(data.get("retainVotes"))
        if timeout is not None:
            poll.timer = self.room.timers.later(timeout / self.room.speed, self.close)
        return {}

    def _vote(self, user: User, data: dict[str, Any]) -> None:
        poll, option = self.poll, data["option"]
        if poll is None or not self.room.permissions.can(user, "pollvote"):
            return
        if option in range(len(poll.options)) and poll.votes.get(user.ip) != option:
            poll.votes[user.ip] = int(option)
            self._tell("updatePoll", poll)

    def _close(self, user: User, _: Any) -> None:
        if self.room.permissions.can(user, "pollctl"):
            self.close()


class Skips(Part):
    """Votes to skip what plays."""

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self._votes: set[str] | None = None

    def answers(self) -> dict[str, Answer]:
        """One event, no payload."""
        return {"voteskip": self._vote}

    def left(self, user: User) -> None:
        """Take the vote back."""
        if self._votes is not None:
            self._votes.discard(user.ip)
            self.count()

    def forget(self, user: User) -> None:
        """Take back the vote of somebody who went away."""
        if self._votes is not None:
            self._votes.discard(user.ip)

    def media_changed(self) -> None:
        """Begin anew."""
        self._votes = None
        self._tell()

    def count(self) -> None:
        """Skip if enough want to, and say how many do."""
        if not self.room.options["allow_voteskip"] or self._votes is None or not self.room.playlist.count:
            return
        if len(self._votes) >= self._need():
            self.room.playback.play_next()
        self._tell()

    def _vote(self, user: User, _: Any) -> None:
        if self.room.options["allow_voteskip"] and self.room.permissions.can(user, "voteskip"):
            if self._votes is None:
                self._votes = set()
            self._votes.add(user.ip)
            self.room.set_away(user, away=False)
            self.count()

    def _need(self) -> int:
        here = sum(not each.afk and self.room.permissions.can(each, "voteskip") for each in self.room.users)
        return math.ceil(here * float(self.room.options["voteskip_ratio"]))

    def _tell(self) -> None:
        votes = self._votes
        told = {"count": len(votes or ()), "need": 0 if votes is None else self._need()}
        self.room.tell_those_who_can("viewvoteskip", "voteskip", told)


class Drinks(Part):
    """The drink counter, which begins anew with each medium."""

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.count = 0

    def joined(self, user: User) -> None:
        """The count, which also ends the history of chat in a join."""
        user.tell("drinkCount", self.count)

    def add(self, count: int) -> None:
        """Count some more, or fewer."""
        self.count += count
        self.room.broadcast("drinkCount", self.count)

    def media_changed(self) -> None:
        """Begin anew."""
        self.count = 0
        self.room.broadcast("drinkCount", 0)


def _complaint(title: str, options: list[Any]) -> str:
    """What is wrong with a poll."""
    if len(title) > 255:
        return "Poll title must be no more than 255 characters long."
    if len(options) > _MOST_OPTIONS:
        return f"Polls are limited to a maximum of {_MOST_OPTIONS} options."
    if not all(isinstance(option, str) for option in options):
        return "Poll options must be strings."
    if not all(1 <= len(option) <= 255 for option in options):
        return "Poll options must be 1-255 characters long."
    return ""
