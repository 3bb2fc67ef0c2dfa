"""Answers that come after a line was given up."""

from __future__ import annotations

from rosey_core.cytube.late import PATIENCE, Late


def late(*texts: str) -> Late:
    """Lines given up at 0, 1, 2 ..."""
    lines = Late()
    for at, text in enumerate(texts):
        lines.add(text, at)
    return lines


def test_nothing_late_takes_nothing() -> None:
    """Every answer is for the line under way."""
    lines = Late()
    assert not lines
    assert not lines.takes("a", "a", 0)
    assert not lines.takes_any(0)


def test_its_own_echo_is_taken_once() -> None:
    """The late echo goes to the late line, the next one does not."""
    lines = late("a")
    assert lines.takes("a", "b", 1)
    assert not lines
    assert not lines.takes("b", "b", 1)


def test_the_same_text_is_the_older_lines() -> None:
    """CyTube answers in order, so of two equal lines the first is echoed first."""
    lines = late("a")
    assert lines.takes("a", "a", 1)
    assert not lines.takes("a", "a", 1)


def test_an_echo_passes_over_what_is_before_it() -> None:
    """When a later line is echoed, no answer comes for those before it."""
    lines = late("a", "b", "c")
    assert lines.takes("b", None, 3)
    assert lines.takes_any(3)
    assert not lines


def test_the_echo_of_the_line_under_way_ends_all_waiting() -> None:
    """CyTube answers in order, so the late ones have no answer any more."""
    lines = late("a", "b")
    assert not lines.takes("c", "c", 3)
    assert not lines


def test_a_changed_echo_may_be_the_late_lines() -> None:
    """An echo that is like none is not taken for the line under way: rather `unknown` than a false `done`."""
    lines = late("*a*")
    assert lines.takes("a", "*b*", 1)
    assert not lines.takes("b", "*b*", 1)


def test_it_is_expected_for_a_while_only() -> None:
    """After that no answer comes any more."""
    lines = late("a")
    assert not lines.takes("x", "y", PATIENCE + 0.1)
    lines = late("a")
    assert lines.takes_any(PATIENCE)


def test_a_new_connection_expects_nothing() -> None:
    """`clear` forgets all."""
    lines = late("a")
    lines.clear()
    assert not lines.takes_any(0)
