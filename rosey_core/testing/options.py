"""A room's options: what they begin with, and what CyTube says when somebody sets them wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rosey_core.testing.part import Answer, Part
from rosey_core.testing.payloads import parse_number, parse_whole, tidy, type_name

if TYPE_CHECKING:
    from rosey_core.testing.room import Room
    from rosey_core.testing.users import User

_FLAGS = ("allow_voteskip", "chat_antiflood", "enable_link_regex", "allow_dupes")
_ADMIN_FLAGS = ("show_public", "torbanned", "block_anonymous_users", "allow_ascii_control")


def defaults(title: str) -> dict[str, Any]:
    """What a room begins with, in CyTube's order (CyTube 3.86, seen on a running server)."""
    return {
        "allow_voteskip": True,
        "voteskip_ratio": 0.5,
        "afk_timeout": 600,
        "pagetitle": title,
        "maxlength": 0,
        "externalcss": "",
        "externaljs": "",
        "chat_antiflood": False,
        "chat_antiflood_params": {"burst": 4, "sustained": 1, "cooldown": 4},
        "show_public": False,
        "enable_link_regex": True,
        "password": False,
        "allow_dupes": False,
        "torbanned": False,
        "block_anonymous_users": False,
        "allow_ascii_control": False,
        "playlist_max_per_user": 0,
        "new_user_chat_delay": 0,
        "new_user_chat_link_delay": 0,
        "playlist_max_duration_per_user": 0,
    }


class Options(Part):
    """The options and their setting. Values are as CyTube sends them: the password is clear text, or `False`."""

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.values = defaults(room.name)

    def answers(self) -> dict[str, Answer]:
        """Only one event sets options."""
        return {"setOptions": self._set}

    def joined(self, user: User) -> None:
        """Everybody hears all of them, the password too."""
        user.tell("channelOpts", self.values)

    def change(self, values: dict[str, Any]) -> None:
        """Set options as the server's own hand, and tell everybody."""
        self.values |= values
        self.room.broadcast("channelOpts", self.values)

    def _set(self, user: User, data: Any) -> None:
        if not isinstance(data, dict):
            return
        if user.rank < 2:
            user.kick("Attempted setOptions as a non-moderator")
            return
        checks = self._checks(user)
        changed = False
        for key, check in checks.items():
            if key in data:
                changed = check(data[key]) or changed
        self.room.note(f"[mod] {user.name} updated channel options")
        if changed:
            self.room.broadcast("channelOpts", self.values)

    def _checks(self, user: User) -> dict[str, Callable[[Any], bool]]:
        """What this user may set, in the order in which CyTube looks; each says whether it was taken."""
        admin = user.rank >= 3
        table: dict[str, Callable[[Any], bool]] = {
            "voteskip_ratio": lambda value: self._ratio(user, value),
            "afk_timeout": lambda value: self._away(user, value),
            "maxlength": lambda value: self._put("maxlength", max(0, _clock_time(value))),
            "playlist_max_duration_per_user": lambda value: self._longest(user, value),
            "chat_antiflood_params": self._antiflood,
        }
        table |= {key: lambda value, key=key: self._put(key, bool(value)) for key in _FLAGS}  # type: ignore[misc] # mypy can't type a default in a lambda
        table |= {
            key: lambda value, key=key: self._delay(key, value)  # type: ignore[misc] # the same
            for key in ("new_user_chat_delay", "new_user_chat_link_delay")
        }
        if admin:
            table |= {key: lambda value, key=key: self._put(key, bool(value)) for key in _ADMIN_FLAGS}  # type: ignore[misc] # the same
            table |= {
                "pagetitle": lambda value: self._put("pagetitle", str(value)[:100]),
                "externalcss": lambda value: self._link(user, "externalcss", "CSS", value),
                "externaljs": lambda value: self._link(user, "externaljs", "JS", value),
                "password": lambda value: self._put("password", str(value)[:100] or False),
                "playlist_max_per_user": lambda value: self._delay("playlist_max_per_user", parse_whole(value)),
            }
        return {key: table[key] for key in self.values if key in table}

    def _put(self, key: str, value: Any) -> bool:
        self.values[key] = value
        return True

    def _ratio(self, user: User, value: Any) -> bool:
        ratio = parse_number(value)
        if ratio is None or ratio < 0:
            text = f'Input must be a number 0 or greater, not "{value}"'
            user.tell("validationError", {"target": "#cs-voteskip_ratio", "message": text})
            return False
        user.tell("validationPassed", {"target": "#cs-voteskip_ratio"})
        return self._put("voteskip_ratio", ratio)

    def _away(self, user: User, value: Any) -> bool:
        seconds = parse_whole(value)
        if seconds is None or not 0 <= seconds <= 86400:
            text = "AFK timeout must be between 1 and 86400 seconds (or 0 to disable)"
            user.tell("validationError", {"target": "#cs-afk_timeout", "message": text})
            return False
        user.tell("validationPassed", {"target": "#cs-afk_timeout"})
        same = self.values["afk_timeout"] == seconds
        self._put("afk_timeout", seconds)
        if not same:
            for each in self.room.users:
                self.room.watch_for_away(each)
        return True

    def _longest(self, user: User, value: Any) -> bool:
        if type_name(value) != "number" or value < 0:
            text = f'Expected number for playlist_max_duration_per_user, not "{value}"'
            user.tell("errorMsg", {"msg": text})
            return False
        return self._put("playlist_max_duration_per_user", value)

    def _delay(self, key: str, value: Any) -> bool:
        number = parse_number(value)
        return number is not None and number >= 0 and self._put(key, number)

    def _antiflood(self, value: Any) -> bool:
        wanted = value if isinstance(value, dict) else {"burst": 4, "sustained": 1}
        burst = parse_whole(wanted.get("burst"))
        sustained = parse_number(wanted.get("sustained"))
        burst = min(20, 1 if burst is None or burst < 0 else burst)
        sustained = min(10, 1 if sustained is None or sustained <= 0 else sustained)
        cooldown = tidy(burst / sustained)
        return self._put("chat_antiflood_params", {"burst": burst, "sustained": sustained, "cooldown": cooldown})

    def _link(self, user: User, key: str, what: str, value: Any) -> bool:
        prefix = f"Invalid URL for external {what}: "
        wrong = ""
        link = value[:255].strip() if isinstance(value, str) else ""
        if not isinstance(value, str):
            wrong = f"{prefix}URL must be a string, not {type_name(value)}"
        elif link and not link.lower().startswith("https:"):
            wrong = f"{prefix} URL must begin with 'https://'"
        if wrong:
            user.tell("validationError", {"target": f"#cs-{key}", "message": wrong})
            return False
        user.tell("validationPassed", {"target": f"#cs-{key}"})
        changed = bool(link) or self.values[key] != ""
        self._put(key, link)
        return changed


def _clock_time(value: Any) -> int:
    """Seconds out of a number or out of `H:MM:SS`; 0 where there are none."""
    if not isinstance(value, str):
        return parse_whole(value) or 0
    parts = value.split(":")[::-1]
    numbers = [parse_whole(part) for part in parts]
    if len(parts) > 3 or None in numbers:
        return 0
    return sum(number * 60**index for index, number in enumerate(numbers) if number is not None)
