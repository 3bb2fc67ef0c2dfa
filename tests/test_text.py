"""Text out of HTML: CyTube's escaping rules, one test each; links, kinds, emotes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rosey_core.cytube.text import EmoteNames, decode, decode_until_stable, kind, page, read


def test_unescape_exactly_once() -> None:
    """A typed `&lt;` arrives as `&amp;lt;` and is `&lt;` again."""
    assert read("&amp;lt;already&amp;gt; &amp;amp; &amp;#39;")[0] == "&lt;already&gt; &amp; &#39;"


def test_unescape_once_beside_tags() -> None:
    """The same where the line holds tags, which takes another way."""
    assert read("<em>&amp;lt;</em> &lt;b&gt;")[0] == "&lt; <b>"


def test_old_deployments_keep_four_more_entities() -> None:
    """Older servers send quotes and parentheses as entities."""
    assert read("&quot;it&#39;s&quot; &#40;so&#41;")[0] == '"it\'s" (so)'


def test_quotes_arrive_raw_today() -> None:
    """A line with none of `<` and `&` is its own plain text, blanks at its ends included."""
    line = "  \"double\" 'single' (parens)  "
    assert read(line)[0] is line


def test_tags_of_filters_are_stripped() -> None:
    """What the default filters made of `*x*`, `_x_` and their like loses its tags."""
    html = (
        "<code>mono</code> <strong>strong</strong> <em>em</em> <s>strike</s> "
        '<span class="spoiler">spoiler</span> my<em>var</em>name'
    )
    assert read(html)[0] == "mono strong em strike spoiler myvarname"


def test_link_text_is_the_text() -> None:
    """A command with an address in it reads as it was typed, and the address is a link too."""
    html = (
        '!add <a href="https://example.com/a_b_c?x=1&amp;y=(2)" target="_blank" rel="noopener noreferrer">'
        "https://example.com/a_b_c?x=1&amp;y=(2)</a> now"
    )
    text, links = read(html)
    assert text == "!add https://example.com/a_b_c?x=1&y=(2) now"
    assert links == ("https://example.com/a_b_c?x=1&y=(2)",)


def test_links_in_order_and_of_filters() -> None:
    """A filter may give a link another text; all links are told, in order."""
    text, links = read('<a href="https://one.example/">one</a> and <a href="http://two.example/~x*y*">two</a><a>')
    assert text == "one and two"
    assert links == ("https://one.example/", "http://two.example/~x*y*")


def test_links_where_the_room_makes_none() -> None:
    """With link-making off, addresses stand in the text, and are links all the same."""
    assert read("see https://example.com/x &amp; ftp://files.example now")[1] == (
        "https://example.com/x",
        "ftp://files.example",
    )
    assert read("no link: // here")[1] == ()


def test_emote_image_is_unescaped_until_stable() -> None:
    """CyTube escapes an image once more at each load of the room."""
    wanted = "https://e.example/x.png?a=1&b=2"
    for escaped in ("a=1&b=2", "a=1&amp;b=2", "a=1&amp;amp;b=2", "a=1&" + "amp;" * 200 + "b=2"):
        assert decode_until_stable(f"https://e.example/x.png?{escaped}") == wanted


def test_poll_titles_have_entities_and_links() -> None:
    """Poll titles have the entities that chat no longer has, and links."""
    title = (
        "Best &lt;b&gt;&amp;&lt;/b&gt; &quot;quoted&quot; &#39;it&#39; &#40;paren&#41; "
        '<a href="https://ex.com/?a=1&amp;b=2" target="_blank" rel="noopener noreferer">https://ex.com/?a=1&amp;b=2</a>'
    )
    assert read(title)[0] == "Best <b>&</b> \"quoted\" 'it' (paren) https://ex.com/?a=1&b=2"


def test_page_has_lines() -> None:
    """The message of the day keeps its lines, and no script or style is text."""
    html = "<h1>Hi</h1><style>b{}</style><p>one<br>two</p>\n<div>three &amp; <b>four</b></div><script>x()</script>"
    assert page(html) == "Hi\none\ntwo\nthree & four"


def test_line_stays_one_line() -> None:
    """A filter's `<br>` is a blank in chat."""
    assert read("a<br>b")[0] == "a b"


@pytest.mark.parametrize(
    ("html", "text"),
    (
        ("<![foo bar]>x", "x"),
        ("a < b", "a < b"),
        ('<a href="&#' + "1" * 5000 + '">x</a>', "x"),
        ("&#" + "1" * 5000 + ";x", "x"),
        ("&#xFFFFFFFFFFFF;x", "x"),
        ("<b>&#" + "9" * 5000 + "</b>x", "x"),
        ("&#xD800;", "\N{REPLACEMENT CHARACTER}"),
    ),
)
def test_broken_html_still_has_text(html: str, text: str) -> None:
    """What makes the standard library's parsers raise is read all the same."""
    assert read(html)[0] == text


@given(st.text(alphabet=st.sampled_from("<>!/[]&#;x1abcp\"'=- \n\ud83d"), max_size=60) | st.text())
@example("<![")
@example("<!DOCTYPE [")
def test_reading_never_raises(html: str) -> None:
    """Whatever stands there, there is some text."""
    text, links = read(html)
    assert isinstance(text, str)
    assert isinstance(links, tuple)
    assert isinstance(page(html), str)
    assert decode(stable := decode_until_stable(html)) == stable


@given(st.text())
def test_what_was_typed_comes_back(typed: str) -> None:
    """Escaped as CyTube does today, any text is read as it was typed."""
    escaped = typed.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert read(escaped)[0] == typed


PIECES = st.sampled_from(
    [
        "<strong>",
        "</strong>",
        '<span class="spoiler">',
        "</span>",
        "<em>",
        "</em>",
        "<code>",
        "&lt;b&gt;",
        "&amp;amp;",
        " x ",
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_the_short_way_is_the_long_way(html: str) -> None:
    """What filters usually put around words is read as html.parser reads it; a link makes that one do it."""
    link = '<a href="http://x"></a>'
    assert read(html)[0] == read(html + link)[0]


@pytest.mark.parametrize(
    ("add_class", "action", "server", "expected"),
    (
        (None, False, False, "say"),
        ("something new", False, False, "say"),
        ("action", True, False, "action"),
        ("greentext", True, False, "action"),
        ("greentext", False, False, "greentext"),
        ("spoiler", False, False, "spoiler"),
        ("shout", False, False, "shout"),
        ("drink", False, False, "drink"),
        ("server-whisper", False, True, "server"),
        (None, False, True, "server"),
    ),
)
def test_kinds(add_class: str | None, action: bool, server: bool, expected: str) -> None:
    """`/me` is told by `action`, system names speak as `server`, the rest by its class."""
    assert kind(add_class, action=action, server=server) == expected


def test_emotes_stand_alone() -> None:
    """A name counts between blanks or ends, in order and as often as it stands there; `<3` is one too."""
    emotes = EmoteNames(["Kappa", ":)", "<3"])
    assert emotes.find(":) Kappa <3 Kappa") == (":)", "Kappa", "<3", "Kappa")
    assert emotes.find("Kappas xKappa :):)") == ()
    assert EmoteNames().find("Kappa") == ()


def test_emotes_with_blanks() -> None:
    """A name may hold blanks; the longest that fits counts; a name of nothing counts never."""
    emotes = EmoteNames(["so", "so good", "", " "])
    assert emotes.find("so so good so") == ("so", "so good", "so")
    emotes.discard("so good")
    assert emotes.find("so good") == ("so",)
    emotes.add("so good")
    assert emotes.find("so good") == ("so good",)
    emotes.discard("never there")
