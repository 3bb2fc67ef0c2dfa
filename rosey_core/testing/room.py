"""One room of the simulated CyTube: who is in it, and what is told to whom.

A room knows no network and no event loop: events come in by `receive`, and go out to the users' links; time comes
from the site's timers. Its parts hold one idea each (`door`, `chat`, `playlist`, `polls`, ...).

For tests and the sandbox a room is also the handle to work it from outside: `set_rank`, `fill`, `say_as`, `burst`,
`kick` and the parts themselves. Unlike a real one, a room with nobody in it stays as it is.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any

from rosey_core.testing.chat import Chat, Line
from rosey_core.testing.door import Door
from rosey_core.testing.library import Library
from rosey_core.testing.looks import Emotes, Filters, Style
from rosey_core.testing.lookup import Media
from rosey_core.testing.moderation import Moderation
from rosey_core.testing.options import Options
from rosey_core.testing.payloads import NOT_ACKED, complaint
from rosey_core.testing.permissions import Permissions
from rosey_core.testing.playback import Playback
from rosey_core.testing.playlist import MOST_ITEMS, Playlist
from rosey_core.testing.polls import Drinks, Polls, Skips
from rosey_core.testing.queueing import Queueing
from rosey_core.testing.timers import Throttled
from rosey_core.testing.users import Event, User

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rosey_core.testing.part import Answer, Part
    from rosey_core.testing.site import Site

_LONGEST_LOG = 100 * 1024


class Room:
    """One room. It is made by `Site.room`, or, unregistered, by somebody who enters it.

    Attributes:
        users: everybody in it, in the order in which they came; who has no name is anonymous.
        parts: what it consists of, in the order in which a newcomer hears of them.
        most_items: how long the playlist may get.
        log: what happened, as its administrators may read it.
    """

    def __init__(self, site: Site, name: str, *, registered: bool = True) -> None:
        self.site = site
        self.name = name
        self.registered = registered
        self.timers = site.timers
        self.random = site.random
        self.lookup = site.lookup
        self.speed = site.speed
        self.users: list[User] = []
        self.most_items = MOST_ITEMS
        self.log: deque[str] = deque(maxlen=5000)
        self.usercount = Throttled(self.timers, site.usercount_period, self._tell_usercount)
        self.permissions = Permissions(self)
        self.emotes = Emotes(self)
        self.chat = Chat(self)
        self.drinks = Drinks(self)
        self.filters = Filters(self)
        self.style = Style(self)
        self.settings = Options(self)
        self.playlist = Playlist(self)
        self.queueing = Queueing(self)
        self.playback = Playback(self)
        self.library = Library(self)
        self.skips = Skips(self)
        self.polls = Polls(self)
        self.moderation = Moderation(self)
        self.door = Door(self)
        self.parts: tuple[Part, ...] = (
            self.permissions,
            self.emotes,
            self.chat,
            self.drinks,
            self.filters,
            self.style,
            self.settings,
            self.library,
            self.playlist,
            self.queueing,
            self.playback,
            self.skips,
            self.polls,
            self.moderation,
        )
        self._answers: dict[str, Answer] = {"readChanLog": self._read_log}
        self._shapes: dict[str, Mapping[str, str]] = {}
        for part in self.parts:
            self._answers |= part.answers()
            self._shapes |= part.SHAPES

    # --- from outside ---------------------------------------------------------------------------------------

    @property
    def options(self) -> dict[str, Any]:
        """The options as they are. `settings.change` changes them and tells everybody."""
        return self.settings.values

    @property
    def lines(self) -> list[Line]:
        """Every chat line that was accepted."""
        return self.chat.lines

    @property
    def dropped(self) -> Counter[str]:
        """How many `cooldown`s were sent, by name: each is a line or PM that was lost."""
        return self.chat.dropped

    def set_rank(self, name: str, rank: float) -> None:
        """Give a name a rank in this room; who is here under it is told, like everybody."""
        self.moderation.keep_rank(name, rank)
        user = self.find(name)
        if user is not None:
            self.moderation.promote(user, name, rank)

    def say_as(self, name: str, text: str) -> None:
        """Say a line as anybody, here or not, past all limits."""
        self.chat.say_as(name, text)

    def remember(self, name: str, text: str, *, seconds_ago: float = 60) -> None:
        """Put a line into the history that newcomers hear."""
        self.chat.remember(name, text, self.timers.wall_ms() - round(seconds_ago * 1000))

    def fill(self, count: int, *, type: str = "yt", title_length: int = 20, queued_by: str = "filler") -> None:  # noqa: A002  CyTube's word
        """Put `count` made-up items into the list. 4,000 of type `cm` with titles of 100 make a frame of 1.5 MB."""
        self.playlist.fill(_made_up(count, type, title_length, len(self.playlist.items)), queued_by)

    async def burst(self, items: int = 4000, *, seconds: float = 1.0, queued_by: str = "filler") -> int:
        """Add `items` to the list as a saved playlist does: two events each, to everybody, spread over `seconds`.

        Returns:
            How many events each user was sent who may see the list.
        """
        start = asyncio.get_running_loop().time()
        quiet = bool(self.playlist.items)
        for index, media in enumerate(_made_up(items, "yt", 20, len(self.playlist.items))):
            self.playlist.append(media, queued_by)
            if index % 50 == 49:
                ahead = start + seconds * index / items - asyncio.get_running_loop().time()
                await asyncio.sleep(max(0.0, ahead))
        return 2 * items if quiet or not items else 2 * items + 3

    def kick(self, name: str, reason: str | None = "") -> None:
        """Kick somebody; `None` kicks with no reason at all (`{}`)."""
        user = self.find(name)
        if user is None:
            raise LookupError(f"nobody called {name!r} is in the room {self.name!r}")
        user.kick(reason)

    def stop(self) -> None:
        """Let time stand still here."""
        self.usercount.cancel()
        for part in self.parts:
            part.stop()

    def load(self) -> None:
        """Go on after `stop`, as CyTube does with a room that it loads: with new uids and no drinks."""
        self.playlist.renumber()
        self.drinks.count = 0
        self.playback.resume()

    # --- telling --------------------------------------------------------------------------------------------

    def broadcast(self, name: str, *args: Any) -> None:
        """Tell everybody in the room."""
        event = Event(name, args)
        for user in tuple(self.users):
            user.hear(event)

    def tell_where(self, test: Callable[[User], bool], name: str, *args: Any) -> None:
        """Tell those who pass a test."""
        event = Event(name, args)
        for user in tuple(self.users):
            if test(user):
                user.hear(event)

    def tell_those_who_can(self, node: str, name: str, *args: Any) -> None:
        """Tell those whose rank passes a permission."""
        self.tell_where(lambda user: self.permissions.can(user, node), name, *args)

    def tell_by(self, test: Callable[[User], bool], name: str, yes: Any, no: Any) -> None:
        """Tell everybody: one thing to those who pass the test, another to the rest."""
        events = (Event(name, (no,)), Event(name, (yes,)))
        for user in tuple(self.users):
            user.hear(events[test(user)])

    def tell_meta(self, user: User, least_rank: float) -> None:
        """Tell those of a rank that somebody went away, or was muted; each as much as their rank may know."""
        events = [Event("setUserMeta", ({"name": user.name, "meta": user.meta(level)},)) for level in range(3)]
        for each in tuple(self.users):
            if each.rank >= least_rank:
                each.hear(events[each.level()])

    def note(self, text: str) -> None:
        """Write into the room's log."""
        if self.registered:
            stamp = strftime("%a %b %d %Y %H:%M:%S", gmtime(self.timers.wall_ms() / 1000))
            self.log.append(f"[{stamp}] {text}")

    # --- coming and going -----------------------------------------------------------------------------------

    def find(self, name: str) -> User | None:
        """Who is here under a name, in any capitals."""
        lower = name.lower()
        return next((user for user in self.users if user.name and user.lower == lower), None)

    def part(self, user: User) -> None:
        """Somebody's connection ended."""
        self.users.remove(user)
        user.room = None
        if user.away_timer is not None:
            user.away_timer.cancel()
        self.note(f"[login] {user.cloaked} ({user.name}) disconnected.")
        if user.name:
            self.broadcast("userLeave", {"name": user.name})
        for part in self.parts:
            part.left(user)
        self.usercount()

    def set_rank_of(self, user: User, rank: float, *, list_first: bool = False) -> None:
        """Change the rank of somebody here. Who becomes or was a moderator gets the user list anew."""
        before, user.rank = user.rank, rank
        crossed = user.room is self and any((before >= limit) != (rank >= limit) for limit in (2, 255))
        if crossed and list_first:
            self.tell_userlist(user)
        user.tell("rank", rank)
        if crossed and not list_first:
            self.tell_userlist(user)

    def tell_userlist(self, user: User) -> None:
        """Tell one user who is here."""
        level = user.level()
        user.tell("userlist", [each.packed(level) for each in self.users if each.name])

    def _tell_usercount(self) -> None:
        self.broadcast("usercount", len(self.users))

    # --- events from users ----------------------------------------------------------------------------------

    def receive(self, user: User, name: str, data: Any) -> Any:
        """Answer an event from somebody in the room: the acknowledgement, or `NOT_ACKED`."""
        answer = self._answers.get(name)
        if answer is None:
            return NOT_ACKED
        shape = self._shapes.get(name)
        if shape is not None and (wrong := complaint(data, shape)):
            user.tell("errorMsg", {"msg": f"Unexpected error for message {name}: {wrong}"})
            return NOT_ACKED
        reply = answer(user, data)
        return NOT_ACKED if reply is None else reply

    def media_changed(self) -> None:
        """Another medium began."""
        self.drinks.media_changed()
        self.skips.media_changed()

    def is_blacklisted(self, text: str) -> bool:
        """Whether a text names a domain that the site does not want."""
        lower = text.lower()
        return any(domain in lower for domain in self.site.blacklist)

    def set_away(self, user: User, *, away: bool) -> None:
        """Mark somebody as away or back, if that is news."""
        if user.afk != away:
            user.afk = away
            if away:
                self.skips.forget(user)
                user.tell("clearVoteskipVote")
            self.skips.count()
            self.tell_meta(user, float("-inf"))
            self.broadcast("setAFK", {"name": user.name, "afk": away})
        if not away:
            self.watch_for_away(user)

    def watch_for_away(self, user: User) -> None:
        """Count the time until somebody silent is away, from now."""
        if user.away_timer is not None:
            user.away_timer.cancel()
            user.away_timer = None
        seconds = self.options["afk_timeout"]
        if seconds > 0:
            user.away_timer = self.timers.later(seconds / self.speed, lambda: self.set_away(user, away=True))

    def _read_log(self, user: User, _: Any) -> None:
        if user.rank < 3:
            user.kick("Attempted readChanLog with insufficient permission")
        elif not self.registered:
            text = "Channel log is only available to registered channels."
            user.tell("readChanLog", {"success": False, "data": text})
        else:
            user.tell("readChanLog", {"success": True, "data": "\n".join(self.log)[-_LONGEST_LOG:]})


def _made_up(count: int, type_: str, title_length: int, first: int) -> list[Media]:
    """Items that nobody would want to watch."""
    items = []
    for index in range(first, first + count):
        title = f"Item {index} ".ljust(title_length, "x")[:title_length]
        if type_ == "cm":
            id_ = f"https://media.example.com/list/{index:05}.json"
            source = {"link": id_.replace(".json", ".mp4"), "contentType": "video/mp4", "quality": 720}
            items.append(Media(id_, title, 3600, type_, {"direct": {"720": [source]}}))
        else:
            items.append(Media(f"{index:011}", title, 3600, type_))
    return items
