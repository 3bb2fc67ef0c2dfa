"""How a room looks: message of the day, style sheet and script, emotes, and the chat filters as a list."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, ClassVar

from rosey_core.testing.markup import DEFAULT_FILTERS, compile_filter, escape, sanitise
from rosey_core.testing.part import Answer, Part

if TYPE_CHECKING:
    from rosey_core.testing.room import Room
    from rosey_core.testing.users import User

_SPECIAL = re.compile(r"([\\.?+*$^|()\[\]{}])")
_DOLLAR = re.compile(r"\$(\d)")
_LONGEST = 20_000


class Style(Part):
    """Message of the day, CSS and JavaScript."""

    SHAPES: ClassVar = {
        "setMotd": {"motd": "string"},
        "setChannelCSS": {"css": "string"},
        "setChannelJS": {"js": "string"},
    }

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.motd = ""
        self.css = ""
        self.js = ""

    def answers(self) -> dict[str, Answer]:
        """Who may not is kicked."""
        return {"setMotd": self._set_motd, "setChannelCSS": self._set_css, "setChannelJS": self._set_js}

    def joined(self, user: User) -> None:
        """Style first, then the message."""
        user.tell("channelCSSJS", self._packed())
        user.tell("setMotd", self.motd)

    def _packed(self) -> dict[str, str]:
        return {"css": self.css, "cssHash": _hash(self.css), "js": self.js, "jsHash": _hash(self.js)}

    def _set_motd(self, user: User, data: dict[str, str]) -> None:
        if not self.room.permissions.can(user, "motdedit"):
            user.kick("Attempted setMotd with insufficient permission")
            return
        self.motd = sanitise(data["motd"][:_LONGEST])
        self.room.broadcast("setMotd", self.motd)
        self.room.note(f"[mod] {user.name} updated the MOTD")

    def _set_css(self, user: User, data: dict[str, str]) -> None:
        if user.rank < 3:
            user.kick("Attempted setChannelCSS as non-admin")
            return
        before, self.css = self.css, data["css"][:_LONGEST]
        self._changed(before != self.css)

    def _set_js(self, user: User, data: dict[str, str]) -> None:
        if user.rank < 3:
            user.kick("Attempted setChannelJS as non-admin")
            return
        before, self.js = self.js, data["js"][:_LONGEST]
        self._changed(before != self.js)

    def _changed(self, changed: bool) -> None:  # noqa: FBT001  private, called beside the comparison
        if changed:
            self.room.broadcast("channelCSSJS", self._packed())


class Emotes(Part):
    """The room's emotes, by name and in order."""

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.emotes: dict[str, dict[str, str]] = {}

    def add(self, name: str, image: str) -> None:
        """Put an emote in, as the server's own hand; nobody is told."""
        self.emotes[name] = _emote({"name": name, "image": image})

    def answers(self) -> dict[str, Answer]:
        """Moving is the only change that nobody hears of."""
        return {
            "updateEmote": self._update,
            "renameEmote": self._rename,
            "removeEmote": self._remove,
            "moveEmote": self._move,
            "importEmotes": self._import,
        }

    def joined(self, user: User) -> None:
        """All of them."""
        user.tell("emoteList", list(self.emotes.values()))

    def _may(self, user: User, data: Any, *keys: str) -> bool:
        return (
            isinstance(data, dict)
            and self.room.permissions.can(user, "emoteedit")
            and all(isinstance(data.get(key), str) for key in keys)
        )

    def _refuse(self, user: User, verb: str, data: dict[str, Any]) -> None:
        packed = json.dumps(data, separators=(",", ":"))
        text = f"Unable to {verb} emote '{packed}'.  Please contact an administrator for assistance."
        if not data.get("image") or not data.get("name"):
            text = "Emote names and images must not be blank."
        user.tell("errorMsg", {"msg": text, "alert": True})

    def _update(self, user: User, data: Any) -> None:
        if not self._may(user, data):
            return
        if not _is_emote(data):
            self._refuse(user, "update", data)
            return
        emote = _emote(data)
        self.emotes[emote["name"]] = emote
        self.room.broadcast("updateEmote", emote)

    def _rename(self, user: User, data: Any) -> None:
        if not self._may(user, data, "old"):
            return
        if data.get("name") in self.emotes:
            user.tell("errorMsg", {"msg": "Emote already exists.", "alert": True})
        elif not _is_emote(data):
            self._refuse(user, "rename", data)
        elif self.emotes.pop(data["old"], None) is not None:
            emote = _emote(data)
            self.emotes[emote["name"]] = emote
            self.room.broadcast("renameEmote", {"old": data["old"], **emote})

    def _remove(self, user: User, data: Any) -> None:
        if self._may(user, data, "name"):
            self.emotes.pop(data["name"], None)
            self.room.broadcast("removeEmote", {"name": data["name"]})

    def _move(self, user: User, data: Any) -> None:
        if not self._may(user, data) or not isinstance(data.get("from"), int) or not isinstance(data.get("to"), int):
            return
        emotes = list(self.emotes.values())
        if 0 <= data["from"] < len(emotes) and 0 <= data["to"] < len(emotes):
            emotes.insert(data["to"], emotes.pop(data["from"]))
            self.emotes = {emote["name"]: emote for emote in emotes}

    def _import(self, user: User, data: Any) -> None:
        if isinstance(data, list) and self.room.permissions.can(user, "emoteimport"):
            emotes = [_emote(each) for each in data if _is_emote(each)]
            self.emotes = {emote["name"]: emote for emote in emotes}
            self.room.broadcast("emoteList", list(self.emotes.values()))


