"""Links to media and CyTube's ids for them, both ways.

`parse` takes what people paste: page addresses of every site that CyTube plays (short, mobile, music, live
and embed forms too), addresses of files and streams, and CyTube's own short form `yt:ID`. It looks at the
host name, never at text elsewhere in an address, so `https://evil.example/?u=youtu.be/x` is no YouTube link.
`build` gives the address to show for an id. Neither asks any server, and neither raises: what they do not
know is `None` and the empty string. The rules follow what CyTube 3.86 accepts.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qs, quote, urlsplit


class MediaId(NamedTuple):
    """What CyTube calls a thing to watch: `type` is one of `TYPES`, `id` is that site's own name for it."""

    type: str
    id: str


TYPES = {
    "yt": "YouTube",
    "yp": "YouTube playlist",
    "vi": "Vimeo",
    "dm": "Dailymotion",
    "sb": "Streamable",
    "gd": "Google Drive",
    "tc": "Twitch clip",
    "tv": "Twitch video",
    "pt": "PeerTube",
    "bc": "BitChute",
    "bn": "Bandcamp",
    "od": "Odysee",
    "nv": "Niconico",
    "fi": "raw file",
    "cm": "custom manifest",
    "tw": "Twitch channel",
    "li": "livestream.com",
    "rt": "RTMP stream",
    "hl": "HLS stream",
    "cu": "custom embed",
}
"""Every type that CyTube plays, with its name for people. `yp` can only be queued: it becomes many `yt`."""

LIVE_TYPES = frozenset({"tw", "li", "rt", "hl", "cu"})
"""The types that need CyTube's permission `playlistaddlive` and have no length of their own."""

_ADDRESS = r"://[^\s\\/?#@\x00-\x1f\x7f]+(?:[/?#][^\s\\\x00-\x1f\x7f]*)?)"
_CLAIM = r"(?:[\w.~!$'()*+,=-]|%(?!3[Aa])[0-9A-Fa-f]{2})+"
_VIDEO_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_NO_TWITCH_CHANNEL = (
    "about|clip|directory|downloads|drops|inventory|jobs|login|p|popout|prime|search|settings|signup|store"
    "|subscriptions|turbo|user|videos|wallet"
)

_SHAPES = {
    type_: (re.compile(id_, re.ASCII), link)
    for type_, id_, link in (
        ("yt", r"([\w-]{1,64})", "https://youtu.be/{}"),
        ("yp", r"((?:PL|OLA)[\w-]{10,64})", "https://www.youtube.com/playlist?list={}"),
        ("vi", r"(\d{1,20})", "https://vimeo.com/{}"),
        ("dm", r"([A-Za-z0-9]{1,32})", "https://www.dailymotion.com/video/{}"),
        ("sb", r"([A-Za-z0-9-]{1,64})", "https://streamable.com/{}"),
        ("gd", r"([\w-]{1,128})", "https://drive.google.com/file/d/{}"),
        ("tc", r"([\w-]{1,128})", "https://clips.twitch.tv/{}"),
        ("tv", r"v(\d{1,20})", "https://www.twitch.tv/videos/{}"),
        ("pt", rf"([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?);([A-Za-z0-9]{{22}}|{_VIDEO_UUID})", "https://{}/w/{}"),
        ("bc", r"([\w-]{1,64})", "https://www.bitchute.com/video/{}"),
        ("bn", r"([a-z0-9][a-z0-9-]{0,62});([\w-]{1,200})", "https://{}.bandcamp.com/track/{}"),
        ("od", rf"({_CLAIM});({_CLAIM})", "https://odysee.com/@{}/{}"),
        ("nv", r"((?:sm|so|nm)?\d{1,20})", "https://www.nicovideo.jp/watch/{}"),
        ("fi", "(https?" + _ADDRESS, "{}"),
        ("cm", "(https?" + _ADDRESS, "{}"),
        ("hl", "(https?" + _ADDRESS, "{}"),
        ("rt", "(rtmp" + _ADDRESS, "{}"),
        ("tw", rf"((?!(?:{_NO_TWITCH_CHANNEL})$)\w{{1,25}})", "https://www.twitch.tv/{}"),
        ("li", r"(\d{1,20});(\d{1,20})", "https://livestream.com/accounts/{}/events/{}"),
    )
}
"""For each type: what its ids look like, and the link that the groups make. `cu` has no address."""

