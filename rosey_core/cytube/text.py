"""HTML as CyTube sends it, made into plain text: links, the kind of a line, emotes.

CyTube escapes what users type, lets the room's filters put tags around it, and makes links of addresses. So
plain text is: tags away, the text of links kept, entities decoded exactly once (a typed `&lt;` arrives as
`&amp;lt;`). CyTube 3.86 leaves only `&amp; &lt; &gt;` in chat; older deployments, and poll titles everywhere,
have `&quot; &#39; &#40; &#41;` too. This module owns that, and holds no state of the room.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import unescape
from html.parser import HTMLParser

_TAG = re.compile(r"<[^<>]*>")
# What rooms' filters put around words. Where a line has no other tag, taking these away is all that html.parser
# would do, in a tenth of its time.
_INLINE = re.compile(r"</?(?:strong|em|code|s|b|i|u|span)(?: class=\"[^\"<>]*\")?>")
_LINK = re.compile(r"\w+://[^\s<>]+", re.ASCII)
_LONG_NUMBER = re.compile(r"&#(?:\d{8,}|[xX][0-9a-fA-F]{8,});?")
_NESTED_AMP = re.compile(r"&(?:amp;)+")
_HIDDEN = frozenset({"script", "style"})
_BREAKING = frozenset({"br", "p", "div", "li", "tr", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre"})
_KINDS = {
    "action": "action",
    "greentext": "greentext",
    "spoiler": "spoiler",
    "shout": "shout",
    "drink": "drink",
    "server-whisper": "server",
}


class _Reader(HTMLParser):
    """Collects the text and the addresses of links; `gap` stands where a browser would begin a line."""

    def __init__(self, gap: str) -> None:
        super().__init__(convert_charrefs=True)
        self.gap = gap
        self.parts: list[str] = []
        self.links: list[str] = []
        self.hidden = False

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links.extend(value for name, value in attrs if name == "href" and value)
        elif tag in _BREAKING:
            self.parts.append(self.gap)
        self.hidden = tag in _HIDDEN

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002  html.parser's own signature
        self.hidden = False


def decode(text: str) -> str:
    """Entities decoded, once. A character number that nobody can mean (eight digits and more) goes away."""
    if "&" not in text:
        return text
    if "&#" in text:
        text = _LONG_NUMBER.sub("", text)
    return unescape(text)


def read(html: str, *, gap: str = " ") -> tuple[str, tuple[str, ...]]:
    """The plain text of `html`, and the addresses in it in order.

    Where there is no link, addresses are found in the text: a room can turn CyTube's making of links off.
    `gap` stands for each `<br>` and each new block. It never raises: broken HTML loses its tags some other way.
    """
    plain = _INLINE.sub("", html) if "<" in html else html
    if "<" in plain:
        reader = _Reader(gap)
        try:
            reader.feed(_LONG_NUMBER.sub("", html) if "&#" in html else html)
            reader.close()
            text = "".join(reader.parts)
        except (AssertionError, ValueError):
            # html.parser asserts on `<![x`, whatever its input; only a strange server gets here.
            text = decode(_TAG.sub("", html))
        if reader.links:
            return text, tuple(reader.links)
    else:
        text = decode(plain)
    return text, tuple(_LINK.findall(text)) if "://" in text else ()


def page(html: str) -> str:
    """The plain text of a longer piece such as the message of the day, in lines, with no blank ones around."""
    text, _ = read(html, gap="\n")
    return re.sub(r"\s*\n\s*", "\n", text).strip()


def decode_until_stable(text: str) -> str:
    """Entities decoded until none is left: CyTube escapes an emote's image again at each load of the room."""
    if "&" not in text:
        return text
    # A room loaded a hundred times has `&amp;amp;amp;...`: take such a run as one step, not a hundred.
    text = _NESTED_AMP.sub("&", text)
    while (decoded := decode(text)) != text:
        text = decoded
    return text


def kind(add_class: str | None, *, action: bool, server: bool) -> str:
    """The kind of a line: `/me` has `action` (its text has no `/me`); system names speak as `server`."""
    if server:
        return "server"
    if action:
        return "action"
    return _KINDS.get(add_class, "say") if add_class else "say"


class EmoteNames:
    """The names that the room shows as pictures, and finding them in plain text.

    As in CyTube's own page, a name counts where blanks or the ends of the line stand around it.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._words: set[str] = set()
        self._phrases: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """Know one more."""
        if name and name == "".join(name.split()):
            self._words.add(name)
        elif name.strip():
            self._phrases[name] = None
            self._pattern = None

    def discard(self, name: str) -> None:
        """Forget one."""
        self._words.discard(name)
        if name in self._phrases:
            del self._phrases[name]
            self._pattern = None

    def find(self, text: str) -> tuple[str, ...]:
        """The names in `text`, in order, as often as they stand there."""
        if self._phrases:
            return self._find_phrases(text)
        if not self._words or self._words.isdisjoint(words := text.split()):
            return ()
        return tuple(word for word in words if word in self._words)

    def _find_phrases(self, text: str) -> tuple[str, ...]:
        """The slow way, for a room whose emotes have blanks in their names; the longest name counts."""
        if self._pattern is None:
            names = sorted((*self._words, *self._phrases), key=len, reverse=True)
            self._pattern = re.compile(rf"(?<!\S)(?:{'|'.join(map(re.escape, names))})(?!\S)")
        return tuple(self._pattern.findall(text))
