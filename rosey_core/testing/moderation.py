"""What moderators of a room can do to others: mute, kick, ban, and change ranks.

The sentences are CyTube's (3.86, seen on a running server). Bans are rows: `*` in place of an address bans the name
alone, and a row with an address bans its name as well, because CyTube's check of names ignores the address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rosey_core.testing.part import Answer, Part
from rosey_core.testing.payloads import parse_whole
from rosey_core.testing.users import VALID_NAME, cloak

if TYPE_CHECKING:
    from rosey_core.testing.room import Room
    from rosey_core.testing.users import User

_TOO_HIGH = (
    "Updating user rank failed: You can't promote someone to a rank equal or higher than yourself, or demote them to "
    "below rank 1."
)
_EQUAL_HERE = (
    "Updating user rank failed: You can't promote or demote someone who has equal or higher rank than yourself"
)
_EQUAL_AWAY = "Updating user rank failed: You can't promote or demote someone with equal or higher rank than you."


@dataclass(slots=True)
class Ban:
    """One row of the ban list."""

    id: int
    ip: str
    name: str
    reason: str
    banned_by: str

    def packed(self, *, plain: bool) -> dict[str, Any]:
        """What moderators are told."""
        return {
            "id": self.id,
            "ip": self.ip if plain else cloak(self.ip),
            "name": self.name,
            "reason": self.reason,
            "bannedby": self.banned_by,
        }


class Moderation(Part):
    """Mutes, kicks, bans, ranks.

    Attributes:
        ranks: the room's ranks, by lower-case name: the name as it was typed, and the rank.
        bans: the rows, oldest first.
    """

    SHAPES: ClassVar = {
        "setChannelRank": {"name": "string", "rank": "number"},
        "unban": {"id": "number", "name": "string"},
    }

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.ranks: dict[str, tuple[str, float]] = {}
        self.bans: list[Ban] = []
        self._muted: set[str] = set()
        self._shadow_muted: set[str] = set()
        room.chat.add_commands(
            {
                "mute": lambda user, line: self._mute(user, line, shadow=False),
                "smute": lambda user, line: self._mute(user, line, shadow=True),
                "unmute": self._unmute,
                "unsmute": self._unmute,
                "kick": self._kick,
                "kickanons": self._kick_anonymous,
                "ban": self._ban,
                "ipban": self._ban_addresses,
                "banip": self._ban_addresses,
                "rank": self._rank,
            }
        )

    def answers(self) -> dict[str, Answer]:
        """What has an event of its own; the rest are chat commands."""
        return {
            "setChannelRank": lambda user, data: self._change_rank(user, data["name"], data["rank"], data),
            "requestChannelRanks": self._show_ranks,
            "requestBanlist": self._show_bans,
            "unban": self._unban,
        }

    # --- mutes ----------------------------------------------------------------------------------------------

    def mute_again(self, user: User) -> None:
        """Somebody took a name that is muted here."""
        user.shadow_muted = user.lower in self._shadow_muted
        user.muted = user.shadow_muted or user.lower in self._muted
        if user.muted:
            self.room.tell_meta(user, self._mute_rank())

    def _mute_rank(self) -> float:
        return self.room.permissions.nodes.get("mute", float("inf"))

    def _target(self, user: User, line: str) -> tuple[User | None, str]:
        """The user that a mute command names, and the sentence if there is none."""
        command, _, rest = line.partition(" ")
        name = rest.split(" ")[0].lower()
        if not rest:
            return None, f"{command} requires a target name"
        target = self.room.find(name)
        if target is None:
            return None, f"{command} target {name} not present in channel."
        if target.rank >= user.rank or target.global_rank > user.global_rank:
            return None, f"{command} failed - {target.name} has equal or higher rank than you."
        return target, ""

    def _mute(self, user: User, line: str, *, shadow: bool) -> None:
        if not self.room.permissions.can(user, "mute"):
            return
        target, wrong = self._target(user, line)
        if target is None:
            user.tell("errorMsg", {"msg": wrong})
            return
        target.muted = True
        target.shadow_muted = shadow or target.shadow_muted
        (self._shadow_muted if shadow else self._muted).add(target.lower)
        self.room.tell_meta(target, self._mute_rank() if shadow else float("-inf"))
        verb = "shadowmuted" if shadow else "muted"
        self.room.chat.whisper(f"{user.name} {verb} {target.name}", self._mute_rank())

    def _unmute(self, user: User, line: str) -> None:
        if not self.room.permissions.can(user, "mute"):
            return
        target, wrong = self._target(user, line)
        if target is None:
            user.tell("errorMsg", {"msg": wrong})
            return
        if not target.muted:
            user.tell("errorMsg", {"msg": f"{target.name} is not muted."})
            return
        target.muted = target.shadow_muted = False
        self._muted.discard(target.lower)
        self._shadow_muted.discard(target.lower)
        self.room.chat.whisper(f"{user.name} unmuted {target.name}", self._mute_rank())
        self.room.tell_meta(target, float("-inf"))

    # --- kicks ----------------------------------------------------------------------------------------------

    def _kick(self, user: User, line: str) -> None:
        if not self.room.permissions.can(user, "kick"):
            return
        _, _, rest = line.partition(" ")
        name, _, reason = rest.partition(" ")
        if not name:
            text = "No kick target specified.  If you're trying to kick anonymous users, use /kickanons"
            user.tell("errorMsg", {"msg": text})
            return
        target = self.room.find(name)
        if target is None:
            return
        if target.rank >= user.rank or target.global_rank > user.global_rank:
            user.tell("errorMsg", {"msg": f"You do not have permission to kick {target.name}"})
            return
        target.kick(reason)
        self.room.note(f"[mod] {user.name} kicked {target.name} ({reason})")
        self.room.chat.whisper(f"{user.name} kicked {target.name}", 2)

    def _kick_anonymous(self, user: User, _: str) -> None:
        if self.room.permissions.can(user, "kick"):
            for each in tuple(self.room.users):
                if not each.name:
                    each.kick("anonymous user")
            self.room.chat.whisper(f"{user.name} kicked anonymous users", 2)

    # --- bans -----------------------------------------------------------------------------------------------

    def is_banned(self, name: str, ip: str = "") -> bool:
        """Whether a name or an address may not come in."""
        lower = name.lower()
        return any((name and ban.name.lower() == lower) or (ip and ban.ip == ip) for ban in self.bans)

    def add_ban(self, name: str, reason: str, banned_by: str, ip: str = "*") -> None:
        """Add a row; nobody is kicked."""
        self.bans.append(Ban(self.room.site.next_ban(), ip, name.lower(), reason[:255], banned_by))

    def _ban(self, user: User, line: str) -> None:
        _, _, rest = line.partition(" ")
        name, _, reason = rest.partition(" ")
        if not name:
            user.tell("errorMsg", {"msg": "No ban target specified."})
        elif self._may_ban(user, name.lower()):
            if self.is_banned(name):
                user.tell("errorMsg", {"msg": f"{name.lower()} is already banned"})
            else:
                self._ban_name(user, name.lower(), reason)

    def _may_ban(self, user: User, name: str) -> bool:
        wrong = ""
        if not self.room.permissions.can(user, "ban"):
            wrong = "You do not have ban permissions on this channel"
        elif name == user.lower:
            user.tell("costanza", {"msg": "You can't ban yourself"})
            wrong = "You cannot ban yourself"
        elif not VALID_NAME.fullmatch(name):
            wrong = "Invalid username"
        elif self.rank_of(name) >= user.rank:
            wrong = f"You don't have permission to ban {name}"
        if wrong:
            user.tell("errorMsg", {"msg": wrong})
        return not wrong

    def _ban_rank(self) -> float:
        return self.room.permissions.nodes.get("ban", float("inf"))

    def _ban_name(self, user: User, name: str, reason: str) -> None:
        self.add_ban(name, reason, user.name)
        self.room.chat.whisper(f"{user.name} namebanned {name}", self._ban_rank())
        self._kick_banned(name, "")

    def _ban_addresses(self, user: User, line: str) -> None:
        _, _, rest = line.partition(" ")
        name, _, reason = rest.partition(" ")
        if not name:
            user.tell("errorMsg", {"msg": "No ban target specified."})
            return
        name = name.lower()
        kind, _, rest = reason.partition(" ")
        keep = {"range": 3, "wrange": 2}.get(kind, 4)
        if keep < 4:
            reason = rest
        if not self._may_ban(user, name):
            return
        was_banned = self.is_banned(name)
        for ip in dict.fromkeys(".".join(each.split(".")[:keep]) for each in self.room.site.addresses_of(name)):
            if self.is_banned("", ip):
                user.tell("errorMsg", {"msg": f"{cloak(ip)} is already banned"})
                continue
            self.add_ban(name, reason, user.name, ip)
            self.room.chat.whisper(f"{user.name} banned {cloak(ip)} ({name})", self._ban_rank())
            self._kick_banned(name, ip)
        if not was_banned:
            self._ban_name(user, name, reason)

    def _kick_banned(self, name: str, ip: str) -> None:
        for each in tuple(self.room.users):
            if each.lower == name or (ip and each.ip == ip):
                each.kick("You're banned!")

    def _show_bans(self, user: User, _: Any) -> None:
        if self.room.registered and self.room.permissions.can(user, "ban"):
            user.tell("banlist", [ban.packed(plain=user.rank >= 255) for ban in self.bans])

    def _unban(self, user: User, data: dict[str, Any]) -> None:
        if self.room.registered and self.room.permissions.can(user, "ban"):
            self.bans = [ban for ban in self.bans if ban.id != data["id"]]
            self.room.tell_those_who_can("ban", "banlistRemove", data)
            self.room.chat.whisper(f"{user.name} unbanned {data['name']}", self._ban_rank())

    # --- ranks ----------------------------------------------------------------------------------------------

    def rank_of(self, name: str) -> float:
        """The rank that counts for a name here, online or not: the higher of the site's and the room's."""
        account = self.room.site.account(name)
        site = account.rank if account is not None else 0
        return max(site, self.ranks.get(name.lower(), ("", 1))[1])

    def keep_rank(self, name: str, rank: float) -> None:
        """Write a rank into the room's list; 1 is no row."""
        if rank == 1:
            self.ranks.pop(name.lower(), None)
        else:
            self.ranks[name.lower()] = (name, rank)

    def promote(self, user: User, name: str, rank: float) -> None:
        """Give somebody who is here another rank, and tell; `name` is told as it was typed."""
        self.room.set_rank_of(user, max(user.global_rank, rank), list_first=True)
        self.room.broadcast("setUserRank", {"name": name, "rank": rank})

    def _rank(self, user: User, line: str) -> None:
        words = line.split(" ")[1:]
        rank = parse_whole(words[1]) if len(words) > 1 else None
        if not words or not words[0] or rank is None:
            text = "Syntax: /rank <username> <rank>.  <rank> must be a positive integer > 1"
            user.tell("noflood", {"action": "/rank", "msg": text})
            return
        self._change_rank(user, words[0], rank, {"name": words[0], "rank": rank})

    def _change_rank(self, user: User, typed: str, rank: float, data: dict[str, Any]) -> None:
        if user.rank < 3:
            return
        name = typed[:20].lower()
        same_owner = user.rank == 4
        wrong = ""
        if not VALID_NAME.fullmatch(name):
            wrong = f"Invalid target name {typed}"
        elif rank < 1 or (rank >= user.rank and not (same_owner and rank == 4)):
            wrong = _TOO_HIGH
        elif name == user.lower:
            wrong = "Updating user rank failed: You can't promote or demote yourself."
        elif not self.room.registered:
            wrong = (
                "Updating user rank failed: in an unregistered channel, a user must be online in the channel in "
                "order to have their rank changed."
            )
        if wrong:
            user.tell("channelRankFail", {"msg": wrong})
            return
        target = self.room.find(name)
        current = max(target.global_rank, target.rank) if target is not None else self.rank_of(name)
        if current >= user.rank and not (same_owner and current == 4):
            user.tell("channelRankFail", {"msg": _EQUAL_AWAY if target is None else _EQUAL_HERE})
            return
        if target is None:
            self.keep_rank(typed, rank)
            self.room.broadcast("setUserRank", data | {"userrank": user.rank})
            self.room.chat.whisper(f"{user.name} set {typed}'s rank to {rank:g}", 3)
            return
        self.promote(target, typed, rank)
        if target.account is None:
            text = (
                "The user you promoted is not a registered account.  Any rank changes are temporary and not stored "
                "in the database."
            )
            user.tell("channelRankFail", {"msg": text})
        else:
            self.keep_rank(typed, rank)

    def _show_ranks(self, user: User, _: Any) -> None:
        if self.room.registered and user.rank >= 3:
            rows = sorted(self.ranks.values(), key=lambda row: -row[1])
            told = [{"name": name, "rank": rank, "channel": self.room.name} for name, rank in rows]
            user.tell("channelRanks", told)
