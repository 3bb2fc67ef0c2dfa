"""The rules of a CyTube site outside its rooms: connections, accounts, logging in, the door of a room.

`Site` knows no network: somebody else brings connections (`connect`, `receive`, `gone`) and a `Link` for each. That
way the recorded sessions of real clients can be replayed against it in no time; `network` puts it on a port.
The texts are those of CyTube 3.86, seen on a running server.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

from rosey_core.testing.lookup import Lookup, Media
from rosey_core.testing.payloads import MISSING, NOT_ACKED, type_name
from rosey_core.testing.room import Room
from rosey_core.testing.timers import Timers
from rosey_core.testing.users import VALID_NAME, Account, Event, Link, User

VALID_ROOM = re.compile(r"[A-Za-z0-9_-]{1,30}")
"""What a room may be called (CyTube 3.86)."""

_RESERVED = re.compile(r"(.*?[-_])?(admin(istrator)?|owner)([-_].*)?", re.IGNORECASE)
_LOOKS_LIKE = str.maketrans({"0": "o", "1": "i", "l": "i"})
_YEAR_MS = 365 * 24 * 3600 * 1000
_BAD_GUEST = (
    "Invalid username.  Usernames must be 1-20 characters long and consist only of characters a-z, A-Z, 0-9, -, or _."
)
_BAD_ROOM = "Invalid channel name.  Channel names may consist of 1-30 characters in the set a-z, A-Z, 0-9, -, and _"


class Refused(Exception):  # noqa: N818  an answer, not a fault
    """The site does not take the connection; the text is what the client is told (`44`)."""


class Joined(NamedTuple):
    """Somebody entered a room at `time`, in seconds of the site's clock; the name is empty for the anonymous."""

    name: str
    room: str
    time: float


