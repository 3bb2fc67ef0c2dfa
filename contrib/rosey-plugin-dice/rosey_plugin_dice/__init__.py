"""Dice for rosey: `notation` reads and rolls, `plugin` answers in the room."""

from rosey_plugin_dice.plugin import Dice, DiceSettings

__all__ = ["Dice", "DiceSettings"]
