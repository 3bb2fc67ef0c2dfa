"""Taking a user out of an event: what is left of it, as JSON. Pure.

What the user said or did is gone. What others did stays, without the name where it stands as a name: who queued an
item, who was in the room. Lines of others that mention it stay as they are: they are theirs. Those of the server that
do go: it tells moderators who came, and from where.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

THEIRS = frozenset({"chat.message", "chat.pm", "user.joined", "user.left", "user.rank_changed"})
"""Events that go whole when they are about the user."""
_NAMES = ("username", "name", "to")
_FIELDS = frozenset((*_NAMES, "queued_by", "cleared_by", "initiator"))
"""Where a name stands as such."""


def without(kind: str, body: bytes, user: str) -> bytes | None:
    """An event without a user; `None` if nothing of it is to stay, and `body` itself if it is not about them.

    Args:
        kind: its type.
        body: the envelope as JSON.
        user: the name, in any capitals.
    """
    event: dict[str, Any] = msgspec.json.decode(body)
    data, wanted = event["data"], user.lower()
    if kind in THEIRS and any(_is(data.get(field), wanted) for field in _NAMES):
        return None
    if event["metadata"].get("server") and mentions(data["text"], user):
        return None
    cleaned = _cleaned(data, wanted)
    return body if cleaned == data else msgspec.json.encode(event | {"data": cleaned})


def mentions(text: str, user: str) -> bool:
    """Whether a user's name stands in a text as a word, in any capitals."""
    return re.search(rf"(?<![\w-]){re.escape(user)}(?![\w-])", text, re.IGNORECASE) is not None


def _is(value: Any, wanted: str) -> bool:
    return isinstance(value, str) and value.lower() == wanted


def _cleaned(value: Any, wanted: str) -> Any:
    """The value without the name: an entry of a list that has it goes, another field for names becomes empty."""
    if isinstance(value, dict):
        return {
            key: "" if key in _FIELDS and _is(inner, wanted) else _cleaned(inner, wanted)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [
            _cleaned(inner, wanted)
            for inner in value
            if not (isinstance(inner, dict) and _is(inner.get("name"), wanted))
        ]
    return value
