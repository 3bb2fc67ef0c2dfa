"""What the simulated CyTube finds when it looks a link up: no network, always the same answer for the same link.

A few videos are known by name; all others get a title and a length made out of their type and id. For addresses of
files (`fi`, `cm`) the query says what is "there": `?title=One&dur=40&subs=1`, and `code=404` is a failure. A site
may be given other answers (`Lookup.known`). The texts of failures are those of CyTube 3.86.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

LIVE = frozenset({"li", "tw", "rt", "cu", "hl", "hb", "us", "im", "jw"})
"""The types that need the permission `playlistaddlive`."""

_LINKS = {
    "yt": "https://youtu.be/{}",
    "vi": "https://vimeo.com/{}",
    "dm": "https://dailymotion.com/video/{}",
    "tw": "https://twitch.tv/{}",
    "tc": "https://clips.twitch.tv/{}",
    "tv": "https://twitch.tv/{}",
    "li": "https://livestream.com/{}",
    "gd": "https://docs.google.com/file/d/{}",
    "sb": "https://streamable.com/{}",
    "bc": "https://www.bitchute.com/video/{}/",
    "nv": "https://www.nicovideo.jp/watch/{}",
    "sc": "{}",
    "fi": "{}",
    "cm": "{}",
    "hl": "{}",
    "rt": "{}",
}
_SUPPORTED = frozenset(_LINKS) | {"cu", "pt", "bn", "od", "yp"}
_PAIRS = {
    "pt": "https://{}/videos/watch/{}",
    "bn": "https://{}.bandcamp.com/track/{}",
    "od": "https://odysee.com/@{}/{}",
}
_EMBED = re.compile(r"""<(iframe|object|embed)\b[^>]*?\b(?:src|data)\s*=\s*["'](https:[^"']*)["']""", re.IGNORECASE)
_KINDS = ("Trailer", "Short film", "Lecture", "Concert", "Cartoon", "Documentary", "Match", "Recipe")
_PLACES = ("from the harbour", "in the rain", "at night", "of the year", "without words", "in colour", "by train")
_DENIED = (
    "Access to the link was denied.  Contact the owner of the website hosting the audio/video file to grant "
    "permission for the file to be downloaded."
)


class LookupFailed(Exception):  # noqa: N818  an answer, not a fault
    """There is nothing to play; the text is what CyTube tells the user."""


@dataclass(slots=True)
class Media:
    """One thing to watch, as CyTube keeps it. `seconds` is 0 for live media."""

    id: str
    title: str
    seconds: int
    type: str
    meta: dict[str, Any] = field(default_factory=dict)

    def packed(self) -> dict[str, Any]:
        """What clients are told."""
        live = self.type in LIVE and not self.seconds
        duration = "--:--" if live else clock(self.seconds)
        title = self.title if len(self.title) <= 100 else self.title[:97] + "..."
        return {
            "id": self.id,
            "title": title,
            "seconds": self.seconds,
            "duration": duration,
            "type": self.type,
            "meta": self.meta,
        }


def clock(seconds: float) -> str:
    """`MM:SS`, or `HH:MM:SS` from an hour on."""
    whole = int(seconds)
    tail = f"{whole % 3600 // 60:02}:{whole % 60:02}"
    return tail if whole < 3600 else f"{whole // 3600:02}:{tail}"


def link(id_: str, type_: str) -> str:
    """The address that CyTube names in its errors; empty where it has none."""
    if type_ in _PAIRS and id_.count(";") == 1:
        return _PAIRS[type_].format(*id_.split(";"))
    return _LINKS.get(type_, "").format(id_)


class Lookup:
    """Answers for links.

    Attributes:
        known: for a (type, id), what is there, or the text of the failure. Tests may add to it.
    """

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Media | str] = {
            ("yt", id_): Media(id_, title, seconds, "yt")
            for id_, title, seconds in (
                ("dQw4w9WgXcQ", "Rick Astley - Never Gonna Give You Up", 213),
                ("jNQXAC9IVRw", "Me at the zoo", 19),
                ("9bZkp7q19f0", "PSY - GANGNAM STYLE", 253),
            )
        }

    def find(self, id_: str, type_: str) -> Media:
        """What is there. Raises `LookupFailed`."""
        known = self.known.get((type_, id_))
        if isinstance(known, str):
            raise LookupFailed(known)
        if known is not None:
            return Media(known.id, known.title, known.seconds, known.type, known.meta)
        if type_ not in _SUPPORTED:
            raise LookupFailed(f"Unknown media type '{type_}'")
        if type_ == "sc":
            raise LookupFailed(
                "Soundcloud is not supported anymore due to requiring OAuth but not accepting new API key "
                "registrations."
            )
        if type_ in {"fi", "cm"}:
            return _file(id_, type_)
        if type_ == "cu":
            return _embed(id_)
        if type_ in LIVE:
            return Media(id_, f"Twitch.tv - {id_}" if type_ == "tw" else "Livestream", 0, type_)
        return _made_up(id_, type_)

    def find_list(self, id_: str) -> list[Media]:
        """What is in a YouTube playlist: always a few videos."""
        return [self.find(f"{id_[:7]}{index:04}", "yt") for index in range(2 + _number(id_) % 4)]

    def search(self, query: str) -> list[Media]:
        """What YouTube would find."""
        found = [_made_up(f"s{_number(query + str(index)):010}"[:11], "yt") for index in range(5)]
        return [Media(each.id, f"{query} - {each.title}", each.seconds, "yt") for each in found]


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=4).digest(), "big")


def _made_up(id_: str, type_: str) -> Media:
    number = _number(f"{type_}:{id_}")
    title = f"{_KINDS[number % len(_KINDS)]} {_PLACES[number // 8 % len(_PLACES)]} no. {number % 997}"
    return Media(id_, title, 30 + number % 600, type_)


def _file(id_: str, type_: str) -> Media:
    url = urlsplit(id_)
    query = {key: values[0] for key, values in parse_qs(url.query).items()}
    code = int(query["code"]) if query.get("code", "").isdigit() else 200
    if code != HTTPStatus.OK:
        denied = code == HTTPStatus.FORBIDDEN and type_ == "fi"
        known = code in HTTPStatus._value2member_map_
        phrase = HTTPStatus(code).phrase if known else "Unknown"
        raise LookupFailed(_DENIED if denied else f"Expected HTTP 200 OK, not {code} {phrase}")
    seconds = int(query["dur"]) if query.get("dur", "").isdigit() else 30 + _number(id_) % 600
    if type_ == "fi":
        return Media(id_, "Raw Video", seconds, type_, {"codec": "mov/h264", "bitrate": 800})
    name = re.sub(r"\.json$", ".mp4", url.path)
    source = {"link": f"https://media.example.com{name}", "contentType": "video/mp4", "quality": 720}
    meta: dict[str, Any] = {}
    if "subs" in query:
        track = {"url": "https://media.example.com/en.vtt", "contentType": "text/vtt", "name": "English"}
        meta["textTracks"] = [track]
    meta["direct"] = {"720": [source]}
    return Media(id_, query.get("title", "Custom"), seconds, type_, meta)


def _embed(code: str) -> Media:
    match = _EMBED.search(code)
    if match is None:
        raise LookupFailed("Invalid embed.  Input must be an <iframe>, <object>, or <embed> tag.")
    tag = "iframe" if match[1].lower() == "iframe" else "object"
    digest = b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return Media(f"cu:{digest}", "Custom Media", 0, "cu", {"embed": {"tag": tag, "src": match[2]}})
