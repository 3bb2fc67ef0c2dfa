"""The notation is read exactly, refused with the place, and rolled within its bounds."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosey_plugin_dice.notation import (
    LIMITS,
    PICKS,
    Dice,
    Limits,
    Notation,
    NotationError,
    Number,
    Term,
    parse,
    roll,
)


@st.composite
def dice(draw: st.DrawFn) -> Dice:
    """Any dice that may be asked for."""
    count, sides = draw(st.integers(1, 9)), draw(st.integers(0, 1000))
    pick = draw(st.sampled_from(("", *PICKS)))
    most = count - (pick[:1] == "d")
    if not most:
        pick = ""
    picked = draw(st.integers(1, most)) if pick else 0
    return Dice(count, sides, sides != 1 and draw(st.booleans()), pick, picked)


terms = st.builds(Term, st.sampled_from((1, -1)), dice() | st.builds(Number, st.integers(1, 10**6)))
notations = st.builds(
    Notation,
    st.lists(terms, min_size=1, max_size=4)
    .map(tuple)
    .filter(lambda them: any(isinstance(term.what, Dice) for term in them)),
    st.integers(1, 2),
)


@given(notations)
def test_what_is_written_is_read_again(notation: Notation) -> None:
    """The spelling of a notation reads as the same notation, also with blanks and capitals."""
    assert parse(str(notation)) == notation
    for sign in "+-!":
        assert parse(str(notation).replace(sign, f" {sign} ").upper()) == notation


@given(notations, st.integers())
def test_rolls_keep_to_their_dice(notation: Notation, seed: int) -> None:
    """Each die shows one of its faces, as many as were picked count, and the sum is theirs."""
    rolls = roll(notation, Random(seed))
    assert len(rolls) == notation.repeats
    for each in rolls:
        assert each.total == sum(term.total for term in each.terms)
        for term in each.terms:
            what = term.term.what
            if isinstance(what, Number):
                assert term.total == term.term.sign * what.value
                continue
            least, most = what.faces
            assert all(least <= die.value <= most for die in term.dice)
            assert len(term.dice) == what.count + sum(die.exploded for die in term.dice)
            assert what.explodes or len(term.dice) == what.count
            kept = [die.value for die in term.dice if die.kept]
            left = [die.value for die in term.dice if not die.kept]
            assert term.total == term.term.sign * sum(kept)
            if what.pick:
                assert len(kept if what.pick[0] == "k" else left) == what.picked
            if kept and left:
                assert min(kept) >= max(left) if what.pick in {"kh", "dl"} else max(kept) <= min(left)


@given(st.text(alphabet="0123456789dDkKhHlLfFxX%!+- ²٣é", max_size=120) | st.text(max_size=120))
def test_anything_else_is_refused_with_a_place(text: str) -> None:
    """Whatever somebody types is read or refused, at a character that is there or just behind the end."""
    place, dice = 0, 0
    try:
        rolls = roll(parse(text), Random(0))
        dice = sum(len(term.dice) for each in rolls for term in each.terms)
    except NotationError as error:
        place = error.at
    assert 0 <= place <= len(text.lower())
    assert dice <= 2 * LIMITS.dice


@given(st.integers())
def test_the_same_seed_rolls_the_same(seed: int) -> None:
    """The dice come from the randomness that is given, and from nothing else."""
    notation = parse("3x 4d6!kh3 + d% - 4dF")
    assert roll(notation, Random(seed)) == roll(notation, Random(seed))


@pytest.mark.parametrize(
    ("text", "terms"),
    (
        ("d20", [Dice(1, 20)]),
        ("3d6+2", [Dice(3, 6), Number(2)]),
        ("4d6kh3+2", [Dice(4, 6, pick="kh", picked=3), Number(2)]),
        ("2d20kl1", [Dice(2, 20, pick="kl", picked=1)]),
        ("2d20kh", [Dice(2, 20, pick="kh", picked=1)]),
        ("4d6dl1", [Dice(4, 6, pick="dl", picked=1)]),
        ("3d6!", [Dice(3, 6, explodes=True)]),
        ("2d6+1d8", [Dice(2, 6), Dice(1, 8)]),
        ("d%", [Dice(1, 100)]),
        ("4dF", [Dice(4, 0)]),
    ),
)
def test_examples(text: str, terms: list[Dice | Number]) -> None:
    """Each form of the notation."""
    assert parse(text) == Notation(tuple(Term(1, what) for what in terms))


def test_signs_and_repeats() -> None:
    """A minus belongs to the term behind it; a repeat stands before all."""
    assert parse("2d6+1d8-1").terms[2] == Term(-1, Number(1))
    assert parse("-1+d6").terms[0] == Term(-1, Number(1))
    assert parse("6x 4d6kh3") == replace(parse("4d6kh3"), repeats=6)


@pytest.mark.parametrize(
    ("text", "told"),
    (
        ("", "character 1: here is the end, and should be dice like 2d6, or a number"),
        ("2d6+", "character 5: here is the end, and should be dice like 2d6, or a number"),
        ("2d", "character 3: here is the end, and should be the number of sides, % or F"),
        ("2d6 fire", 'character 5: here is "f", and should be + or - or the end'),
        ("2d6k3", 'character 4: here is "k", and should be + or - or the end'),
        ("20", "character 1: there are no dice in it; write for example 2d6+1"),
        ("0d6", "character 1: the number of dice can't be 0"),
        ("d0", "character 2: the number of sides can't be 0"),
        ("101d6", "character 1: the number of dice may be 100 at most"),
        ("99999999999999999999d6", "character 1: the number of dice may be 100 at most"),
        ("d1001", "character 2: the number of sides may be 1000 at most"),
        ("11x d6", "character 1: the number of repeats may be 10 at most"),
        ("10x 11d6", "character 1: it is 110 dice, and may be 100 at most"),
        ("d6+1000001", "character 4: a number may be 1000000 at most"),
        ("2d6kh3", "character 6: it can't keep 3 of 2"),
        ("2d6dl2", "character 6: it can't drop 2 of 2, and one has to stay"),
        ("3d1!", "character 4: a die with one side would explode for ever"),
        ("d6" + "+1" * 50, "character 101: it goes on here, and may be 100 characters long"),
    ),
)
def test_refusals(text: str, told: str) -> None:
    """A mistake is told with its character and what should be there."""
    with pytest.raises(NotationError) as caught:
        parse(text)
    assert str(caught.value) == told


def test_an_owner_limit_counts_for_percent() -> None:
    """`d%` is a die with 100 sides also for the limits."""
    with pytest.raises(NotationError, match="character 2: the number of sides may be 20 at most"):
        parse("d%", Limits(sides=20))


def test_explosions_end() -> None:
    """Dice that always show their most bring as many more as dice are allowed, and then no others."""

    class Lucky(Random):
        """Always the most."""

        def randint(self, a: int, b: int) -> int:  # noqa: ARG002  random's interface
            return b

    (one,) = roll(parse("3d6!"), Lucky(), Limits(dice=5))
    assert [die.exploded for die in one.terms[0].dice] == [True] * 5 + [False] * 3