class Filters(Part):
    """The room's chat filters, in order. What they do to text is `markup`'s."""

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.filters: list[dict[str, Any]] = [dict(item) for item in DEFAULT_FILTERS] if room.registered else []

    def answers(self) -> dict[str, Answer]:
        """Only those who may edit filters hear of them."""
        return {
            "requestChatFilters": self._request,
            "addFilter": self._add,
            "updateFilter": self._update,
            "removeFilter": self._remove,
            "moveFilter": self._move,
            "importFilters": self._import,
        }

    def _may(self, user: User, data: Any) -> bool:
        return isinstance(data, dict) and self.room.permissions.can(user, "filteredit")

    def _tell(self, name: str, *args: Any) -> None:
        self.room.tell_those_who_can("filteredit", name, *args)

    def _request(self, user: User, _: Any) -> None:
        if self.room.permissions.can(user, "filteredit"):
            user.tell("chatFilters", self.filters)

    def _read(self, user: User, data: Any) -> dict[str, Any] | None:
        """The filter in a payload; tells the user what is wrong with its expression."""
        item = _filter(data)
        if item is None:
            return None
        try:
            compile_filter(item)
        except re.error as error:
            reason = str(error).partition(",")[0]
            user.tell("errorMsg", {"msg": f"Invalid regex: {reason}", "alert": True})
            return None
        return item

    def _index(self, name: object) -> int | None:
        return next((index for index, item in enumerate(self.filters) if item["name"] == name), None)

    def _add(self, user: User, data: Any) -> None:
        if not self._may(user, data) or (item := self._read(user, data)) is None:
            return
        if self._index(item["name"]) is not None:
            text = f"Filter add failed: Filter '{item['name']}' already exists.  Please choose a different name"
            user.tell("errorMsg", {"msg": text, "alert": True})
            return
        self.filters.append(item)
        user.tell("addFilterSuccess")
        self._tell("updateChatFilter", item)

    def _update(self, user: User, data: Any) -> None:
        if not self._may(user, data) or (item := self._read(user, data)) is None:
            return
        index = self._index(item["name"])
        if index is None:
            text = f"Filter update failed: Filter to be updated does not exist: {item['name']}"
            user.tell("errorMsg", {"msg": text, "alert": True})
            return
        self.filters[index] = item
        self._tell("updateChatFilter", item)

    def _remove(self, user: User, data: Any) -> None:
        if self._may(user, data) and isinstance(data.get("name"), str):
            self.filters = [item for item in self.filters if item["name"] != data["name"]]
            self._tell("deleteChatFilter", {"name": data["name"]})

    def _move(self, user: User, data: Any) -> None:
        if self._may(user, data) and isinstance(data.get("from"), int) and isinstance(data.get("to"), int):
            size = len(self.filters)
            if 0 <= data["from"] < size and 0 <= data["to"] < size:
                self.filters.insert(data["to"], self.filters.pop(data["from"]))

    def _import(self, user: User, data: Any) -> None:
        if isinstance(data, list) and self.room.permissions.can(user, "filterimport"):
            found = (self._read(user, each) for each in data)
            self.filters = [item for item in found if item is not None]
            self._tell("chatFilters", self.filters)


def _hash(text: str) -> str:
    return b64encode(hashlib.md5(text.encode(), usedforsecurity=False).digest()).decode()


def _is_emote(data: Any) -> bool:
    return (
        isinstance(data, dict)
        and all(isinstance(data.get(key), str) for key in ("name", "image"))
        and all(data[key] for key in ("name", "image"))
    )


def _emote(data: dict[str, Any]) -> dict[str, str]:
    """An emote as CyTube tells it; `source` is JavaScript's pattern for it."""
    name = data["name"]
    loose = escape(name).replace("&#40;", "(").replace("&#41;", ")")
    plain = _SPECIAL.sub(r"\\\1", loose)
    return {"name": name, "image": escape(data["image"][:1000]), "source": rf"(^|\s){plain}(?!\S)"}


def _filter(data: Any) -> dict[str, Any] | None:
    r"""A filter as CyTube keeps it: JavaScript's `$1` becomes PCRE's `\1`."""
    if not isinstance(data, dict) or not all(
        isinstance(data.get(key), str) for key in ("source", "flags", "replace")
    ):
        return None
    return {
        "name": data["name"] if isinstance(data.get("name"), str) else data["source"],
        "source": data["source"],
        "replace": _DOLLAR.sub(r"\\\1", data["replace"][:1000]),
        "flags": data["flags"][:4],
        "active": bool(data.get("active")),
        "filterlinks": bool(data.get("filterlinks")),
    }
