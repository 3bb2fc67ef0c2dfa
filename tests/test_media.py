"""Links to media: what people paste, and what CyTube calls it."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core import media
from rosey_core.media import LIVE_TYPES, TYPES, MediaId, build, parse

YT = "dQw4w9WgXcQ"
LIST = "PLFgquLnL59alCl_2TQvOiD5Vgm1hCaGSI"
UUID = "9c9de5e8-0a1e-484a-b099-e80766180a6d"
EMBED = '<iframe src="https://e.example.com/x"></iframe>'

LINKS = {
    f"https://www.youtube.com/watch?v={YT}": ("yt", YT),
    f"https://www.youtube.com/watch?app=desktop&v={YT}&list={LIST}&t=42s": ("yt", YT),
    f"http://youtube.com/watch/?v={YT}#t=1": ("yt", YT),
    f"https://m.youtube.com/watch?v={YT}": ("yt", YT),
    f"https://music.youtube.com/watch?v={YT}&feature=share": ("yt", YT),
    f"https://youtu.be/{YT}?si=abc": ("yt", YT),
    f"https://www.youtube.com/live/{YT}?feature=share": ("yt", YT),
    f"https://youtube.com/shorts/{YT}/": ("yt", YT),
    f"https://www.youtube.com/embed/{YT}?start=1": ("yt", YT),
    f"https://www.youtube-nocookie.com/embed/{YT}": ("yt", YT),
    f"https://www.youtube.com/v/{YT}": ("yt", YT),
    f"  https://YouTu.be/{YT}\n": ("yt", YT),
    f"youtu.be/{YT}": ("yt", YT),
    f"www.youtube.com/watch?v={YT}": ("yt", YT),
    f"yt:{YT}": ("yt", YT),
    f"yt:{YT}?t=3": ("yt", YT),
    f"https://www.youtube.com/playlist?list={LIST}": ("yp", LIST),
    "https://music.youtube.com/playlist?list=OLAK5uy_k1234567890": ("yp", "OLAK5uy_k1234567890"),
    f"https://www.youtube.com/embed/videoseries?list={LIST}": ("yp", LIST),
    f"yp:{LIST}": ("yp", LIST),
    "https://vimeo.com/76979871": ("vi", "76979871"),
    "https://vimeo.com/76979871/0123abcdef": ("vi", "76979871"),
    "https://vimeo.com/channels/staffpicks/76979871": ("vi", "76979871"),
    "https://vimeo.com/groups/shorts/videos/76979871": ("vi", "76979871"),
    "https://player.vimeo.com/video/76979871?h=1": ("vi", "76979871"),
    "vi:76979871": ("vi", "76979871"),
    "https://www.dailymotion.com/video/x5ksj3q_a-title_news": ("dm", "x5ksj3q"),
    "https://www.dailymotion.com/embed/video/x5ksj3q": ("dm", "x5ksj3q"),
    "https://geo.dailymotion.com/player.html?video=x5ksj3q": ("dm", "x5ksj3q"),
    "https://dai.ly/x5ksj3q": ("dm", "x5ksj3q"),
    "dm:x5ksj3q_title": ("dm", "x5ksj3q"),
    "https://streamable.com/moo": ("sb", "moo"),
    "https://streamable.com/e/moo?autoplay=1": ("sb", "moo"),
    "https://drive.google.com/file/d/0B1_x-y/view?usp=sharing": ("gd", "0B1_x-y"),
    "https://docs.google.com/file/d/0B1_x-y": ("gd", "0B1_x-y"),
    "https://drive.google.com/file/u/1/d/0B1_x-y/edit": ("gd", "0B1_x-y"),
    "https://drive.google.com/open?id=0B1_x-y": ("gd", "0B1_x-y"),
    "https://drive.google.com/uc?export=download&id=0B1_x-y": ("gd", "0B1_x-y"),
    "https://clips.twitch.tv/TameSlug-ab_C1": ("tc", "TameSlug-ab_C1"),
    "https://clips.twitch.tv/embed?clip=TameSlug-ab_C1&parent=x": ("tc", "TameSlug-ab_C1"),
    "https://www.twitch.tv/somebody/clip/TameSlug-ab_C1?filter=clips": ("tc", "TameSlug-ab_C1"),
    "https://m.twitch.tv/clip/TameSlug-ab_C1": ("tc", "TameSlug-ab_C1"),
    "https://www.twitch.tv/videos/123": ("tv", "v123"),
    "https://www.twitch.tv/somebody/v/123?t=1h": ("tv", "v123"),
    "https://player.twitch.tv/?video=v123&parent=x": ("tv", "v123"),
    "tv:v123": ("tv", "v123"),
    "https://www.twitch.tv/Somebody": ("tw", "Somebody"),
    "https://player.twitch.tv/?channel=somebody&parent=x": ("tw", "somebody"),
    "https://framatube.org/w/9c9de5e80a1e484ab099e8": ("pt", "framatube.org;9c9de5e80a1e484ab099e8"),
    f"https://framatube.org/videos/watch/{UUID}": ("pt", f"framatube.org;{UUID}"),
    f"https://www.Tube.example/videos/embed/{UUID}?x=1": ("pt", f"www.tube.example;{UUID}"),
    f"pt:framatube.org;{UUID}": ("pt", f"framatube.org;{UUID}"),
    "https://www.bitchute.com/video/9N5m0kDfJ1Ac/": ("bc", "9N5m0kDfJ1Ac"),
    "https://www.bitchute.com/embed/9N5m0kDfJ1Ac": ("bc", "9N5m0kDfJ1Ac"),
    "https://some-artist.bandcamp.com/track/a-song?from=x": ("bn", "some-artist;a-song"),
    "https://odysee.com/@user:1/a-video:2": ("od", "user;a-video"),
    "https://odysee.com/@user%3A1/a-video%3Ab2?r=x": ("od", "user;a-video"),
    "https://odysee.com/$/embed/@user:1/a-video:2": ("od", "user;a-video"),
    "https://odysee.com/@us\u00e9r/a": ("od", "us%C3%A9r;a"),
    "https://www.nicovideo.jp/watch/sm9?ref=x": ("nv", "sm9"),
    "https://sp.nicovideo.jp/watch/so123": ("nv", "so123"),
    "https://nico.ms/sm9": ("nv", "sm9"),
    "https://livestream.com/accounts/12/events/34": ("li", "12;34"),
    "https://livestream.com/accounts/12/events/34/videos/5": ("li", "12;34"),
    "rtmp://live.example/app/stream": ("rt", "rtmp://live.example/app/stream"),
    "https://live.example/a/b.m3u8?token=1": ("hl", "https://live.example/a/b.m3u8?token=1"),
    "https://files.example/a.json?x=y": ("cm", "https://files.example/a.json?x=y"),
    "http://127.0.0.1:18082/one.json": ("cm", "http://127.0.0.1:18082/one.json"),
    "https://files.example/a%20b.mp4?x=y#z": ("fi", "https://files.example/a%20b.mp4?x=y#z"),
    "https://player.vimeo.com/external/1.hd.mp4?s=2": (
        "fi",
        "https://player.vimeo.com/external/1.hd.mp4?s=2",
    ),
    "fi:https://files.example/stream?id=1": ("fi", "https://files.example/stream?id=1"),
    "cm:https://files.example/manifest?id=1": ("cm", "https://files.example/manifest?id=1"),
    EMBED: ("cu", EMBED),
    f"cu:{EMBED}": ("cu", EMBED),
} | {
    f"https://f.example/a.{e}": ("fi", f"https://f.example/a.{e}")
    for e in ("mp4", "webm", "mp3", "ogg", "flv", "m4a", "MP4")
}

NO_LINKS = (
    "",
    "hello",
    "yt:",
    "zz:abc",
    "sc:https://soundcloud.com/a/b",
    "cu:sEhsIOU1vVpL1k/tlJdaailzI+R576A0RD6PAMfCMWM=",
    "cu:no embed code",
    "pt:youtube.com;9c9de5e80a1e484ab099e8",
    "https://evil.example/?u=youtu.be/x",
    f"https://evil.example/youtube.com/watch?v={YT}",
    f"https://youtube.com.evil.example/watch?v={YT}",
    f"https://notyoutube.com/watch?v={YT}",
    f"https://youtu.be@evil.example/{YT}",
    f"https://evil.example\\@youtu.be/{YT}",
    f"https://user:pass@youtu.be/{YT}",
    f"javascript://youtu.be/{YT}",
    f"ftp://youtu.be/{YT}",
    f"look: https://youtu.be/{YT}",
    "https://www.youtube.com/",
    "https://www.youtube.com/@somebody",
    "https://www.youtube.com/watch",
    "https://www.youtube.com/watch?v=",
    "https://www.youtube.com/watch?v=a%20b",
    "https://www.youtube.com/embed/live_stream?channel=UC1",
    "https://www.youtube.com/playlist?list=RDdQw4w9WgXcQ",
    "https://www.youtube.com/w/9c9de5e80a1e484ab099e8",
    "https://www.twitch.tv/",
    "https://www.twitch.tv/directory",
    "https://www.twitch.tv/somebody/videos",
    "https://vimeo.com/about",
    "https://some-artist.bandcamp.com/album/x",
    "https://bandcamp.com/track/x",
    "https://livestream.com/somebody/events/34",
    "https://soundcloud.com/a/b",
    "https://files.example/a.html",
    "http://files.example/a.mp4",
    "http://live.example/a.m3u8",
    "https:///a.mp4",
    f"https://tube.example:9000/videos/watch/{UUID}",
    "https://[bad/watch",
    "https://\u2100.example/x",
    "rtmp://",
)


@pytest.mark.parametrize(("link", "expected"), LINKS.items())
def test_links_are_understood(link: str, expected: tuple[str, str]) -> None:
    """Every form that people paste gives CyTube's type and id."""
    assert parse(link) == expected