_TWITCH_CLIP = r"(?:/\w+)?/clip/([\w-]+)"
_VIMEO_FOLDER = r"(?:/(?:video|channels/[\w-]+|groups/[\w-]+/videos?|(?:album|showcase)/\d+/video|ondemand/[\w-]+))?"
_YOUTUBE = (
    ("yp", r"/playlist|/embed/videoseries", "list"),
    ("yt", r"/watch", "v"),
    ("yt", r"/(?:watch|v|e|embed|live|shorts)/(?!videoseries$|live_stream$)([\w-]+)", ""),
)
_DRIVE = (
    ("gd", r"/file/(?:u/\d+/)?d/([\w-]+)(?:/\w+)?", ""),
    ("gd", r"/(?:u/\d+/)?(?:open|uc)", "id"),
)

_SITES: dict[str, tuple[tuple[str, re.Pattern[str], str], ...]] = {
    host: tuple((type_, re.compile(path, re.ASCII), key) for type_, path, key in rules)
    for hosts, rules in (
        ("youtube.com music.youtube.com gaming.youtube.com youtube-nocookie.com", _YOUTUBE),
        ("youtu.be", (("yt", r"/([\w-]+)", ""),)),
        ("vimeo.com player.vimeo.com", (("vi", _VIMEO_FOLDER + r"/(\d+)(?:/[0-9a-f]+)?", ""),)),
        (
            "dailymotion.com touch.dailymotion.com geo.dailymotion.com",
            (
                ("dm", r"(?:/embed)?/video/([A-Za-z0-9]+)(?:_[^/]*)?", ""),
                ("dm", r"/player(?:/\w+)?\.html", "video"),
            ),
        ),
        ("dai.ly", (("dm", r"/([A-Za-z0-9]+)", ""),)),
        ("streamable.com", (("sb", r"/(?:[eos]/)?([A-Za-z0-9-]+)", ""),)),
        ("drive.google.com docs.google.com", _DRIVE),
        (
            "twitch.tv go.twitch.tv",
            (
                ("tc", _TWITCH_CLIP, ""),
                ("tv", r"(?:/\w+)?/(?:videos?|v)/v?(\d+)", ""),
                ("tw", r"/(\w+)", ""),
            ),
        ),
        ("clips.twitch.tv", (("tc", r"/embed", "clip"), ("tc", r"/([\w-]+)", ""))),
        ("player.twitch.tv", (("tv", "", "video"), ("tw", "", "channel"))),
        ("bitchute.com old.bitchute.com", (("bc", r"/(?:video|embed)/([\w-]+)", ""),)),
        ("nicovideo.jp sp.nicovideo.jp embed.nicovideo.jp", (("nv", r"/watch/(\w+)", ""),)),
        ("nico.ms", (("nv", r"/(\w+)", ""),)),
        (
            "odysee.com",
            (("od", rf"(?:/\$/embed)?/@({_CLAIM})(?::\w+)?/({_CLAIM})(?::\w+)?", ""),),
        ),
        (
            "livestream.com new.livestream.com",
            (("li", r"/accounts/(\d+)/events/(\d+)(?:/.*)?", ""),),
        ),
    )
    for host in hosts.split()
}
"""For each host name: type, path, and the query key that holds the id (empty: the path's groups do)."""

_BANDCAMP = ".bandcamp.com"
_TRACK = re.compile(r"/track/([\w-]+)", re.ASCII)
_PEERTUBE = re.compile(rf"/(?:w|videos/(?:watch|embed))/([A-Za-z0-9]{{22}}|{_VIDEO_UUID})", re.ASCII)
_RAW_FILE = re.compile(
    r".*\.(?:mp4|m4v|mov|webm|flv|ogv|ogg|oga|opus|mp3|m4a|aac)", re.ASCII | re.IGNORECASE | re.DOTALL
)
_SHORT_FORM = re.compile(r"([a-z]{2}):(.+)", re.DOTALL)
_EMBED_CODE = re.compile(r"<(?:iframe|object|embed)\b", re.IGNORECASE)
_NO_SCHEME = re.compile(r"(?:[\w-]+\.)+[a-z]{2,}/", re.ASCII | re.IGNORECASE)
_IN_NO_LINK = re.compile(r"[\s\\\x00-\x20\x7f]")


