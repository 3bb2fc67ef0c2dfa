"""`rosey nats conf`: what it prints; that a nats-server takes it is in `promises/test_external`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from rosey_core import cli
from rosey_core.cli.nats import variables
from tests.written import SMALL, write

TEXT = f"""{SMALL}
[nats]
mode = "external"
url = "nats://nats.example:4222"
password = {{ env = "CORE" }}
[nats.users.my-script]
password = {{ file = "script" }}
[plugins.dice]
enabled = true
[plugins.echo]
enabled = true
"""


def test_conf(home: Path) -> None:
    """It says where each password belongs, on both sides, and the users; no secret is read for it, or printed."""
    write(TEXT)
    result = CliRunner().invoke(cli.main, ["nats", "conf"], env={"CORE": "canary"}, catch_exceptions=False)
    assert result.exit_code == 0
    assert "canary" not in result.output
    for line in (
        '#   NATS_PASSWORD_CORE       nats.password = { env = "CORE" }',
        '#   NATS_PASSWORD_MY_SCRIPT  nats.users.my-script.password = { file = "script" }',
        "#   NATS_PASSWORD_DICE       plugins.dice.nats_password = (not set yet)",
        '  { user: "core", password: $NATS_PASSWORD_CORE }',
        '  { user: "dice", password: $NATS_PASSWORD_DICE, permissions: {',
    ):
        assert line in result.output.splitlines()
    assert '"echo"' not in result.output
    assert all(len(line) <= 118 for line in result.output.splitlines() if line.startswith("#"))


@pytest.mark.parametrize(
    ("names", "expected"),
    (
        (("core", "my-script"), ("NATS_PASSWORD_CORE", "NATS_PASSWORD_MY_SCRIPT")),
        (("a-b", "a_b", "a_b_2"), ("NATS_PASSWORD_A_B", "NATS_PASSWORD_A_B_2", "NATS_PASSWORD_A_B_2_2")),
    ),
)
def test_variables(names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """No two users share a variable: one would have the other's password."""
    assert tuple(variables(names).values()) == expected
