"""Who may do what on the broker, as text and patterns; that nats-server obeys them is in `test_broker`."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core import subjects
from rosey_core.bus.access import BrokerUser, core_user, may_answer, owner_user, users
from rosey_core.bus.conf import accounts, conf
from rosey_core.config import ChannelConfig, Config, NatsConfig, NatsStream, NatsUser, Secret

SECRET = Secret(env="SOME")


def written(*users: BrokerUser, host: str = "127.0.0.1", port: int = -1, stream: str = "") -> str:
    """A configuration for these users."""
    return conf(users, host=host, port=port, log_file=Path("/x/log"), directory=Path("/x"), stream=stream)


def test_core_user() -> None:
    """The daemon's own user may do everything, and its password is another one each time."""
    one, other = core_user(), core_user()
    assert one.publish == one.subscribe == (">",)
    assert len(one.password) >= 32
    assert one.password != other.password


def test_owner_user() -> None:
    """A tool may publish what it was granted, in each channel and in the short form, and read its own inbox."""
    user = owner_user("desk", NatsUser(SECRET, ("chat.send",)), "pw", ("cytube", "films"))
    assert user.publish == (
        "rosey.commands.chat.send_message",
        "rosey.commands.cytube.chat.send_message",
        "rosey.commands.films.chat.send_message",
    )
    assert user.subscribe == ("rosey.platform.>", "_INBOX_desk.>")


def test_owner_user_without_reading() -> None:
    """`read = false` leaves only the inbox, and without grants nothing may be published."""
    user = owner_user("desk", NatsUser(SECRET, (), read=False), "pw", ("cytube",))
    assert user.publish == ()
    assert user.subscribe == ("_INBOX_desk.>",)
    assert 'publish: { deny: [">"] }' in written(user)


def test_owner_user_of_a_plugin() -> None:
    """`query:PLUGIN` allows that plugin's queries in both forms, and grants to read allow nothing."""
    user = owner_user("desk", NatsUser(SECRET, ("query:markov", "chat.read")), "pw", ("cytube",))
    assert user.publish == ("rosey.plugins.markov.*", "rosey.events.markov.query.*")


def test_who_reads_the_stream() -> None:
    """Only that stream, only its own consumer there, and nothing else: no grant, and nothing that changes it."""
    user = owner_user("desk", NatsUser(SECRET, ("chat.send",), stream=True), "pw", ("cytube",), "kept")
    assert user.stream == "kept"
    assert user.subscribe == ("rosey.platform.>", "_INBOX_desk.>")
    assert "$JS.rosey.API.CONSUMER.MSG.NEXT.kept.desk" in user.publish
    assert all(".kept" in subject for subject in user.publish)
    for word in ("rosey.commands", "CREATE", "UPDATE", "DELETE", "PURGE", "$JS.API."):
        assert not [subject for subject in user.publish if word in subject]


def test_password_is_not_shown() -> None:
    """The text of a user does not hold its password."""
    assert "hunter2" not in repr(BrokerUser("desk", "hunter2"))


@pytest.mark.parametrize("reply", ("_INBOX.a", "_INBOX.a.b", "_INBOX_desk.abc.1", "_INBOX_a-b_c.x"))
def test_inboxes_are_answered(reply: str) -> None:
    """The usual inboxes and those of named users get answers."""
    assert may_answer(reply)


@pytest.mark.parametrize(
    "reply",
    (
        "",
        "_INBOX",
        "_INBOX.",
        "_INBOX..a",
        "_INBOX.*",
        "_INBOX_desk.>",
        "_INBOX.a b",
        "_INBOX.a\n",
        "_INBOXES.a",
        "_INBOX_core.heartbeat",
        "x_INBOX.a",
        f"{subjects.PLATFORM}.cytube.chat.message",
    ),
)
def test_nothing_else_is_answered(reply: str) -> None:
    """An asker can't choose that we publish elsewhere, to a pattern, or to ourselves."""
    assert not may_answer(reply)


