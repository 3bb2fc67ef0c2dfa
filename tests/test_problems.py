"""How problems are told: excerpts, names of secrets, plugins' settings."""

from __future__ import annotations

import pytest

from rosey_core.settings.problems import excerpt, is_secret_name, refusal


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


# --- what msgspec says --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "message"),
    (
        ("Object contains unknown field `raet` - at `$.caps`", ("caps", "raet"), 'unknown key "raet" in [x.caps]'),
        ("Object missing required field `words`", (), '[x] needs "words"'),
        ("Expected `int`, got `str` - at `$.caps[1]`", ("caps", 1), '"caps", item 2, should be a whole number, not '),
        ("Expected `int`, got `str` - at `$.caps[...]`", ("caps",), '"caps" should be a whole number, not text'),
        ("Expected `str`, got `int` - at `key in $.caps`", ("caps",), '"caps" should be text, not a whole number'),
        ("Expected `int`, got `str` - at `$.an odd key`", (), '"x" should be a whole number, not text'),
        ("Invalid value 'shout' - at `$.mode`", ("mode",), '"mode" can\'t be "shout"'),
        ("the words of the plugin - at `$.caps`", ("caps",), '"caps": the words of the plugin'),
    ),
)
def test_refusals(text: str, path: tuple[str | int, ...], message: str) -> None:
    """What msgspec says becomes the same kind of message, with the whole path."""
    problem = refusal(("x",), text)
    assert problem.path == ("x", *path)
    assert problem.message.startswith(message)
