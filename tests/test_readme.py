"""What README.md says is so."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from rosey_core import subjects
from rosey_core.actions import ACTIONS, SendMessage
from rosey_core.bus.access import inbox
from rosey_core.bus.jetstream import DOMAIN
from rosey_core.config import NatsStream
from rosey_core.host.describe import describe
from rosey_core.preflight import preflight
from rosey_core.settings.load import load
from rosey_core.testing.script import parse
from rosey_plugins.database import Database

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_two_commands() -> None:
    """Each is one line; CI runs the second, word for word."""
    first, second, *_ = blocks("sh")
    assert first.count("\n") == second.count("\n") == 1
    assert first.rstrip().endswith("rosey sandbox")
    assert second.strip() in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_configuration(tmp_path: Path) -> None:
    """The first rosey.toml has at most twenty lines, and is right without any other file."""
    text = blocks("toml")[0]
    assert text.count("\n") <= 20
    path = tmp_path / "rosey.toml"
    path.write_text(text)
    loaded = load(path, environ={})
    assert loaded.config.first_channel == "cytube"
    assert set(loaded.config.plugins) == {"echo", "logging"}
    assert preflight(loaded, start=True) == ([], [])


def test_a_client_of_the_bus(tmp_path: Path) -> None:
    """The command connects to the port that the configuration fixes, as its user and with that user's inbox."""
    path = tmp_path / "rosey.toml"
    path.write_text(blocks("toml")[0] + blocks("toml")[3])
    nats = load(path, environ={}).config.nats
    (name,) = nats.users
    command = blocks("sh")[2]
    assert f"--server nats://{nats.listen} --user {name} " in command
    assert f"--inbox-prefix {inbox(name)} " in command
    subject, payload = re.findall(r"request (\S+) '(.*)'", command)[0]
    assert msgspec.json.decode(payload, type=SendMessage).text == "hello"
    assert subject == f"{subjects.commands_all().removesuffix('>')}cytube.chat.send_message"


def test_the_database(tmp_path: Path) -> None:
    """Its table is right, and grants what it asks for."""
    path = tmp_path / "rosey.toml"
    path.write_text(blocks("toml")[0] + blocks("toml")[1])
    loaded = load(path, environ={})
    assert loaded.config.plugins["database"].grant == Database.manifest.asks
    assert preflight(loaded, start=True) == ([], [])
    assert f"of the last {loaded.config.eventlog.keep_days:g} days and at most 1 GiB" in README
    assert loaded.config.eventlog.max_mib == 1024


def test_the_stream(tmp_path: Path) -> None:
    """Its table and its reader load, with the bounds that it tells, and the client has that name and that domain."""
    path = tmp_path / "rosey.toml"
    text = next(block for block in blocks("toml") if "[nats.stream]" in block)
    path.write_text(blocks("toml")[0] + text)
    nats = load(path, environ={}).config.nats
    (name,) = nats.users
    stream = NatsStream()
    assert nats.stream == stream
    assert f'name = "{stream.name}", max_mib = {stream.max_mib}, max_days = {stream.max_days:g}' in text
    code = next(block for block in blocks("python") if "jetstream" in block)
    assert f'user="{name}"' in code
    assert f'inbox_prefix="{inbox(name)}"' in code
    assert f'jetstream(domain="{DOMAIN}").pull_subscribe_bind("{name}", "{stream.name}")' in code


def test_the_scenario() -> None:
    """It can be played."""
    assert [step.verb for step in parse(blocks("text")[0])] == ["says", "expect says"]


def test_the_plugin() -> None:
    """It is short, and a plugin."""
    text = blocks("python")[0]
    assert len([line for line in text.splitlines() if line.strip()]) <= 15
    names: dict[str, type] = {}
    exec(text, names)  # noqa: S102  our own text
    description = describe("greeter", names["Greeter"])
    assert description.hooks == ("on_user_joined",)
    assert [spec.name for spec in description.commands] == ["greeted"]


def test_the_number_of_actions() -> None:
    """CHANGELOG.md counts them."""
    told = re.search(r"Lines, private messages and (\d+) other actions", (ROOT / "CHANGELOG.md").read_text())
    assert told is not None
    assert int(told[1]) == len(ACTIONS) - 2


@pytest.mark.parametrize("path", tuple(sorted(ROOT.glob("*.md"))), ids=lambda path: path.name)
def test_links_inside(path: Path) -> None:
    """What a document links to inside the project is there."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target
