"""The plugin: `!roll` in the room, and the query `roll` for other plugins and tools."""

from __future__ import annotations

from random import Random, SystemRandom
from typing import Any

from rosey_core.api import CommandCall, Context, Manifest, PluginError, Settings, command, query
from rosey_plugin_dice.notation import LIMITS, Limits, Notation, NotationError, Roll, Rolled, joined, parse, roll

SHOWN = 200
"""Characters of single dice that a reply may have; beyond that it tells the sums alone."""


class DiceSettings(Settings):
    """How much may be rolled, and what `!roll` alone rolls. A `seed` gives the same dice after each start."""

    default: str = "d6"
    most_dice: int = LIMITS.dice
    most_sides: int = LIMITS.sides
    most_repeats: int = LIMITS.repeats
    most_characters: int = LIMITS.length
    seed: int | None = None

    @property
    def limits(self) -> Limits:
        """As the notation knows them."""
        return Limits(
            dice=self.most_dice, sides=self.most_sides, repeats=self.most_repeats, length=self.most_characters
        )

    def __post_init__(self) -> None:
        for name in ("most_dice", "most_sides", "most_repeats", "most_characters"):
            if not 1 <= getattr(self, name) <= 10_000:
                raise ValueError(f"{name} should be 1 to 10000")
        try:
            parse(self.default, self.limits)
        except NotationError as error:
            raise ValueError(f"default can't be rolled: {error}") from None


class Dice:
    """Rolls dice."""

    manifest = Manifest(
        name="dice",
        summary="!roll 4d6kh3+2 rolls dice.",
        settings=DiceSettings,
        asks=("chat.send",),
    )

    def __init__(self, settings: DiceSettings) -> None:
        self._default = settings.default
        self._limits = settings.limits
        seed = settings.seed
        self._random = SystemRandom() if seed is None else Random(seed)  # noqa: S311  who sets a seed wants that

    @command("roll", usage="[6x] 4d6kh3+2", aliases=("dice",))
    async def roll(self, ctx: Context, call: CommandCall) -> str:  # noqa: ARG002  every command is given both
        """Rolls dice: 2d6+1, d%, 4dF, 3d6! (explodes), kh kl dh dl (keep, drop: high, low)."""
        try:
            notation, rolls = self._roll(call.rest or self._default)
        except NotationError as error:
            return f"{call.user}: {error}"
        return f"{call.user} rolled {notation}: {told(rolls)}"

    @query("roll")
    async def rolled(self, ctx: Context, notation: str = "") -> dict[str, Any]:  # noqa: ARG002  every query is given it
        """Answers `{"notation": "2d6+1", "totals": [8], "dice": [[[3, 4], []]]}`: dice by repeat and term."""
        try:
            parsed, rolls = self._roll(notation or self._default)
        except NotationError as error:
            raise PluginError(str(error)) from None
        return {
            "notation": str(parsed),
            "totals": [each.total for each in rolls],
            "dice": [[[die.value for die in term.dice] for term in each.terms] for each in rolls],
        }

    def _roll(self, text: str) -> tuple[Notation, tuple[Roll, ...]]:
        notation = parse(text, self._limits)
        return notation, roll(notation, self._random, self._limits)


def told(rolls: tuple[Roll, ...]) -> str:
    """What came, for people: `[6 5 2 (1)]+2 = 15`; dice in round brackets do not count."""
    sums = ", ".join(str(each.total) for each in rolls)
    ways = [joined((term.term.sign, _dice(term)) for term in each.terms) for each in rolls]
    bare = all(len(each.terms) == 1 and len(each.terms[0].dice) == 1 for each in rolls)
    long = ", ".join(f"{way} = {each.total}" for way, each in zip(ways, rolls, strict=True))
    return sums if bare or len(long) > SHOWN else long


def _dice(term: Rolled) -> str:
    if not term.dice:
        return str(term.term.what)
    faces = (f"{die.value}{'!' if die.exploded else ''}" for die in term.dice)
    shown = (face if die.kept else f"({face})" for face, die in zip(faces, term.dice, strict=True))
    return f"[{' '.join(shown)}]"
