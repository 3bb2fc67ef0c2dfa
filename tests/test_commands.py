"""Commands: parsing, the table, help, cool-downs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core.host.commands import Command, Cooldowns, help_text, parse, table, words
from rosey_core.manifest import CommandSpec

QUOTE = CommandSpec("quote", "quote", "NAME", "Repeats what NAME said.", aliases=("q",))
KICK = CommandSpec("kick", "kick", "NAME", "Kicks NAME.", rank=2)


@pytest.mark.parametrize(
    ("text", "prefix", "expected"),
    (
        ("!echo hello  you", "!", ("echo", "hello  you")),
        ("!ECHO x", "!", ("echo", "x")),
        ("!echo", "!", ("echo", "")),
        ("?? echo", "??", None),
        ("??echo a", "??", ("echo", "a")),
        ("echo", "!", None),
        ("!", "!", None),
        ("! echo", "!", None),
        (" !echo", "!", None),
    ),
)
def test_parse(text: str, prefix: str, expected: tuple[str, str] | None) -> None:
    """A command is the prefix, directly a word, and the rest."""
    assert parse(text, prefix) == expected


@pytest.mark.parametrize(
    ("rest", "expected"),
    (
        ("a b", ("a", "b")),
        ('"two words" x', ("two words", "x")),
        ("don't stop", ("don't", "stop")),
        ('say "never closed', ("say", '"never', "closed")),
        ('"" x', ("", "x")),
        ("", ()),
    ),
)
def test_words(rest: str, expected: tuple[str, ...]) -> None:
    """Double quotes hold words together; an apostrophe or an open quote is a character."""
    assert words(rest) == expected


@given(st.text())
def test_words_takes_anything(rest: str) -> None:
    """No text breaks it, and no letter is invented."""
    assert sum(map(len, words(rest))) <= len(rest)


def test_clash_names_both() -> None:
    """Two plugins with one command: the error names both and says what to write."""
    rows, clashes = table([("quotes", QUOTE), ("stocks", CommandSpec("q"))])
    assert rows["q"].plugin == "quotes"
    assert [str(c) for c in clashes] == [
        'both quotes and stocks have the command q; rename one of them: [plugins.stocks] commands = { q = "another" }'
    ]


def test_help_is_taken() -> None:
    """No plugin can take !help."""
    rows, clashes = table([("bad", CommandSpec("help"))])
    assert not rows
    assert [c.first for c in clashes] == ["rosey itself"]


def test_renames() -> None:
    """The owner renames a command, which then has no aliases, or switches it off."""
    rows, clashes = table([("quotes", QUOTE), ("mod", KICK)], lambda _, name: {"quote": "cite", "kick": ""}.get(name))
    assert rows == {"cite": Command("cite", "quotes", QUOTE)}
    assert not clashes


def test_help() -> None:
    """!help lists what somebody may use; !help NAME explains it."""
    rows, _ = table([("quotes", QUOTE), ("mod", KICK)])
    assert help_text(rows, "!", 0) == "Commands: !quote, !help. !help NAME tells more."
    assert help_text(rows, "!", 2) == "Commands: !kick, !quote, !help. !help NAME tells more."
    assert help_text(rows, "!", 0, "!q") == "!quote NAME: Repeats what NAME said. (also: !q)"
    assert help_text(rows, "!", 0, "kick") == "There is no command !kick. !help lists them."
    assert help_text(rows, "!", 0, "help") == "!help [NAME]: lists the commands, or explains one."


def test_cooldown_per_user() -> None:
    """A user waits for their own cool-down, in any capitals; others do not."""
    cooldowns, row = Cooldowns(), Command("roll", "dice", CommandSpec("roll", cooldown=5))
    assert cooldowns.take(row, "Bob", 100)
    assert not cooldowns.take(row, "bob", 104.9)
    assert cooldowns.take(row, "alice", 101)
    assert cooldowns.take(row, "bob", 105)


def test_cooldown_per_channel() -> None:
    """Everybody waits for the channel's cool-down."""
    cooldowns, row = Cooldowns(), Command("roll", "dice", CommandSpec("roll", channel_cooldown=5))
    assert cooldowns.take(row, "bob", 100)
    assert not cooldowns.take(row, "alice", 104)
    assert cooldowns.take(row, "alice", 105.5)


def test_no_cooldown_keeps_nothing() -> None:
    """A command without cool-down can be used at once again."""
    cooldowns, row = Cooldowns(), Command("roll", "dice", CommandSpec("roll"))
    assert cooldowns.take(row, "bob", 1)
    assert cooldowns.take(row, "bob", 1)