@given(st.text())
def test_what_is_answered_is_one_subject(text: str) -> None:
    """Whatever a reply subject holds, one that is answered can't end the protocol's line."""
    reply = f"_INBOX.{text}"
    if may_answer(reply):
        assert not set(reply) & set(" \t\r\n*>")
        assert len(reply.split()) == 1


@given(st.text())
def test_passwords_stay_in_their_string(password: str) -> None:
    """No password ends its string or its line in the configuration."""
    line = next(line for line in written(BrokerUser("desk", password)).split("\n") if "password: " in line)
    start = line.index('password: "') + len('password: "')
    end = line.index('", permissions:', start)
    inside = line[start:end].replace("\\\\", "").replace('\\"', "")
    assert '"' not in inside
    assert not any(char < " " for char in inside)


@pytest.mark.parametrize(
    ("host", "port", "line"),
    (
        ("127.0.0.1", -1, 'listen: "127.0.0.1:-1"'),
        ("::1", 4222, 'listen: "[::1]:4222"'),
        ("localhost", 4222, 'listen: "localhost:4222"'),
    ),
)
def test_listen(host: str, port: int, line: str) -> None:
    """The address to listen on, with brackets where it needs them."""
    assert line in written(core_user(), host=host, port=port).splitlines()


# --- golden files ---

GOLDEN = Path(__file__).parent / "golden"
CHANNELS = {"cytube": ChannelConfig("movienight"), "films": ChannelConfig("films")}
TOOLS = {
    "desk": NatsUser(SECRET, ("chat.send", "media.queue", "query:markov")),
    "reader": NatsUser(SECRET),
    "deaf": NatsUser(SECRET, ("chat.send",), read=False),
}
ALONE = Config(1, CHANNELS)
BUSY = Config(1, CHANNELS, NatsConfig(users=TOOLS))
KEPT = Config(1, CHANNELS, NatsConfig(users=TOOLS, stream=NatsStream("kept")))
READERS = {
    "desk": TOOLS["desk"],
    "books": NatsUser(SECRET, stream=True),
    "late-2": NatsUser(SECRET, read=False, stream=True),
}
READ = Config(1, CHANNELS, NatsConfig(users=READERS, stream=NatsStream()))
THEIRS = Config(1, CHANNELS, NatsConfig("external", url="tls://nats.example:4222", user="rosey", users=TOOLS))


def everybody(config: Config, *workers: str) -> tuple[BrokerUser, ...]:
    """The users of a configuration, with passwords that anybody may read."""
    return users(config, workers, "password-of-{}".format)


TEXTS = {
    "kept.conf": lambda: written(*everybody(KEPT), stream="kept"),
    "read.conf": lambda: written(*everybody(READ, "echo"), stream="rosey"),
    "alone.conf": lambda: written(*everybody(ALONE)),
    "workers.conf": lambda: written(*everybody(ALONE, "echo", "dice-2")),
    "tools.conf": lambda: written(*everybody(BUSY), host="::1", port=4222),
    "everybody.conf": lambda: written(*everybody(BUSY, "echo", "markov"), host="192.0.2.1", port=4222),
    "external.conf": lambda: accounts(everybody(THEIRS, "echo"), written="${}".format),
    "users.json": lambda: msgspec.json.format(msgspec.json.encode(everybody(BUSY, "echo"))).decode() + "\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_golden_files(name: str) -> None:
    """Who may do what changes only on purpose.

    To write the files anew:  GOLDEN=new python -m pytest tests/test_access.py -k golden; git diff tests/golden
    """
    text, path = TEXTS[name](), GOLDEN / name
    if os.environ.get("GOLDEN") == "new":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_golden_files_are_used() -> None:
    """No file is left over from a case that is gone."""
    assert {path.name for path in GOLDEN.iterdir()} == TEXTS.keys()
