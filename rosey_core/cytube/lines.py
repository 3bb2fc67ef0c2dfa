"""Text made into lines that CyTube takes whole: split, and never read as a command.

CyTube 3.86 cuts a line silently behind 320 UTF-16 units, makes control characters into a space, drops what is
blank, and runs what begins with `/` (and the rest of `/me` once more). Private messages are cut too, but know
no commands. This module owns text only; what a line is for stands in `spoken`.
"""

from __future__ import annotations

import re
import unicodedata

LIMIT = 320
"""UTF-16 units in a line: CyTube's default, of what its own settings can only raise."""

MAX_LINES = 50
"""More than this is no message any more: at CyTube's pace it would fill the room for minutes."""

_NEWLINE = re.compile(r"\r\n|[\r\n]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_BLANKS = "".join(map(chr, range(33))) + (
    "\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""What JavaScript's `trim` takes away, with the control characters that CyTube makes into blanks."""
_ZERO_WIDTH_JOINER = "\u200d"


def units(text: str) -> int:
    """The length in UTF-16 units, as JavaScript counts it."""
    return len(text) + sum(char > "\uffff" for char in text)


def blank(text: str) -> bool:
    """Whether CyTube takes it for nothing."""
    return not text.strip(_BLANKS)


def sound(text: str) -> str:
    """`text` with each half of a surrogate pair joined to its other half, or replaced: JSON can't hold halves."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def tidy(text: str) -> str:
    """One line of `text`: runs of control characters and newlines are one space, blanks at the ends go."""
    return _CONTROLS.sub(" ", sound(text)).strip()


def cut(text: str, limit: int) -> str:
    """As much of `text` as fits into `limit` UTF-16 units, whole characters only."""
    return text[: _furthest(text, 0, limit)]


def split(text: str, *, lead: str = "", commands: bool = True, limit: int = LIMIT) -> list[str]:
    r"""The lines to send for `text`, each within `limit` UTF-16 units.

    Newlines end a line. A longer line breaks behind a space where it has one, else between characters; the
    space stays, so that the parts of a line, joined, are the line. There are two exceptions: parts of nothing
    but blanks are left out, because CyTube drops them, and a part that begins with `/` gets a space before it.
    A text that is blank gives no lines.

    Args:
        text: what to say.
        lead: stands before each line, such as `"/me "`.
        commands: whether CyTube would run what begins with `/`; false for private messages.
        limit: UTF-16 units in a line.
    """
    parts = []
    for line in _NEWLINE.split(sound(text)):
        start = 0
        while start < len(line):
            shield = " " if commands and line[start] == "/" else ""
            end = _break(line, start, limit - units(lead) - len(shield))
            if not blank(line[start:end]):
                parts.append(lead + shield + line[start:end])
            start = end
    return parts


def _furthest(line: str, start: int, room: int) -> int:
    """The last index up to which `line` from `start` on fits into `room` units."""
    end = start
    while end < len(line):
        room -= 2 if line[end] > "\uffff" else 1
        if room < 0:
            break
        end += 1
    return end


def _break(line: str, start: int, room: int) -> int:
    """Where to end the part that begins at `start`."""
    end = _furthest(line, start, room)
    if end == len(line):
        return end
    space = line.rfind(" ", start, end + 1)
    if space >= start and not blank(line[start:space]):
        # Before the space where a slash follows it: so nothing has to be added to the next part.
        return space if space == end or line[space + 1] == "/" else space + 1
    best = end
    while best > start and _belongs(line, best):
        best -= 1
    return best if best > start else end


def _belongs(line: str, place: int) -> bool:
    """Whether a break before the character at `place` would tear something: one visible character, or a slash."""
    before, char = line[place - 1], line[place]
    if char == "/" or _ZERO_WIDTH_JOINER in {before, char} or unicodedata.category(char) in {"Mn", "Me", "Mc"}:
        return True
    if "\U0001f3fb" <= char <= "\U0001f3ff" or "\U000e0020" <= char <= "\U000e007f":  # skin tones, flag tags
        return True
    if not _is_flag_letter(char):
        return False
    first = place
    while first > 0 and _is_flag_letter(line[first - 1]):
        first -= 1
    return (place - first) % 2 == 1


def _is_flag_letter(char: str) -> bool:
    """Whether it is one of the letters of which two are a flag."""
    return "\U0001f1e6" <= char <= "\U0001f1ff"
