"""Dice notation: reads `6x 4d6kh3+2`, and rolls it. It knows nothing of rosey, of chat, nor of settings.

    ROLL   = [COUNT "x"] TERM (("+" | "-") TERM)*
    TERM   = NUMBER | [COUNT] "d" (SIDES | "%" | "F") ["!"] [KEEP]
    KEEP   = ("kh" | "kl" | "dh" | "dl") [COUNT]

`d%` has 100 sides, `dF` has -1, 0 and 1. `!` rolls once more for each die that shows its most. `kh3` keeps the
highest three, `dl1` drops the lowest. Blanks may stand between the parts, and capitals are small letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random


class NotationError(ValueError):
    """What is wrong, and where: `str()` is a sentence for whoever typed it.

    Attributes:
        at: the character it is about, from 0.
    """

    def __init__(self, at: int, message: str) -> None:
        super().__init__(f"character {at + 1}: {message}")
        self.at = at


@dataclass(frozen=True)
class Limits:
    """What may be asked for.

    Attributes:
        dice: of all terms and repeats together; and so many more may come from `!`.
        sides: of one die.
        repeats: of the whole.
        number: the biggest that may stand alone.
        length: characters.
    """

    dice: int = 100
    sides: int = 1000
    repeats: int = 10
    number: int = 1_000_000
    length: int = 100


LIMITS = Limits()


@dataclass(frozen=True)
class Number:
    """A number that stands alone."""

    value: int

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Dice:
    """Dice of one kind. `sides` 0 is a fate die. `pick` is one of `PICKS` or empty, for `picked` dice."""

    count: int
    sides: int
    explodes: bool = False
    pick: str = ""
    picked: int = 0

    @property
    def faces(self) -> tuple[int, int]:
        """The least and the most that one of them shows."""
        return (1, self.sides) if self.sides else (-1, 1)

    def __str__(self) -> str:
        count = str(self.count) if self.count > 1 else ""
        pick = f"{self.pick}{self.picked}" if self.pick else ""
        return f"{count}d{self.sides or 'F'}{'!' if self.explodes else ''}{pick}"


PICKS = ("kh", "kl", "dh", "dl")
"""Keep the highest, keep the lowest, drop the highest, drop the lowest."""


@dataclass(frozen=True)
class Term:
    """A number or dice, added or (`sign` -1) taken away."""

    sign: int
    what: Number | Dice


@dataclass(frozen=True)
class Notation:
    """What was asked for. `str()` is its shortest spelling, which reads as the same again."""

    terms: tuple[Term, ...]
    repeats: int = 1

    def __str__(self) -> str:
        times = f"{self.repeats}x " if self.repeats > 1 else ""
        return times + joined((term.sign, str(term.what)) for term in self.terms)


def joined(parts: Iterable[tuple[int, str]]) -> str:
    """Parts with their signs between them, the first without its plus."""
    return "".join(f"{'-' if sign < 0 else '+'}{text}" for sign, text in parts).removeprefix("+")


_TOKEN = re.compile(r"\s*(?:([0-9]+)|(kh|kl|dh|dl)|(.))", re.DOTALL)


@dataclass(frozen=True)
class _Token:
    """A piece of the text: a number in digits, a word of `PICKS`, or a character; empty at the end."""

    at: int
    text: str

    @property
    def shown(self) -> str:
        return f'"{self.text}"' if self.text else "the end"


def _tokens(text: str) -> list[_Token]:
    found = [_Token(m.start(m.lastindex), m[m.lastindex]) for m in _TOKEN.finditer(text) if m.lastindex]
    return [token for token in found if token.text.strip()] + [_Token(len(text.rstrip()), "")]


class _Reader:
    """Reads one text from left to right."""

    def __init__(self, text: str, limits: Limits) -> None:
        self.limits = limits
        self.dice = 0
        self._tokens = _tokens(text)
        self._next = 0

    @property
    def here(self) -> _Token:
        """The next token."""
        return self._tokens[self._next]

    def take(self, *texts: str) -> _Token | None:
        """The next token, if it is one of these, and go on behind it."""
        token = self.here
        if token.text not in texts:
            return None
        self._next += 1
        return token

    def number(self, most: int, what: str) -> int | None:
        """The next number, if there is one; it is 1 to `most`."""
        token = self.here
        if not (token.text.isascii() and token.text.isdigit()):
            return None
        self._next += 1
        digits = token.text.lstrip("0")
        if not digits:
            raise NotationError(token.at, f"{what} can't be 0")
        if len(digits) > len(str(most)) or int(digits) > most:
            raise NotationError(token.at, f"{what} may be {most} at most")
        return int(digits)

    def notation(self) -> Notation:
        """All of it."""
        repeats = self._repeats()
        terms = [Term(-1 if self._sign(first=True) == "-" else 1, self._term())]
        while self.here.text:
            terms.append(Term(-1 if self._sign() == "-" else 1, self._term()))
        if not self.dice:
            raise NotationError(0, "there are no dice in it; write for example 2d6+1")
        if self.dice * repeats > self.limits.dice:
            raise NotationError(0, f"it is {self.dice * repeats} dice, and may be {self.limits.dice} at most")
        return Notation(tuple(terms), repeats)

    def _repeats(self) -> int:
        if len(self._tokens) > 1 and self._tokens[1].text == "x":
            repeats = self.number(self.limits.repeats, "the number of repeats") or 1
            if self.take("x"):
                return repeats
        return 1

    def _sign(self, *, first: bool = False) -> str:
        token = self.take("+", "-")
        if token is None and not first:
            raise NotationError(self.here.at, f"here is {self.here.shown}, and should be + or - or the end")
        return token.text if token else "+"

    def _term(self) -> Number | Dice:
        start = self.here
        dice = self._tokens[min(self._next + 1, len(self._tokens) - 1)].text.startswith("d")
        most, what = (self.limits.dice, "the number of dice") if dice else (self.limits.number, "a number")
        count = self.number(most, what)
        if self.take("d"):
            return self._dice(count or 1)
        if count is None:
            raise NotationError(start.at, f"here is {start.shown}, and should be dice like 2d6, or a number")
        return Number(count)

    def _dice(self, count: int) -> Dice:
        token = self.take("%", "f")
        sides = self.number(self.limits.sides, "the number of sides") if token is None else 100 * (token.text == "%")
        if sides is None:
            here = self.here
            raise NotationError(here.at, f"here is {here.shown}, and should be the number of sides, % or F")
        if sides > self.limits.sides:
            at = self._tokens[self._next - 1].at
            raise NotationError(at, f"the number of sides may be {self.limits.sides} at most")
        self.dice += count
        explosion = self.take("!")
        if explosion and sides == 1:
            raise NotationError(explosion.at, "a die with one side would explode for ever")
        pick = self.take(*PICKS)
        if pick is None:
            return Dice(count, sides, explodes=explosion is not None)
        at = self.here.at
        picked = self.number(self.limits.dice, "the number of dice to keep or drop") or 1
        if picked > count - (pick.text[0] == "d"):
            verb, left = ("keep", "") if pick.text[0] == "k" else ("drop", ", and one has to stay")
            raise NotationError(at, f"it can't {verb} {picked} of {count}{left}")
        return Dice(count, sides, explosion is not None, pick.text, picked)


def parse(text: str, limits: Limits = LIMITS) -> Notation:
    """What `text` asks for.

    Raises:
        NotationError: what is wrong with it, and where.
    """
    if len(text) > limits.length:
        raise NotationError(limits.length, f"it goes on here, and may be {limits.length} characters long")
    return _Reader(text.lower(), limits).notation()


@dataclass(frozen=True)
class Shown:
    """A die on the table: what it shows, whether it brought another, and whether it counts."""

    value: int
    exploded: bool = False
    kept: bool = True


@dataclass(frozen=True)
class Rolled:
    """A term that was rolled; `dice` is empty for a number."""

    term: Term
    dice: tuple[Shown, ...]

    @property
    def total(self) -> int:
        """What it adds."""
        what = self.term.what
        size = what.value if isinstance(what, Number) else sum(die.value for die in self.dice if die.kept)
        return self.term.sign * size


@dataclass(frozen=True)
class Roll:
    """One of the repeats."""

    terms: tuple[Rolled, ...]

    @property
    def total(self) -> int:
        """The sum."""
        return sum(term.total for term in self.terms)


def roll(notation: Notation, random: Random, limits: Limits = LIMITS) -> tuple[Roll, ...]:
    """Roll it: a `Roll` for each repeat."""
    more = iter(range(limits.dice))  # as many dice as may explode
    return tuple(
        Roll(tuple(Rolled(term, _throw(term.what, random, more)) for term in notation.terms))
        for _ in range(notation.repeats)
    )


def _throw(what: Number | Dice, random: Random, more: Iterator[int]) -> tuple[Shown, ...]:
    if isinstance(what, Number):
        return ()
    least, most = what.faces
    values: list[tuple[int, bool]] = []
    due = what.count
    while due:
        value = random.randint(least, most)
        exploded = what.explodes and value == most and next(more, None) is not None
        values.append((value, exploded))
        due -= not exploded
    kept = _kept(what, [value for value, _ in values])
    return tuple(Shown(value, exploded, index in kept) for index, (value, exploded) in enumerate(values))


def _kept(dice: Dice, values: list[int]) -> set[int]:
    """The places of the dice that count; of equal ones the first."""
    places = range(len(values))
    if not dice.pick:
        return set(places)
    ranked = sorted(places, key=lambda place: values[place], reverse=dice.pick[1] == "h")
    picked = set(ranked[: dice.picked])
    return picked if dice.pick[0] == "k" else set(places) - picked