@pytest.mark.parametrize("link", NO_LINKS)
def test_what_is_no_media_link_gives_none(link: str) -> None:
    """Other text, other sites, look-alike hosts and pages without a video are no media."""
    assert parse(link) is None


def test_every_type_is_parsed_somewhere_in_the_table() -> None:
    """No type of CyTube is left out."""
    assert {type_ for type_, _ in LINKS.values()} == set(TYPES)
    assert set(TYPES) > LIVE_TYPES


def test_links_that_are_built() -> None:
    """Each type builds the address that people know."""
    built = {
        ("yt", YT): f"https://youtu.be/{YT}",
        ("yp", LIST): f"https://www.youtube.com/playlist?list={LIST}",
        ("tv", "v12"): "https://www.twitch.tv/videos/12",
        ("pt", "t.example;9c9de5e80a1e484ab099e8"): "https://t.example/w/9c9de5e80a1e484ab099e8",
        ("bn", "artist;song"): "https://artist.bandcamp.com/track/song",
        ("li", "1;2"): "https://livestream.com/accounts/1/events/2",
        ("fi", "https://f.example/no-extension"): "https://f.example/no-extension",
    }
    assert {key: build(*key) for key in built} == built


@pytest.mark.parametrize(
    ("type_", "id_"),
    (
        ("cu", "cu:abc"),
        ("zz", "abc"),
        ("sc", "https://soundcloud.com/a/b"),
        ("yt", ""),
        ("yt", "a/../b"),
        ("yt", "abc\n"),
        ("fi", "javascript:alert(1)"),
        ("fi", "https://a@evil.example/x.mp4"),
        ("cm", "https://f.example/a b.json"),
        ("pt", f"youtube.com;{UUID}"),
        ("pt", f"a.bandcamp.com;{UUID}"),
        ("pt", UUID),
        ("tw", "directory"),
    ),
)
def test_no_link_is_built_for_what_has_none(type_: str, id_: str) -> None:
    """An unknown type, an embed, and an id of another shape give the empty string, no misleading address."""
    assert build(type_, id_) == ""


