"""Keeps known secrets out of texts, and control characters out of terminals.

It knows secrets by their value, however a text spells them: as they are, in JSON, as Python quotes them, in a URL.
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote, quote_plus

SHORTEST = 4
"""A secret of fewer characters is not looked for: it would tear every text apart, and protects nothing."""

MASK = "[secret]"

# C0 and C1 controls, line and paragraph separators, marks of direction, characters of no width, surrogates.
_UNSEEN = r"\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
_CONTROL = re.compile(f"[{_UNSEEN}]")
_CONTROL_BUT_LAYOUT = re.compile(f"(?![\n\t])[{_UNSEEN}]")


class Redaction:
    """A set of secrets, and the means to take them out of a text."""

    def __init__(self) -> None:
        self._spellings: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secret: str) -> None:
        """Know one more secret; of one with several lines, each long line too."""
        parts = [secret, *(line for line in secret.splitlines() if len(line) >= 2 * SHORTEST)]
        for part in parts:
            if len(part) >= SHORTEST and part not in self._spellings:
                self._spellings |= _spellings(part)
        if self._spellings:
            longest_first = sorted(self._spellings, key=len, reverse=True)
            # Backslashes before it go too: half an escape sequence would make another text of what follows.
            self._pattern = re.compile(rf"\\*(?:{'|'.join(map(re.escape, longest_first))})")

    def clear(self) -> None:
        """Know no secret."""
        self._spellings.clear()
        self._pattern = None

    def __call__(self, text: str) -> str:
        """The text with each secret replaced by `[secret]`."""
        return self._pattern.sub(MASK, text) if self._pattern else text


def visible(text: str, *, layout: bool = False) -> str:
    r"""The text with every character that a terminal obeys or hides written as `\x1b` or `\u202e`.

    With `layout`, line ends and tabs stay.
    """
    return (_CONTROL_BUT_LAYOUT if layout else _CONTROL).sub(_escape, text)


def visible_in_json(line: str) -> str:
    r"""The same for a line of JSON, which stays the same JSON: such characters stand in strings only, as `\u202e`."""
    return _CONTROL_BUT_LAYOUT.sub(lambda m: f"\\u{ord(m[0]):04x}", line)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return {9: r"\t", 10: r"\n", 13: r"\r"}.get(code) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def _spellings(secret: str) -> set[str]:
    plain = {secret, repr(secret)[1:-1], secret.replace("\\", "\\\\").replace("'", "\\'"), ascii(secret)[1:-1]}
    plain |= {repr(secret.encode("utf-8", "surrogatepass"))[2:-1]}
    plain |= {quote(secret, safe=""), quote(secret), quote_plus(secret)} if secret.isprintable() else set()
    found = set(plain)
    for spelling in plain:  # and each of them inside JSON, and inside JSON inside JSON
        for ascii_only in (False, True):
            once = json.dumps(spelling, ensure_ascii=ascii_only)[1:-1]
            twice = json.dumps(once, ensure_ascii=ascii_only)[1:-1]
            found |= {once, twice, visible(spelling), visible_in_json(once), visible_in_json(twice)}
    return found