class Site:
    """Accounts, rooms and connections.

    Args:
        guest_delay: seconds between two guests of one address; CyTube has 60.
        connect_limit: whether each address has CyTube's 5 connections at once and one more each 10 s.
        most_connections: open connections of one address; CyTube has 10, 0 is no limit.
        usercount_period: seconds between two `usercount` events; CyTube has 10.
        speed: how much faster than real time things play, polls end and people go away.
        blacklist: domains for which people are kicked.
    """

    def __init__(
        self,
        timers: Timers,
        *,
        guest_delay: float = 0,
        connect_limit: bool = False,
        most_connections: int = 0,
        usercount_period: float = 10,
        speed: float = 1,
        blacklist: Iterable[str] = (),
    ) -> None:
        self.timers = timers
        self.guest_delay = guest_delay
        self.connect_limit = connect_limit
        self.most_connections = most_connections
        self.usercount_period = usercount_period
        self.speed = speed
        self.blacklist = tuple(blacklist)
        self.random = random.Random(0)  # noqa: S311  the same shuffle each time, no secret
        self.lookup = Lookup()
        self.users: list[User] = []
        self.rooms: dict[str, Room] = {}
        self.joins: list[Joined] = []
        self.banned_rooms: dict[str, str] = {}
        self.banned_addresses: set[str] = set()
        self._accounts: dict[str, Account] = {}
        self._names_of: defaultdict[str, list[str]] = defaultdict(list)
        self._buckets: dict[str, tuple[float, float]] = {}
        self._guest_times: dict[str, float] = {}
        self._announcement: dict[str, str] | None = None
        self._bans = 0

    # --- from outside ---------------------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """How many connections are open and taken."""
        return len(self.users)

    def add_account(self, name: str, password: str, global_rank: float = 1, *, age_ms: int = _YEAR_MS) -> Account:
        """Register an account; 255 makes it an administrator of the whole site."""
        account = Account(name, password, global_rank, self.timers.wall_ms() - age_ms)
        self._accounts[name.lower()] = account
        return account

    def account(self, name: str) -> Account | None:
        """The account of a name, in any capitals."""
        return self._accounts.get(name.lower())

    def save_playlist(self, owner: str, name: str, media: Iterable[Media]) -> None:
        """Give an account a saved playlist."""
        self._accounts[owner.lower()].playlists[name] = list(media)

    def room(self, name: str) -> Room:
        """The registered room of a name, which is made if it is not there."""
        lower = name.lower()
        room = self.rooms.get(lower)
        if room is None or not room.registered:
            room = self.rooms[lower] = Room(self, lower)
        return room

    def ban_room(self, name: str, reason: str) -> None:
        """Close a room for everybody, as the site's administrators can."""
        self.banned_rooms[name.lower()] = reason

    def announce(self, title: str, text: str, by: str) -> None:
        """Tell everybody on the site, and whoever connects later. `text` is HTML."""
        id_ = str(UUID(int=self.random.getrandbits(128), version=4))
        self._announcement = {"id": id_, "title": title, "text": text, "from": by}
        event = Event("announcement", (self._announcement,))
        for user in tuple(self.users):
            user.hear(event)

    def find(self, name: str) -> User:
        """Who is connected under a name. Raises `LookupError` if nobody is."""
        for user in self.users:
            if user.name and user.lower == name.lower():
                return user
        raise LookupError(f"nobody called {name!r} is connected")

    # --- connections ----------------------------------------------------------------------------------------

    def connect(self, link: Link, ip: str) -> User:
        """Take a connection. Raises `Refused`. The user hears nothing before `greet`."""
        if ip in self.banned_addresses:
            raise Refused("You are banned from the server")
        if self.connect_limit and not self._take_token(ip):
            raise Refused("Rate limit exceeded")
        user = User(link, ip, self._names_of[ip][-5:], self.timers.wall_ms(), self.gone)
        self.users.append(user)
        return user

    def greet(self, user: User) -> None:
        """The first events of a connection; too many of one address get a kick in their place."""
        if self.most_connections and sum(each.ip == user.ip for each in self.users) > self.most_connections:
            user.tell("kick", {"reason": "Too many connections from your IP address"})
            user.link.hang_up()
            self.gone(user)
            return
        user.tell("rank", -1)
        if self._announcement is not None:
            user.tell("announcement", self._announcement)

    def gone(self, user: User) -> None:
        """A connection ended, or the user was kicked; the second time changes nothing."""
        if user.gone:
            return
        user.gone = True
        user.waiting = None
        self.users.remove(user)
        room = user.room
        if room is not None:
            room.part(user)
            if not room.registered and not room.users:
                room.stop()
                del self.rooms[room.name]

    def receive(self, user: User, name: str, args: tuple[Any, ...], *, acked: bool = False) -> Any:
        """Answer an event. `acked` says that the client wants an acknowledgement.

        Returns:
            What to acknowledge with; `NOT_ACKED` for all events but one, whether the client asked or not.
        """
        data = args[0] if args else MISSING
        if user.gone:
            return NOT_ACKED
        if name == "login":
            self._login(user, data)
        elif name == "joinChannel":
            self._join(user, data)
        elif name == "initACP":
            self._open_panel(user)
        elif user.waiting is not None:
            if name == "channelPassword" and user.waiting.gate == "password":
                user.waiting.room.door.try_password(user, data)
        elif name == "borrow-rank":
            self._borrow_rank(user, data)
        elif user.room is not None:
            reply = user.room.receive(user, name, data)
            if acked or not isinstance(reply, dict):
                return reply
            if "error" in reply:
                user.tell("errorMsg", {"msg": reply["error"]["message"]})
        return NOT_ACKED

    def entered(self, room: Room, user: User) -> None:
        """Note that somebody entered a room."""
        self.joins.append(Joined(user.name, room.name, self.timers.now()))

    def next_ban(self) -> int:
        """A number for a row of a ban list."""
        self._bans += 1
        return self._bans

    def addresses_of(self, name: str) -> list[str]:
        """The addresses under which a name was seen, newest first."""
        lower = name.lower()
        return [ip for ip, names in reversed(self._names_of.items()) if any(each.lower() == lower for each in names)]

    def visited(self, ip: str, name: str) -> None:
        """Note that a name was used from an address."""
        names = self._names_of.pop(ip, [])
        self._names_of[ip] = [each for each in names if each != name] + [name]

    def _take_token(self, ip: str) -> bool:
        now = self.timers.now()
        tokens, since = self._buckets.get(ip, (5.0, now))
        tokens = min(5.0, tokens + (now - since) / 10)
        enough = tokens >= 1
        self._buckets[ip] = (tokens - 1 if enough else tokens, now)
        return enough

    # --- logging in -----------------------------------------------------------------------------------------

    def _login(self, user: User, data: Any) -> None:
        if type_name(data) not in {"object", "array", "null"}:
            user.tell("errorMsg", {"msg": "Invalid login frame"})
            return
        name = data.get("name") if isinstance(data, dict) else None
        if not isinstance(name, str) or user.name:
            return
        password = data.get("pw")
        password = password[:100] if isinstance(password, str) else ""
        wrong = self._wrong_account(name, password) if password else self._wrong_guest(user, name)
        if wrong:
            user.tell("login", {"success": False, "error": wrong})
            return
        account = self.account(name) if password else None
        told: dict[str, Any] = {"success": True, "name": account.name if account else name}
        if account is None:
            self._guest_times[user.ip] = self.timers.now()
            told["guest"] = True
        user.named(told["name"], account.rank if account else 0, account)
        user.tell("rank", user.rank)
        user.tell("login", told)
        self.visited(user.ip, user.name)
        if user.waiting is not None:
            user.waiting.room.door.named_at_door(user)
        elif user.room is not None:
            user.room.door.named(user)
        if user.asked_for_panel and not user.gone:
            self._open_panel(user)

    def _wrong_account(self, name: str, password: str) -> str:
        """Why a name and a password do not fit."""
        if not VALID_NAME.fullmatch(name):
            return f'Invalid username "{name}"'
        account = self.account(name)
        if account is None:
            return "User does not exist"
        return "" if account.password == password else "Invalid username/password combination"

    def _wrong_guest(self, user: User, name: str) -> str:
        """Why a guest may not have a name."""
        last = self._guest_times.get(user.ip, float("-inf"))
        if self.timers.now() - last < self.guest_delay:
            return f"Guest logins are restricted to one per IP address per {self.guest_delay:g} seconds."
        if not VALID_NAME.fullmatch(name):
            return _BAD_GUEST
        if _RESERVED.fullmatch(name):
            return "That username is reserved."
        looks_like = name.lower().translate(_LOOKS_LIKE)
        if any(lower.translate(_LOOKS_LIKE) == looks_like for lower in self._accounts):
            return "That username is registered."
        if user.room is not None and user.room.find(name) is not None:
            return "That name is already in use on this channel."
        return ""

    # --- doors ----------------------------------------------------------------------------------------------

    def _join(self, user: User, data: Any) -> None:
        if user.asked_to_join:
            return
        user.asked_to_join = True
        name = data.get("name") if isinstance(data, dict) else None
        if not isinstance(name, str):
            return
        if not VALID_ROOM.fullmatch(name):
            user.tell("errorMsg", {"msg": _BAD_ROOM})
            user.kick("Invalid channel name")
            return
        name = name.lower()
        if name in self.banned_rooms:
            user.kick(f"Channel could not be loaded: Channel is banned: {self.banned_rooms[name]}")
            return
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = Room(self, name, registered=False)
        room.door.knock(user, data.get("pw", MISSING))

    def _open_panel(self, user: User) -> None:
        """The site's control panel, which is asked for once and only kicks those who may not have it."""
        if not user.name:
            user.asked_for_panel = True
        elif user.global_rank < 255:
            user.kick("Attempted initACP from non privileged user.  This incident will be reported.")

    def _borrow_rank(self, user: User, data: Any) -> None:
        """An administrator of the site takes another rank in a room."""
        is_rank = type_name(data) == "number"
        if user.global_rank >= 255 and user.room is not None and is_rank and data <= user.global_rank:
            user.rank = data
            user.tell("rank", data)
            user.room.broadcast("setUserRank", {"name": user.name, "rank": data})