def _ids() -> st.SearchStrategy[tuple[str, str]]:
    """Type and id of every type that has links, made from its own shape; addresses end in what they are."""
    endings = {"fi": ".mp4", "hl": ".m3u8", "cm": ".json", "rt": ""}
    scheme = {"fi": "https", "hl": "https", "cm": "http", "rt": "rtmp"}
    word = st.text(string.ascii_letters + string.digits + "-_.%20", max_size=20)

    def address(type_: str) -> st.SearchStrategy[str]:
        return word.map(lambda text: f"{scheme[type_]}://files.example/{text}a{endings[type_]}?q={text}#{text}")

    def of(type_: str) -> st.SearchStrategy[tuple[str, str]]:
        ids = address(type_) if type_ in endings else st.from_regex(media._SHAPES[type_][0], fullmatch=True)
        return ids.map(lambda id_: (type_, id_))

    return st.one_of(*map(of, media._SHAPES))


@given(_ids())
def test_a_built_link_parses_back(pair: tuple[str, str]) -> None:
    """parse(build(type, id)) is (type, id), and so is the short form."""
    link = build(*pair)
    if link:
        assert parse(link) == pair
        assert parse(":".join(pair)) == MediaId(*pair)


_PIECES = st.sampled_from(
    (
        *(
            "https://",
            "http://",
            "rtmp://",
            "//",
            "www.",
            "m.",
            "youtu.be",
            "youtube.com",
            "/watch?v=",
            "yt:",
        ),
        *("twitch.tv", "odysee.com/@", "bandcamp.com", "/w/", "@", ":", ";", "[", "]", "\\", "%", "%3A", "?"),
        *("#", "&list=", "\x00"),
    )
)


@given(st.one_of(st.text(), st.lists(st.one_of(_PIECES, st.text(max_size=3))).map("".join)))
def test_nothing_makes_parse_raise(text: str) -> None:
    """Whatever people write gives a known type with an id, or None."""
    found = parse(text)
    assert found is None or (found.type in TYPES and found.id)


@given(st.text(max_size=4) | st.sampled_from(sorted(TYPES)), st.text())
def test_nothing_makes_build_raise(type_: str, id_: str) -> None:
    """Whatever CyTube sends gives a link without blanks or control characters, or the empty string."""
    link = build(type_, id_)
    assert not link or (link.startswith(("https://", "http://", "rtmp://")) and not set(link) & set(" \n\\\x00"))
