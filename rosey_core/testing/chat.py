"""A room's chat: lines, private messages, their limits, and the commands that are typed as lines.

The order of the checks is CyTube's (3.86; sync `src/channel/chat.js`), since it decides what a client hears: a line
is cut, cleaned and, if it is a drink, counted before its limit is looked at, and a command that says something
(`/me`, `/sp`, `/say`) comes to the limit twice. How text becomes HTML is `markup`'s; kicking and muting are
`moderation`'s.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from rosey_core.testing.markup import LINK, render
from rosey_core.testing.part import Answer, Part
from rosey_core.testing.payloads import cut, tidy
from rosey_core.testing.users import VALID_NAME

if TYPE_CHECKING:
    from rosey_core.testing.room import Room
    from rosey_core.testing.users import User

LONGEST_LINE = 320
"""UTF-16 units of a line; the rest is cut off without a word."""

HISTORY = 15
"""How many lines a newcomer hears."""

_ALWAYS = {"burst": 20, "sustained": 10, "cooldown": 2}
_CONTROL = re.compile(r"[\x00-\x1f]+")
_DRINK = re.compile(r"/d(-?[0-9]*)")
_WHISPER = {"addClass": "server-whisper", "addClassToNameAndTimestamp": True}


class Line(NamedTuple):
    """A line that was accepted: who, what they typed (after CyTube's cut and cleaning), as HTML, when."""

    name: str
    text: str
    html: str
    time_ms: int


Command = Callable[["User", str, dict[str, Any]], None]


class Chat(Part):
    """Lines and private messages.

    Attributes:
        history: the last lines, as they were sent.
        lines: every line that was accepted since the room began.
        dropped: how many `cooldown`s each name got.
    """

    SHAPES: ClassVar = {
        "chatMsg": {"msg": "string", "meta": "object,optional"},
        "pm": {"msg": "string", "to": "string", "meta": "object,optional"},
    }

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.history: deque[dict[str, Any]] = deque(maxlen=HISTORY)
        self.lines: list[Line] = []
        self.dropped: Counter[str] = Counter()
        self._commands: dict[str, Command] = {
            "me": lambda user, line, meta: self._say(user, line, meta | {"addClass": "action", "action": True}),
            "sp": lambda user, line, meta: self._say(user, line, meta | {"addClass": "spoiler"}),
            "say": self._shout,
            "rcv": self._shout,
            "shout": self._shout,
            "a": self._administrator,
            "afk": lambda user, _line, _meta: room.set_away(user, away=not user.afk),
            "clear": self._clear,
            "poll": lambda user, line, _: room.polls.command(user, line),
            "hpoll": lambda user, line, _: room.polls.command(user, line),
            "clean": lambda user, line, _: room.playlist.clean(user, line),
            "cleantitle": lambda user, line, _: room.playlist.clean(user, line),
        }

    def answers(self) -> dict[str, Answer]:
        """Lines and private messages."""
        return {"chatMsg": self._chat, "pm": self._pm}

    def add_commands(self, commands: dict[str, Callable[[User, str], None]]) -> None:
        """Take commands of another part; each gets the user and the whole line."""
        self._commands |= {
            name: lambda user, line, _, command=command: command(user, line)  # type: ignore[misc] # mypy can't type a default in a lambda
            for name, command in commands.items()
        }

    def is_command(self, line: str) -> bool:
        """Whether CyTube does something for a line that begins with a slash, and does not merely say it."""
        word = line.partition(" ")[0]
        return word[1:] in self._commands or _DRINK.fullmatch(word) is not None

    def joined(self, user: User) -> None:
        """The history: original times, and nothing that says so."""
        for line in self.history:
            user.tell("chatMsg", line)

    def whisper(self, text: str, least_rank: float) -> None:
        """A `[server]` line for those of a rank; it is not kept."""
        line = {"username": "[server]", "msg": text, "meta": _WHISPER, "time": self.room.timers.wall_ms()}
        self.room.tell_where(lambda user: user.rank >= least_rank, "chatMsg", line)

    def say_as(self, name: str, text: str, meta: dict[str, Any] | None = None) -> None:
        """Say a line as anybody, past all limits, as the server's own hand."""
        self._publish(name, text, self._message(name, text, dict(meta or {})))

    def remember(self, name: str, text: str, time_ms: int) -> None:
        """Put a line into the history as if it had been said at `time_ms`."""
        self.history.append(self._message(name, text, {}) | {"time": time_ms})

    # --- lines ----------------------------------------------------------------------------------------------

    def _chat(self, user: User, data: dict[str, Any]) -> None:
        if not self.room.permissions.can(user, "chat"):
            return
        text = cut(data["msg"], LONGEST_LINE)
        if self._is_too_new(user, text):
            return
        if not self.room.options["allow_ascii_control"]:
            text = _CONTROL.sub(" ", text)
        if not text.strip() or not user.name:
            return
        meta: dict[str, Any] = {}
        flair = data.get("meta", {}).get("modflair")
        if user.rank >= 2 and flair == user.rank:
            meta["modflair"] = flair
        if drink := self._drink(user, text, meta):
            text = drink
        elif drink is not None:
            return
        self._process(user, text, meta)

    def _is_too_new(self, user: User, text: str) -> bool:
        """Whether the room keeps newcomers from saying this; they are told."""
        if user.rank >= 2:
            return False
        age = (self.room.timers.wall_ms() - user.since_ms) / 1000
        reason = ""
        if age < self.room.options["new_user_chat_delay"]:
            reason = "NEW_USER_CHAT"
        elif age < self.room.options["new_user_chat_link_delay"] and LINK.search(text):
            reason = "NEW_USER_CHAT_LINK"
        if reason:
            user.tell("spamFiltered", {"reason": reason})
        return bool(reason)

    def _drink(self, user: User, text: str, meta: dict[str, Any]) -> str | None:
        """The line that a drink becomes; empty if it says nothing more; `None` for lines that are no drink."""
        match = _DRINK.match(text)
        if match is None or not self.room.permissions.can(user, "drink"):
            return None
        count = 1
        rest = text[match.end() :].strip() + " drink!"
        if match[1].lstrip("-"):
            count = int(match[1])
            if not -10_000 <= count <= 10_000:
                return ""
            said = text[match.end() :].strip()
            rest = f"{said} drink! (x{count})" if said or count > 0 else ""
        self.room.drinks.add(count)
        meta |= {"addClass": "drink", "forceShowName": True}
        return rest

    def _process(self, user: User, text: str, meta: dict[str, Any]) -> None:
        if self.room.is_blacklisted(text):
            user.kick(None)
            self.whisper(f"{user.name} was kicked: blacklisted domain in chat message", 2)
            return
        if "/afk" not in text:
            self.room.set_away(user, away=False)
        limit = _ALWAYS
        if self.room.options["chat_antiflood"] and user.rank < 2:
            limit = self.room.options["chat_antiflood_params"]
        if self._is_too_fast(user, limit):
            return
        if text.startswith(">"):
            meta["addClass"] = "greentext"
        if text.startswith("/"):
            command = self._commands.get(text[1:].partition(" ")[0])
            if command is not None:
                command(user, text, meta)
                return
        message = self._message(user.name, text, meta)
        if user.shadow_muted:
            self.room.tell_where(lambda each: each.shadow_muted or not each.name, "chatMsg", message)
            marked = message | {"meta": meta | {"shadow": True}}
            self.room.tell_where(lambda each: each.rank >= 2, "chatMsg", marked)
        elif user.muted:
            user.tell("noflood", {"action": "chat", "msg": "You have been muted on this channel."})
        else:
            self._publish(user.name, text, message)

    def _is_too_fast(self, user: User, limit: Mapping[str, float]) -> bool:
        """Count one line or PM; if it is too much, the user is told how long to wait (in ms), not what was lost."""
        now = self.room.timers.now()
        if not user.chat_limit.refuses(now, limit["burst"], limit["sustained"], limit["cooldown"]):
            return False
        self.dropped[user.name] += 1
        user.tell("cooldown", tidy(1000 / limit["sustained"]))
        return True

    def _message(self, name: str, text: str, meta: dict[str, Any]) -> dict[str, Any]:
        html = render(text, self.room.filters.filters, links=bool(self.room.options["enable_link_regex"]))
        return {"username": name, "msg": html, "meta": meta, "time": self.room.timers.wall_ms()}

    def _publish(self, name: str, text: str, message: dict[str, Any]) -> None:
        self.room.broadcast("chatMsg", message)
        self.history.append(message)
        self.lines.append(Line(name, text, message["msg"], message["time"]))
        self.room.note(f"<{name}> {text}")

    # --- private messages -----------------------------------------------------------------------------------

    def _pm(self, user: User, data: dict[str, Any]) -> None:
        to = data["to"].lower()
        if not user.name:
            user.tell("errorMsg", {"msg": "You must be signed in to send PMs"})
            return
        if self.room.is_blacklisted(data["msg"]):
            user.kick(None)
            self.whisper(f"{user.name} was kicked: blacklisted domain in private message", 2)
            return
        if to == user.lower:
            user.tell("errorMsg", {"msg": "You can't PM yourself!"})
        elif not VALID_NAME.fullmatch(to):
            user.tell("errorMsg", {"msg": f"PM failed: {to} isn't a valid username."})
        elif not self._is_too_fast(user, _ALWAYS):
            target = self.room.find(to)
            if target is None:
                user.tell("errorMsg", {"msg": f"PM failed: {to} isn't connected to this channel."})
                return
            text = cut(data["msg"], LONGEST_LINE)
            meta = {"addClass": "greentext"} if text.startswith(">") else {}
            message = self._message(user.name, text, meta) | {"to": target.name}
            target.tell("pm", message)
            user.tell("pm", message)

    # --- commands -------------------------------------------------------------------------------------------

    def _say(self, user: User, line: str, meta: dict[str, Any]) -> None:
        self._process(user, line.partition(" ")[2], meta)

    def _shout(self, user: User, line: str, meta: dict[str, Any]) -> None:
        if user.rank >= 1.5:
            loud = {"addClass": "shout", "addClassToNameAndTimestamp": True, "forceShowName": True}
            self._say(user, line, meta | loud)

    def _administrator(self, user: User, line: str, meta: dict[str, Any]) -> None:
        if user.global_rank >= 255:
            flair = {"labelclass": "label-danger", "icon": "glyphicon-globe"}
            self._say(user, line, meta | {"superadminflair": flair, "forceShowName": True})

    def _clear(self, user: User, _line: str, _meta: dict[str, Any]) -> None:
        if self.room.permissions.can(user, "chatclear"):
            self.history.clear()
            self.room.broadcast("clearchat", {"clearedBy": user.name})
            self.whisper(f"{user.name} cleared chat.", -1)
            self.room.note(f"[mod] {user.name} used /clear")
