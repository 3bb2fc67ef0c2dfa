"""Splitting and shielding of what is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core.cytube.lines import LIMIT, blank, cut, sound, split, tidy, units

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=1200)
VISIBLE = st.characters(categories=["L", "M", "N", "P", "S"], exclude_characters="/")
WORDS = st.lists(st.text(st.characters(categories=["L", "N", "So"]), min_size=1, max_size=30), max_size=60)


def test_a_short_text_is_one_line() -> None:
    """What fits is not touched, blanks at its ends included."""
    assert split("  hello there ") == ["  hello there "]


def test_units_count_as_javascript_does() -> None:
    """A character beyond 16 bits counts two."""
    assert units("a😀ü") == 4


@given(TEXT)
def test_every_part_fits(text: str) -> None:
    """No line is longer than CyTube takes, nor blank, nor read as a command."""
    for part in split(text):
        assert units(part) <= LIMIT
        assert not blank(part)
        assert not part.startswith("/")


@given(st.lists(st.text(VISIBLE, min_size=1, max_size=400), max_size=8), st.sampled_from(["", "/me "]))
def test_no_character_is_lost(words: list[str], lead: str) -> None:
    """The parts without what stands before each, joined, are the text, down to the blanks at which it broke."""
    text = " ".join(words)
    parts = split(text, lead=lead)
    assert all(units(part) <= LIMIT and part.startswith(lead) for part in parts)
    assert "".join(part.removeprefix(lead) for part in parts) == text


@given(st.text(st.sampled_from("a \t\u3000/\u0301😀"), max_size=1500))
def test_all_that_is_lost_is_blank(text: str) -> None:
    """Runs of blanks may lose whole parts of blanks, and a slash may get a space: all else is there, in order."""
    blanks = dict.fromkeys(map(ord, " \t\u3000"))
    assert "".join(split(text)).translate(blanks) == text.translate(blanks)


@given(st.text(st.sampled_from("ab é\u0301😀🇩🇪/\n"), max_size=1500))
def test_every_part_is_sound(text: str) -> None:
    """No surrogate pair is halved: each part is as good a text as the whole."""
    for part in split(text):
        assert part.encode("utf-16-le").decode("utf-16-le") == part
        assert part.isascii() or sound(part) == part


@given(st.text(alphabet="/ab \U0001f600é", max_size=1500))
def test_no_character_but_blanks_is_lost_or_added(text: str) -> None:
    """With slashes too, all that is added or left out is blank."""
    assert "".join(split(text)).replace(" ", "") == text.replace(" ", "")


@given(WORDS)
def test_words_stay_whole(words: list[str]) -> None:
    """A text of words that each fit breaks between words only."""
    parts = split(" ".join(words))
    assert [word for part in parts for word in part.split(" ") if word] == words


def test_it_breaks_behind_the_last_space_that_fits() -> None:
    """The space stays at the end of the part before."""
    text = "a" * 200 + " " + "b" * 100 + " " + "c" * 100
    assert split(text) == ["a" * 200 + " " + "b" * 100 + " ", "c" * 100]


def test_a_word_that_ends_at_the_limit_is_not_torn() -> None:
    """When the space is the first that does not fit, it begins the next part."""
    assert split("a" * 320 + " b") == ["a" * 320, " b"]


def test_a_word_that_is_too_long_breaks_within() -> None:
    """Without a space the break is at the limit."""
    assert split("x" * 321) == ["x" * 320, "x"]


def test_surrogate_pairs_stay_whole() -> None:
    """An emoji that would stand across the limit goes to the next part."""
    assert split("x" * 319 + "😀") == ["x" * 319, "😀"]


@pytest.mark.parametrize(
    "cluster",
    ("e\u0301", "👩\u200d🚀", "👍🏽", "❤\ufe0f", "🇩🇪", "🏴\U000e0067\U000e0062\U000e007f"),
    ids=("accent", "joined", "skin", "variation", "flag", "tag flag"),
)
def test_visible_characters_stay_whole(cluster: str) -> None:
    """No break within what people see as one character, wherever the limit falls."""
    for before in range(LIMIT - units(cluster), LIMIT + 1):
        text = "x" * before + cluster + "y"
        parts = split(text)
        assert "".join(parts) == text
        assert any(cluster in part for part in parts)


def test_two_flags_break_between_them() -> None:
    """Flags are pairs of letters; the break is between pairs."""
    assert split("🇩🇪" * 81) == ["🇩🇪" * 80, "🇩🇪"]


def test_a_heap_of_accents_is_cut_anyway() -> None:
    """One character with more accents than a line holds breaks where it must, and nothing is lost."""
    text = "a" + "\u0301" * 700
    assert "".join(split(text)) == text


@pytest.mark.parametrize("text", ("/kick bob", "//x", "/", "/d5 cheers", "/unknown"))
def test_a_leading_slash_is_shielded(text: str) -> None:
    """A space before it: CyTube keeps the space, and sees no command."""
    assert split(text) == [" " + text]


def test_each_part_is_shielded() -> None:
    """A part that would begin with a slash does not, however the text is laid out."""
    assert split("a" * 319 + " /kick bob") == ["a" * 319, " /kick bob"]
    assert all(not part.startswith("/") for part in split("/" * 2000))
    assert "".join(split("b" * 320 + "/kick bob")) == "b" * 320 + "/kick bob"


def test_each_line_is_shielded() -> None:
    """A newline begins a line of its own, which is shielded as well."""
    assert split("hello\n/ban alice\r\n\r\n/kick bob\rend") == ["hello", " /ban alice", " /kick bob", "end"]


def test_me_is_shielded_twice() -> None:
    """CyTube reads what follows `/me` for commands once more."""
    assert split("/kick bob", lead="/me ") == ["/me  /kick bob"]


def test_the_lead_counts() -> None:
    """Each part has the lead, and fits with it."""
    parts = split("x" * 400, lead="/me ")
    assert parts == ["/me " + "x" * 316, "/me " + "x" * 84]


def test_private_messages_know_no_commands() -> None:
    """Where nothing is a command, nothing is shielded."""
    assert split("/kick bob", commands=False) == ["/kick bob"]


@pytest.mark.parametrize("text", ("", "   ", "\n\n", "\t\x01", "\u3000\ufeff\xa0", " \u2028 "))
def test_blank_text_gives_no_lines(text: str) -> None:
    """CyTube drops it, so there is nothing to send."""
    assert blank(text)
    assert split(text) == []


def test_half_a_pair_is_replaced() -> None:
    """JSON can't hold half a surrogate pair; two halves that belong together are joined."""
    assert split("a\ud83d b") == ["a\ufffd b"]
    assert sound("\ud83d\ude00") == "😀"


def test_tidy_makes_one_line() -> None:
    """Newlines and control characters are one space, and the ends are bare."""
    assert tidy(" too\n\n/ban alice\x00\x7fx ") == "too /ban alice x"


def test_cut_keeps_characters_whole() -> None:
    """A cut counts UTF-16 units and never halves a pair."""
    assert cut("ab😀", 3) == "ab"
    assert cut("ab😀", 4) == "ab😀"
