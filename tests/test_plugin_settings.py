"""What is wrong with the plugins of a configuration: their settings, and commands that two of them have."""

from __future__ import annotations

import enum
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from rosey_core.api import Settings
from rosey_core.host.check import problems
from rosey_core.host.describe import Finding, check_settings
from rosey_core.host.registry import Known, _inquiry
from rosey_core.manifest import CommandSpec, Description
from tests.written import CANARY, SMALL, loaded


class Tone(enum.Enum):
    """An enumeration."""

    HIGH = "high"
    LOW = "low"


class Caps(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A table in settings."""

    rate: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    steps: tuple[int, ...] = ()


class Rule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One of a list."""

    word: str
    days: int = 1


class ModSettings(Settings):
    """The settings of a plugin."""

    caps: Caps = Caps()
    dry: bool = False
    mode: Literal["loud", "quiet"] = "loud"
    tone: Tone = Tone.LOW
    rules: tuple[Rule, ...] = ()
    limits: dict[str, int] = msgspec.field(default_factory=dict)
    pair: tuple[int, str] = (1, "")
    either: Caps | int = 1

    def __post_init__(self) -> None:
        """What spans two fields."""
        if self.dry and self.mode == "loud":
            raise ValueError("a dry one can't be loud")


def known(text: str, kind: type[Settings] = ModSettings, **environ: str) -> list[str]:
    """The first lines of what is told about the settings of the plugin `mod`."""
    one = loaded(SMALL + text, **environ)
    inquiry = _inquiry(one.config, EntryPoint("mod", "x:y", "z"))
    faults = [fault for path, value in inquiry.settings for fault in check_settings(path, value, kind)]
    finding = Finding(Description("mod", "", 1), faults=tuple(faults))
    finding = msgspec.json.decode(msgspec.json.encode(finding), type=Finding)  # as it comes from the child
    told = problems(one, [Known("mod", "ready", finding=finding)])
    return [line for line in "\n".join(told).splitlines() if not line.startswith("  ")]


@pytest.mark.parametrize(
    ("settings", "expected"),
    (
        ("caps.raet = 5", '5:6: unknown key "raet" in [plugins.mod.settings.caps]; did you mean "rate"?'),
        ("caps.odd = 5", '5:6: unknown key "odd" in [plugins.mod.settings.caps]; the keys there are rate, steps'),
        ("caps.rate = 10", '5:13: "rate" should be a whole number of at most 9'),
        ('caps.steps = [1, "x"]', '5:18: "steps", item 2, should be a whole number, not text'),
        ("dry = 1", '5:7: "dry" should be true or false, not a whole number'),
        ('mode = "luod"', '5:8: "mode" should be "loud" or "quiet", not "luod"; did you mean "loud"?'),
        ('tone = "hihg"', '5:8: "tone" should be "high" or "low", not "hihg"; did you mean "high"?'),
        ("rules = [{ days = 1 }]", '5:10: [plugins.mod.settings.rules[0]] needs "word"'),
        ("limits.a = true", '5:12: "a" should be a whole number, not true or false'),
        ("pair = [1, 2]", '5:12: "pair", item 2, should be text, not a whole number; write it as "2"'),
        ('either = "x"', '5:10: "either" should be a whole number or a table, not text'),
        ("dry = true", '4:14: "settings": a dry one can\'t be loud'),
    ),
)
def test_one_fault(home: Path, settings: str, expected: str) -> None:
    """Each kind of fault, with its place, what is allowed and the nearest word."""
    assert known(f"[plugins.mod.settings]\n{settings}") == [f"rosey.toml:{expected}"]


def test_all_faults(home: Path) -> None:
    """Everything is told at once, in the order of the file, and what a channel inherits is not told twice."""
    there = "plugins.mod.channels.cytube.settings.caps"
    told = known(
        '[plugins.mod]\nsettings = { caps = { raet = 5, rate = "x" }, rules = [{ wrod = "x" }], mode = 1 }\n'
        "channels.cytube.settings = { dry = 5, caps = { rate = 2, x = 1 } }\n"
    )
    assert told == [
        'rosey.toml:5:23: unknown key "raet" in [plugins.mod.settings.caps]; did you mean "rate"?',
        'rosey.toml:5:40: "rate" should be a whole number, not text',
        'rosey.toml:5:58: unknown key "wrod" in [plugins.mod.settings.rules[0]]; did you mean "word"?',
        'rosey.toml:5:80: "mode" should be "loud" or "quiet", not a whole number',
        'rosey.toml:6:36: "dry" should be true or false, not a whole number',
        f'rosey.toml:6:58: unknown key "x" in [{there}]; the keys there are rate, steps',
    ]


def test_a_setting_from_a_variable(home: Path) -> None:
    """A setting that a variable set is told with the variable's name."""
    (told,) = known("[plugins.mod.settings]", ROSEY_PLUGINS__MOD__SETTINGS__CAPS__RAET="6")
    assert told.startswith('$ROSEY_PLUGINS__MOD__SETTINGS__CAPS__RAET: unknown key "raet" in [plugins.mod.settings')
    assert told.endswith('did you mean "rate"?')


def test_a_plugin_without_settings(home: Path) -> None:
    """Whatever is written there is unknown."""
    assert known("[plugins.mod.settings]\nx = 1", Settings) == [
        'rosey.toml:5:1: unknown key "x" in [plugins.mod.settings]'
    ]


def test_secrets_are_not_shown(home: Path) -> None:
    """What stands under the name of a secret is in no message."""

    class Keeper(Settings):
        token: Literal["a", "b"] = "a"

    assert CANARY not in "".join(known(f'[plugins.mod.settings]\ntoken = "{CANARY}"\ntokn = "{CANARY}"', Keeper))


# --- commands ------------------------------------------------------------------------------------------------


def clashes(text: str, environ: dict[str, str] | None = None, **commands: tuple[CommandSpec, ...]) -> list[str]:
    """What is told about plugins with these commands."""
    one = loaded(text, **(environ or {}))
    plugins: list[Any] = [
        Known(name, "ready", finding=Finding(Description(name, "", 1, commands=specs)))
        for name, specs in commands.items()
    ]
    return "\n".join(problems(one, plugins)).splitlines()


TWO = f"{SMALL}[plugins.stocks]\nenabled = true\n[plugins.quotes]\nenabled = true\n"


def test_a_clash_has_a_place(home: Path) -> None:
    """Two plugins with one command: both are named, at the table of the second, with the line to write there."""
    quotes, stocks = CommandSpec("quote", aliases=("q",)), CommandSpec("price", aliases=("q",))
    first, *excerpt = clashes(TWO, quotes=(quotes,), stocks=(stocks,))
    assert first == (
        "rosey.toml:4:10: in the channel cytube, both quotes and stocks have the command q; rename one of them: "
        '[plugins.stocks] commands = { price = "another" }'
    )
    assert excerpt == ["  4 | [plugins.stocks]", "    |          ^^^^^^"]
    told = clashes(TWO, stocks=(CommandSpec("help"),))
    assert told[0].startswith("rosey.toml:4:10: in the channel cytube, both rosey itself and stocks have the command")


def test_a_clash_in_two_channels(home: Path) -> None:
    """It is told once."""
    text = f'{TWO}[channels.other]\nroom = "other"\n'
    told = clashes(text, quotes=(CommandSpec("q"),), stocks=(CommandSpec("q"),))
    assert len(told) == 3
    assert "in the channel cytube and in other, both" in told[0]


def test_a_clash_of_plugins_that_variables_enable(home: Path) -> None:
    """Where the file has no table, the variable is the place."""
    told = clashes(
        SMALL,
        {"ROSEY_PLUGINS__STOCKS__ENABLED": "true", "ROSEY_PLUGINS__QUOTES__ENABLED": "true"},
        quotes=(CommandSpec("q"),),
        stocks=(CommandSpec("q"),),
    )
    assert told[0].startswith("$ROSEY_PLUGINS__STOCKS__ENABLED: in the channel cytube, both quotes and stocks")


def test_a_rename_of_nothing(home: Path) -> None:
    """A new name for a command that the plugin does not have is told, with the nearest."""
    text = TWO.replace("true\n", 'true\ncommands = { qoute = "q" }\n', 1)
    told = clashes(text, stocks=(CommandSpec("quote"), CommandSpec("price")))
    assert told[0] == (
        'rosey.toml:6:14: stocks has no command "qoute"; its commands are quote, price; did you mean "quote"?'
    )
