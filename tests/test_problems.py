"""How problems are told: excerpts, names of secrets, plugins' settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from rosey_core.settings.problems import excerpt, explain, is_secret_name
from tests.written import SMALL, loaded


@pytest.mark.parametrize(
    "name", ("password", "pasword", "room_password", "apikey", "token", "db_secret", "Pwd", "pw")
)
def test_names_of_secrets(name: str) -> None:
    """Keys that may hold secrets are known by name, misspelt too."""
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ("room", "server", "order", "settings", "prefix", "grant", "power"))
def test_names_of_other_things(name: str) -> None:
    """Other keys are not."""
    assert not is_secret_name(name)


def test_the_caret_of_an_excerpt() -> None:
    """Tabs stay tabs, what can't be printed is a question mark, a long line is cut around the caret."""
    assert excerpt("\tkey = 1", 12, 2, 3) == "  12 | \tkey = 1\n     | \t^^^"
    assert excerpt("a\x1b[2Jb", 1, 6, 1) == "  1 | a?[2Jb\n    |      ^"
    shown, carets = excerpt("x" * 500 + "y" + "x" * 500, 1, 501, 1).splitlines()
    assert len(shown) < 140
    assert shown[carets.index("^")] == "y"


# --- plugins' settings --------------------------------------------------------------------------------------

PLUGIN = """
[plugins.mod]
settings = { caps = { raet = 5, list = [1, "x"] } }
channels.cytube.settings = { dry = "no", caps = { odd = 1 } }
"""


@pytest.mark.parametrize(
    ("path", "message", "known", "expected"),
    (
        (
            "plugins.mod.settings",
            "Object contains unknown field `raet` - at `$.caps`",
            ("rate", "list"),
            '6:23: unknown key "raet" in [plugins.mod.settings.caps]; did you mean "rate"?',
        ),
        (
            "plugins.mod.settings.caps.raet",
            "Object contains unknown field `raet`",
            ("rate",),
            '6:23: unknown key "raet"',
        ),
        (
            "plugins.mod.settings",
            "Expected `int`, got `str` - at `$.caps.list[1]`",
            (),
            '6:44: "list", item 2, should be a whole number, not text',
        ),
        (
            "plugins.mod.channels.cytube.settings",
            "Expected `bool`, got `str` - at `$.dry`",
            (),
            '7:36: "dry" should be true or false, not text',
        ),
        (
            "plugins.mod.channels.cytube.settings",
            "Object contains unknown field `raet` - at `$.caps`",
            (),
            '6:23: unknown key "raet" in [plugins.mod.channels.cytube.settings.caps]',
        ),
        (
            "plugins.mod.settings",
            "Object missing required field `words`",
            (),
            '6:1: [plugins.mod.settings] needs "words"',
        ),
        (
            "plugins.mod.settings",
            "Invalid enum value 'lod' - at `$.caps.mode`",
            ("loud",),
            '6:14: "mode" should be "loud"',
        ),
        (
            "plugins.mod.settings",
            "Expected `int`, got `str` - at `$.caps[...]`",
            (),
            '6:21: "caps" should be a whole',
        ),
        ("plugins.mod.settings.caps[...].x", "Expected `int`, got `str`", (), '6:21: "caps" should be a whole'),
        (
            "plugins.mod.settings.an odd key",
            "Object contains unknown field `an odd key`",
            (),
            '6:1: unknown key "an odd key" in [plugins.mod.settings]',
        ),
        ("plugins.mod.settings.caps.list.[1]", "Expected `int`, got `str`", (), '6:44: "list", item 2,'),
        ("plugins.mod.settings", "caps must be loud", (), '6:12: "settings": caps must be loud'),
    ),
)
def test_explaining_a_plugins_settings(
    home: Path, path: str, message: str, known: tuple[str, ...], expected: str
) -> None:
    """What msgspec said in another process becomes the same kind of message, with the line in the file."""
    text = explain(loaded(SMALL + PLUGIN), path, message, known)
    assert text.startswith(f"rosey.toml:{expected}")
    assert "^" in text


def test_explaining_a_setting_from_a_variable(home: Path) -> None:
    """A setting that a variable set is told with the variable's name."""
    one = loaded(SMALL + PLUGIN, ROSEY_PLUGINS__MOD__SETTINGS__CAPS__RAET="6")
    text = explain(one, "plugins.mod.settings.caps", "Object contains unknown field `raet`", ["rate"])
    assert text == (
        '$ROSEY_PLUGINS__MOD__SETTINGS__CAPS__RAET: unknown key "raet" in [plugins.mod.settings.caps]; '
        'did you mean "rate"?'
    )
