"""What an address looks like in CyTube's texts, and taking it out.

CyTube tells moderators where users come from: in their user data, and also in sentences (`TestBot banned
LVe.xZQ.D0l.SSb (dave)`, `bob joined (aliases: bob,robert)`) and in the room's log. Below rank 255 it cloaks
addresses: four pieces of base64, three characters each and joined by dots for IPv4, four and colons for IPv6
(sync `src/utilities.js`, `cloakIP`; older servers left the first two pieces as they were); `*` stands for
the end of a range. This module owns finding all of them in text and in JSON. It takes out too much rather
than too little, so it is for texts that the server wrote, never for what users say.
"""

from __future__ import annotations

import re
from typing import Any

ADDRESS = "[address]"
"""What stands in a text where an address stood."""

_B64 = "[A-Za-z0-9+/]"
_V4 = rf"(?:\d{{1,3}}|{_B64}{{3}})(?:\.(?:\d{{1,3}}|{_B64}{{3}}|\*)){{3}}"
_V6_CLOAKED = rf"{_B64}{{0,4}}:{_B64}{{0,4}}(?::(?:{_B64}{{4}}|\*)){{2}}(?!:)"
_HEX = "[0-9A-Fa-f]{0,4}"
_V6 = rf"(?:{_HEX}:){{2,7}}\d{{1,3}}(?:\.\d{{1,3}}){{3}}|{_HEX}(?::{_HEX}){{2,8}}"
_FOUND = re.compile(rf"(?<![A-Za-z0-9])(?:{_V6_CLOAKED}|{_V4}|({_V6}))(?![A-Za-z0-9])")
_ALIASES = re.compile(r"[ \t]?(?:\(|&#40;)aliases:[^()&\n]*(?:\)|&#41;|$)", re.MULTILINE | re.IGNORECASE)
_SECRET_KEYS = frozenset({"ip", "ips", "realip", "displayip", "address", "aliases", "password", "pw"})
_DEPTH = 32


def _replace(match: re.Match[str]) -> str:
    """`[address]`, unless it is a time of day: up to four short numbers between single colons."""
    if match[1] is not None:
        pieces = match[1].split(":")
        shortened = "::" in match[1] and match[1].strip(":")
        if len(pieces) <= 4 and not shortened and any(len(piece) != 4 for piece in pieces):
            return match[0]
    return ADDRESS


def without_addresses(text: str) -> str:
    """`text` with each address replaced by `[address]`, and each list of aliases cut out."""
    if "liases:" in text.lower():
        text = _ALIASES.sub("", text)
    return _FOUND.sub(_replace, text) if "." in text or ":" in text else text


def log_without_addresses(text: str) -> str:
    """The same for the room's log. Its first line goes when it is not whole: half an address may stand there."""
    if not text.startswith("["):
        text = text.partition("\n")[2]
    return without_addresses(text)


def json_without_addresses(value: Any, depth: int = 0) -> Any:
    """The same for any JSON: fields that are named like a secret go. Below 32 levels there is only `None`."""
    if isinstance(value, str):
        return without_addresses(value)
    if depth == _DEPTH:
        return None
    if isinstance(value, list):
        return [json_without_addresses(one, depth + 1) for one in value]
    if isinstance(value, dict):
        return {
            without_addresses(key): json_without_addresses(one, depth + 1)
            for key, one in value.items()
            if key.lower() not in _SECRET_KEYS
        }
    return value