def build(type: str, id: str) -> str:  # noqa: A002  CyTube's own two names
    """The address of a medium; empty for custom embeds, unknown types and ids of another shape.

    `parse` gives type and id back, except for a file or stream whose address does not show what it is.
    """
    shape = _SHAPES.get(type)
    match = shape[0].fullmatch(id) if shape else None
    if shape is None or match is None or (type == "pt" and _is_known(match[1])):
        return ""
    return shape[1].format(*match.groups())


def parse(link: str) -> MediaId | None:
    """What CyTube would queue for `link`, or `None`.

    An embed code (`<iframe ...>`) is a `cu` whose id is the code itself, as CyTube's `queue` wants it.
    """
    link = link.strip()
    if _EMBED_CODE.match(link):
        return MediaId("cu", link)
    if short := _SHORT_FORM.fullmatch(link):
        return _parse_short_form(short[1], short[2])
    if _NO_SCHEME.match(link):
        link = "https://" + link
    # Browsers read a backslash as a slash and drop control characters, so the host would be another one.
    if _IN_NO_LINK.search(link):
        return None
    try:
        return _parse_address(link)
    except ValueError:  # urllib's word for brackets that are no IPv6 address and the like
        return None


def _checked(type_: str, id_: str) -> MediaId | None:
    """The pair, if the id has the type's shape."""
    return MediaId(type_, id_) if _SHAPES[type_][0].fullmatch(id_) else None


def _parse_short_form(type_: str, rest: str) -> MediaId | None:
    """CyTube's own `yt:ID`. Addresses keep their query; ids lose what was pasted behind them."""
    if type_ == "cu":
        return MediaId("cu", rest) if _EMBED_CODE.match(rest) else None
    if type_ not in _SHAPES:
        return None
    if type_ not in {"fi", "cm", "hl", "rt"}:
        rest = re.split(r"[?&#_]" if type_ == "dm" else r"[?&#]", rest, maxsplit=1)[0]
    if type_ == "pt" and _is_known(rest.partition(";")[0]):
        return None
    return _checked(type_, rest)


def _parse_address(link: str) -> MediaId | None:
    """The site's rules first for its own hosts; then what the path says."""
    url = urlsplit(link)
    if url.scheme == "rtmp":
        return _checked("rt", link)
    if url.scheme not in {"https", "http"} or not url.hostname or "@" in url.netloc:
        return None
    lower = url.path.lower()
    if lower.endswith(".m3u8"):
        return _checked("hl", link) if url.scheme == "https" else None
    if lower.endswith(".json"):
        return _checked("cm", link)
    # Written as browsers would send it; Odysee's addresses carry ":" both plain and escaped.
    path = quote(url.path.rstrip("/"), safe="/%:@!$&'()*+,;=~").replace("%3A", ":").replace("%3a", ":")
    host = url.hostname
    rules = _site(host)
    for type_, pattern, key in rules or ():
        if (match := pattern.fullmatch(path)) is None:
            continue
        found = parse_qs(url.query).get(key, [""])[0] if key else ";".join(match.groups())
        if found and type_ == "tv":
            found = "v" + found.removeprefix("v")
        if media := _checked(type_, found):
            return media
    if host.endswith(_BANDCAMP) and (match := _TRACK.fullmatch(path)):
        return _checked("bn", f"{host.removesuffix(_BANDCAMP)};{match[1]}")
    if not _is_known(host) and ":" not in url.netloc and (match := _PEERTUBE.fullmatch(path)):
        return _checked("pt", f"{host};{match[1]}")
    if url.scheme == "https" and _RAW_FILE.fullmatch(url.path):
        return _checked("fi", link)
    return None


def _site(host: str) -> tuple[tuple[str, re.Pattern[str], str], ...] | None:
    """The rules of a host; `www.` and `m.` change nothing."""
    return _SITES.get(host) or _SITES.get(re.sub(r"^(?:www|m)\.", "", host))


def _is_known(host: str) -> bool:
    """Whether a host belongs to a site of the table, so that it is no PeerTube."""
    return _site(host) is not None or host.endswith(_BANDCAMP)
