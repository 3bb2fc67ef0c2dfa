"""How CyTube turns what people type into HTML: escaping, chat filters, links, and its last sanitising step.

Seen on a running server (CyTube 3.86): text is escaped, then the room's filters, then links, then the whole is parsed
and written anew, so that on the wire only `&amp; &lt; &gt;` remain in text while `"` stays `&quot;` in attributes.
Poll titles and emote pictures are escaped only, and keep `&quot; &#39; &#40; &#41;`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

LINK = re.compile(r"([A-Za-z0-9_]+://(?:[^:/\[\]\s]+|\[[0-9a-f:]+\])(?::\d+)?(?:/[^/\s]*)*)", re.IGNORECASE)
"""What CyTube takes for a link (sync `src/channel/chat.js`)."""

_PLACE = "\ueeee"
_BACK_REFERENCE = re.compile(r"\\(\d)")
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "(": "&#40;", ")": "&#41;"}
)
_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_ATTRIBUTE = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})
_TAGS = frozenset(
    [
        "a",
        "abbr",
        "address",
        "article",
        "aside",
        "b",
        "bdi",
        "bdo",
        "big",
        "blockquote",
        "br",
        "button",
        "caption",
        "center",
        "cite",
        "code",
        "col",
        "colgroup",
        "data",
        "dd",
        "details",
        "dfn",
        "div",
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "font",
        "footer",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hgroup",
        "hr",
        "i",
        "img",
        "kbd",
        "li",
        "main",
        "mark",
        "marquee",
        "nav",
        "ol",
        "p",
        "pre",
        "q",
        "rb",
        "rp",
        "rt",
        "rtc",
        "ruby",
        "s",
        "samp",
        "section",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "summary",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "time",
        "tr",
        "tt",
        "u",
        "ul",
        "var",
        "wbr",
    ]
)
_EMPTY = frozenset({"img", "br", "hr", "wbr", "col"})
_DROPPED = frozenset({"script", "style", "textarea", "option", "noscript"})
_ATTRIBUTES = frozenset(
    [
        "id",
        "border",
        "class",
        "color",
        "height",
        "role",
        "style",
        "title",
        "valign",
        "width",
        "href",
        "name",
        "target",
        "rel",
        "size",
        "src",
        "behavior",
        "behaviour",
        "direction",
        "scrollamount",
        "cellpadding",
        "cellspacing",
        "colspan",
        "rowspan",
    ]
)
_SCHEME = re.compile(r"\s*([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_SCHEMES = frozenset({"http", "https", "ftp", "mailto", "tel", "mumble"})

DEFAULT_FILTERS: tuple[dict[str, Any], ...] = tuple(
    {"name": name, "source": source, "flags": flags, "replace": replace, "active": True, "filterlinks": False}
    for name, source, flags, replace in (
        ("monospace", "`(.+?)`", "g", r"<code>\1</code>"),
        ("bold", r"\*(.+?)\*", "g", r"<strong>\1</strong>"),
        ("italic", "_(.+?)_", "g", r"<em>\1</em>"),
        ("strike", "~~(.+?)~~", "g", r"<s>\1</s>"),
        ("inline spoiler", r"\[sp\](.*?)\[\/sp\]", "gi", r'<span class="spoiler">\1</span>'),
    )
)
"""The filters that a registered room begins with."""


def escape(text: str) -> str:
    """CyTube's first step: `& < > " ' ( )` become entities."""
    return text.translate(_ESCAPES)


def escape_poll(text: str) -> str:
    """A poll's title or option: escaped, with links (and CyTube's own spelling of `noreferrer` in them)."""
    return LINK.sub(r'<a href="\1" target="_blank" rel="noopener noreferer">\1</a>', escape(text))


def render(text: str, filters: Sequence[dict[str, Any]], *, links: bool) -> str:
    """A chat line or PM as it goes out. `links` is the room's option `enable_link_regex`."""
    escaped = escape(text)
    found = iter(LINK.findall(escaped))

    def put_back(_: re.Match[str]) -> str:
        link = next(found, "")
        filtered = apply_filters(link, filters, links=True)
        if filtered != link or not links or not link:
            return filtered
        return f'<a href="{link}" target="_blank" rel="noopener noreferrer">{link}</a>'

    return sanitise(re.sub(_PLACE, put_back, apply_filters(LINK.sub(_PLACE, escaped), filters, links=False)))


def apply_filters(text: str, filters: Sequence[dict[str, Any]], *, links: bool) -> str:
    """The room's filters, one after the other; on a link only those that ask for links."""
    for item in filters:
        if not item["active"] or (links and not item["filterlinks"]):
            continue
        pattern = compile_filter(item)
        replace = item["replace"]

        def expand(match: re.Match[str], replace: str = replace) -> str:
            groups = (match[0], *match.groups())
            return _BACK_REFERENCE.sub(
                lambda number: (groups[int(number[1])] or "") if int(number[1]) < len(groups) else "", replace
            )

        text = pattern.sub(expand, text, count=0 if "g" in item["flags"] else 1)
    return text


def compile_filter(item: dict[str, Any]) -> re.Pattern[str]:
    """A filter's pattern. Raises `re.error`; Python's expressions stand in for PCRE, which CyTube uses."""
    return re.compile(item["source"], re.IGNORECASE if "i" in item["flags"] else 0)


def sanitise(html: str) -> str:
    """CyTube's last step: unknown tags, `on...` and dangerous links go, entities are written anew."""
    if "<" not in html and "&" not in html:
        return html
    parser = _Sanitiser()
    parser.feed(html)
    parser.close()
    return parser.finish()


class _Sanitiser(HTMLParser):
    """Writes HTML anew, without what CyTube does not let through."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._out: list[str] = []
        self._open: list[str] = []
        self._dropping = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _DROPPED:
            self._dropping = tag
        if self._dropping or tag not in _TAGS:
            return
        kept = "".join(
            f' {key}="{(value or "").translate(_ATTRIBUTE)}"' for key, value in attrs if _is_safe(key, value)
        )
        if tag in _EMPTY:
            self._out.append(f"<{tag}{kept} />")
        else:
            self._out.append(f"<{tag}{kept}>")
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._dropping:
            self._dropping = "" if tag == self._dropping else self._dropping
        elif tag in self._open:
            self._close(tag)

    def handle_data(self, data: str) -> None:
        if not self._dropping:
            self._out.append(data.translate(_TEXT))

    def finish(self) -> str:
        """The HTML, with what was left open closed."""
        while self._open:
            self._close(self._open[-1])
        return "".join(self._out)

    def _close(self, tag: str) -> None:
        while self._open:
            last = self._open.pop()
            self._out.append(f"</{last}>")
            if last == tag:
                return


def _is_safe(key: str, value: str | None) -> bool:
    """Whether an attribute may stay."""
    if key not in _ATTRIBUTES and not key.startswith(("aria-", "data-")):
        return False
    scheme = _SCHEME.match(value or "") if key in {"href", "src"} else None
    return scheme is None or scheme[1].lower() in _SCHEMES
