"""What the plugin answers, in the room and to queries."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from rosey_plugin_dice import Dice, DiceSettings

from rosey_core.api import CommandCall, Context, Metadata, NormalizedEvent, PluginError, events

NO_CONTEXT = cast("Context", None)  # dice need nothing of the room


def typed(rest: str) -> CommandCall:
    """`!roll REST`, by alice."""
    data = events.ChatMessage(username="alice", text=f"!roll {rest}", html=f"!roll {rest}")
    event = NormalizedEvent("chat.message", "cytube", data, 0.0, Metadata(), "1", "cytube", 1)
    return CommandCall("alice", 0, "roll", tuple(rest.split()), rest, "cytube", event)


def say(rest: str, **settings: Any) -> str:
    """The reply to `!roll REST`."""
    return asyncio.run(Dice(DiceSettings(**{"seed": 1} | settings)).roll(NO_CONTEXT, typed(rest)))


@pytest.mark.parametrize(
    ("rest", "reply"),
    (
        ("", "alice rolled d6: 2"),
        ("2d6+1", "alice rolled 2d6+1: [2 5]+1 = 8"),
        ("4d6kh3+2", "alice rolled 4d6kh3+2: [2 5 (1) 3]+2 = 12"),
        ("10-4df", "alice rolled 10-4dF: 10-[-1 1 -1 0] = 11"),
        ("6x 4d6kh3", "alice rolled 6x 4d6kh3: "),
        ("2d6q", 'alice: character 4: here is "q", and should be + or - or the end'),
    ),
)
def test_replies(rest: str, reply: str) -> None:
    """A reply has the notation, the dice and the sum, or says what is wrong."""
    assert say(rest).startswith(reply)


def test_many_dice_are_told_as_their_sums() -> None:
    """A reply stays a line."""
    assert say("2x 50d6").count("[") == 0
    assert len(say("10x 10d1000")) < 200


def test_explosions_are_shown() -> None:
    """A die that brought another has a mark."""
    assert "2!" in say("20d2!")


def test_the_owner_limits_count() -> None:
    """What settings allow is what may be rolled."""
    assert say("3d6", most_dice=2) == "alice: character 1: the number of dice may be 2 at most"
    assert say("", default="d20").startswith("alice rolled d20: ")


@pytest.mark.parametrize(
    ("settings", "told"),
    (
        ({"most_dice": 0}, "most_dice should be 1 to 10000"),
        ({"default": "2d"}, "default can't be rolled: character 3: here is the end"),
        ({"most_sides": 4}, "default can't be rolled: character 2: the number of sides may be 4 at most"),
    ),
)
def test_settings_that_make_no_sense(settings: dict[str, Any], told: str) -> None:
    """They are refused when they are read."""
    with pytest.raises(ValueError, match=told):
        DiceSettings(**settings)


def test_the_query() -> None:
    """It answers sums and dice, and raises for what can't be rolled."""
    dice = Dice(DiceSettings(seed=1))
    told = asyncio.run(dice.rolled(NO_CONTEXT, "2x 2d6+1"))
    assert told == {"notation": "2x 2d6+1", "totals": [8, 5], "dice": [[[2, 5], []], [[1, 3], []]]}
    with pytest.raises(PluginError, match="character 2: here is"):
        asyncio.run(dice.rolled(NO_CONTEXT, "dragons"))
