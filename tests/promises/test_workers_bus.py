"""Promise 6: on the bus a plugin can do what its manifest asked and the owner granted, and nothing else.

Somebody has the NATS user of a plugin, as the plugin's own process does, and a client that obeys no rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rosey_core.bus.client import Client, Msg, errors
from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.viewer import Viewer
from tests.promises.reading import said

MARK = "canary-of-the-intruder"
LINE = json.dumps({"text": MARK}).encode()

PUBLISH = (
    "rosey.commands.cytube.chat.send_message",
    "rosey.commands.chat.send_message",
    "rosey.commands.cytube.user.kick",
    "rosey.platform.cytube.chat.message",
    "rosey.platform.cytube.core.gap",
    "rosey.events.parrot.hello",
    "rosey.events.echo.query.hello",
    "rosey.plugins.parrot.do.cytube.chat.send_message",
    "rosey.plugins.parrot.ask.hello",
    "rosey.plugins.parrot.ask.parked",
    "rosey.plugins.parrot.hook.cytube.events",
    "rosey.plugins.parrot.hook.cytube.command",
    "rosey.plugins.parrot.control.stop",
    "rosey.plugins.parrot.reply.0000000000000000-1",
    "rosey.plugins.parrot.hello",
    "rosey.plugins.echo.hook.cytube.events",
    "rosey.plugins.echo.control.stop",
    "_INBOX_core.heartbeat",
    "_INBOX_parrot.answers.0000000000000000-1",
    "_INBOX_reader.x",
    "_INBOX.x",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.USER.INFO",
    "$JS.API.INFO",
    "$JS.API.STREAM.CREATE.everything",
    "$JS.API.CONSUMER.MSG.NEXT.a.b",
    "$KV.bucket.key",
    "$SRV.PING",
    "anything.else",
)
SUBSCRIBE = (
    ">",
    "*",
    "*.>",
    "rosey.>",
    "rosey.commands.>",
    "rosey.platform.>",
    "rosey.platform.cytube.chat.pm",
    "rosey.events.>",
    "rosey.plugins.>",
    "rosey.plugins.*.hook.>",
    "rosey.plugins.parrot.hook.>",
    "rosey.plugins.parrot.reply.>",
    "rosey.plugins.echo.do.>",
    "_INBOX.>",
    "_INBOX_core.>",
    "_INBOX_parrot.>",
    "$SYS.>",
    "$JS.>",
)
ELSEWHERE = (
    "_INBOX_parrot.answers.x",
    "_INBOX_reader.x",
    "_INBOX_core.heartbeat",
    "_INBOX.x",
    "_INBOX_echo.>",
    "rosey.commands.cytube.chat.send_message",
    "rosey.plugins.parrot.do.cytube.chat.send_message",
    "rosey.platform.cytube.chat.message",
)
REFUSED = (
    ("do.cytube.user.kick", b'{"name": "alice"}', "echo was not granted user.kick"),
    ("do.cytube.chat.send_pm", b'{"to": "alice", "text": "x"}', "echo was not granted chat.pm.send"),
    ("do.cytube.media.queue", b'{"link": "https://youtu.be/x"}', "echo was not granted media.queue"),
    ("do.cytube.reply.chat.clear", b"{}", "echo was not granted chat.clear"),
    ("do.elsewhere.chat.send_message", LINE, "there is no action chat.send_message in elsewhere"),
    ("do.cytube.chat.shout", LINE, "there is no action chat.shout in cytube"),
    ("do.cytube.chat.send_message", b"\x00\xff", "chat.send_message: "),
    ("do.cytube.chat.send_message", b"[" * (1 << 20), "chat.send_message: "),
    ("ask.query", b'{"plugin": "asker", "name": "add", "channel": "cytube"}', "echo was not granted query:asker"),
    ("ask.secrets", b"{}", "there is no question secrets"),
)


class Intruder(Client):
    """A client with a plugin's user."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.heard: list[tuple[str, bytes]] = []

    async def note(self, error: Exception) -> None:
        """Take an error of the connection."""
        self.told.append(str(error))

    async def hear(self, message: Msg) -> None:
        """Take a message."""
        self.heard.append((message.subject, message.data))


def password(process: RoseyProcess, user: str) -> str:
    """A user's password, from where only the daemon's own system user may read it."""
    text = (process.state / "nats" / "nats.conf").read_text(encoding="utf-8")
    found = re.search(rf'user: "{user}", password: "([^"]+)"', text)
    assert found is not None
    return found[1]


def row(status: dict[str, Any], plugin: str) -> dict[str, Any]:
    """A plugin in the status."""
    found: dict[str, Any] = next(one for one in status["plugins"] if one["name"] == plugin)
    return found


async def enter(process: RoseyProcess, user: str, secret: str = "") -> Intruder:
    """Connect as a user."""
    client = Intruder()
    url = (await process.ask())["nats"]["url"]
    await client.connect(
        url,
        user=user,
        password=secret or password(process, user),
        inbox_prefix=f"_INBOX_{user}",
        allow_reconnect=False,
        max_reconnect_attempts=1,
        error_cb=client.note,
    )
    return client


@pytest.fixture
def run() -> str:
    """Every plugin has a process, and a NATS user, of its own."""
    return "process"


@pytest.fixture
async def rosey(make: Any, cytube: SimulatedCytube) -> AsyncIterator[RoseyProcess]:
    """A daemon with three workers."""
    async with make(cytube.url, "echo", "parrot", "asker") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.until("all run", lambda s: {one["state"] for one in s["plugins"]} == {"running"})
        yield process


@pytest.fixture
async def intruder(rosey: RoseyProcess) -> AsyncIterator[Intruder]:
    """Somebody with the user of echo."""
    client = await enter(rosey, "echo")
    yield client
    await client.close()


@pytest.fixture
async def spy(rosey: RoseyProcess) -> AsyncIterator[Intruder]:
    """Somebody who hears everything that is on the bus, also what goes to inboxes."""
    client = await enter(rosey, "core")
    await client.subscribe(">", cb=client.hear)
    await client.flush()
    yield client
    await client.close()


async def test_what_the_broker_refuses(rosey: RoseyProcess, intruder: Intruder, spy: Intruder, alice: Viewer) -> None:
    """Foreign commands, events, inboxes, plugins, JetStream and $SYS: nothing passes, and all is on the record."""
    for subject in PUBLISH:
        await intruder.publish(subject, LINE)
    for subject in SUBSCRIBE:
        await intruder.subscribe(subject, cb=intruder.hear)
    await intruder.flush()
    await alice.say("!echo goes on")
    assert await said(alice) == "goes on"
    tries = len(PUBLISH) + len(SUBSCRIBE)
    status = await rosey.until("it is on the record", lambda s: row(s, "echo")["refused"] >= tries)
    assert row(status, "echo")["refused"] == tries
    assert row(status, "echo")["last_error"] == 'NATS refused it to subscribe to "$JS.>"'
    assert {one["state"] for one in status["plugins"]} == {"running"}
    assert sum(one["refused"] for one in status["plugins"]) == tries
    for way, subjects in (("publish", PUBLISH), ("subscription", SUBSCRIBE)):
        for subject in subjects:
            assert f'nats: permissions violation for {way} to "{subject}"'.lower() in intruder.told
    assert intruder.heard == []
    await spy.flush()
    assert [subject for subject, _ in spy.heard if subject.endswith("chat.message")]
    assert not [subject for subject, payload in spy.heard if MARK.encode() in payload]


async def test_what_the_daemon_refuses(
    rosey: RoseyProcess, intruder: Intruder, spy: Intruder, alice: Viewer, cytube: SimulatedCytube
) -> None:
    """Actions and questions without a grant, garbage, and answers to others: each has its reason and is recorded."""
    for way, payload, reason in REFUSED:
        reply = await intruder.request(f"rosey.plugins.echo.{way}", payload, timeout=10)
        error = json.loads(reply.data)["error"]
        assert error["code"] == "refused"
        assert error["message"].startswith(reason)
    await spy.flush()
    spy.heard.clear()
    for where in ELSEWHERE:
        await intruder.publish("rosey.plugins.echo.do.cytube.chat.send_message", LINE, reply=where)
        await intruder.publish("rosey.plugins.echo.ask.hello", b"{}", reply=where)
    await intruder.flush()
    tries = len(REFUSED) + 2 * len(ELSEWHERE)
    status = await rosey.until("all is on the record", lambda s: row(s, "echo")["refused"] >= tries)
    assert row(status, "echo")["refused"] == tries
    assert sum(one["refused"] for one in status["plugins"]) == tries
    await alice.say("!echo goes on")
    assert await said(alice) == "goes on"
    await spy.flush()
    assert not {subject for subject, payload in spy.heard if subject in ELSEWHERE and b'"ok"' in payload}
    assert MARK not in str(alice.received)
    assert cytube.room.find("alice")


async def test_private_lines(rosey: RoseyProcess, intruder: Intruder, alice: Viewer) -> None:
    """Who was not granted `chat.pm` gets none, also not over its own subjects; who was does."""
    await intruder.subscribe("rosey.plugins.echo.hook.>", cb=intruder.hear)
    await intruder.flush()
    other = await enter(rosey, "parrot")
    await other.subscribe("rosey.plugins.parrot.hook.>", cb=other.hear)
    await other.flush()
    await alice.pm("Rosey", "between us")
    await alice.expect("pm", lambda pm: pm["msg"] == "you said between us")
    await alice.say("!echo a line for all")
    assert await said(alice) == "a line for all"
    await other.flush()
    await intruder.flush()
    assert "between us" in str(other.heard)
    assert "a line for all" in str(intruder.heard)
    assert "between us" not in str(intruder.heard)
    await other.close()


async def test_answers_that_nobody_asked(rosey: RoseyProcess, intruder: Intruder, alice: Viewer) -> None:
    """Guessed tokens, late answers, and hellos of a life that is none end nothing but the plugin's own."""
    for number in range(1_000):
        await intruder.publish(f"rosey.plugins.echo.reply.{number:016x}-{number}", b'{"ok": true}')
    for payload in (b"", b"garbage", b"[" * 10_000, b'{"ok": true}' * 10_000):
        await intruder.publish("rosey.plugins.echo.reply.x", payload)
        await intruder.publish("rosey.plugins.echo.reply", payload)
        await intruder.publish("rosey.events.echo.hello", payload)
    await intruder.flush()
    await alice.say("!echo goes on")
    assert await said(alice) == "goes on"
    assert {one["state"] for one in (await rosey.ask())["plugins"]} == {"running"}


async def test_huge_messages(rosey: RoseyProcess, intruder: Intruder, alice: Viewer) -> None:
    """The biggest that NATS takes is refused with a reason; a bigger one ends the sender's connection alone."""
    text = json.dumps({"text": MARK * 300_000}).encode()
    reply = await intruder.request("rosey.plugins.echo.do.cytube.user.kick", text, timeout=10)
    assert json.loads(reply.data)["error"]["message"] == "echo was not granted user.kick"
    reply = await intruder.request("rosey.plugins.echo.do.cytube.chat.send_message", text, timeout=10)
    assert json.loads(reply.data)["error"]["code"] == "refused"
    intruder._max_payload = 1 << 30  # its own client would not send it
    await intruder.publish("rosey.plugins.echo.do.cytube.chat.send_message", b"x" * (9 << 20))
    await alice.say("!echo goes on")
    assert await said(alice) == "goes on"
    await rosey.until("it is still there", lambda s: s["nats"]["connected"] and row(s, "echo")["state"] == "running")
    assert MARK not in str(alice.received)


@pytest.mark.parametrize(
    ("user", "secret"),
    (("echo", "wrong"), ("echo", ""), ("", ""), ("parrot", "echo"), ("core", "echo"), ("new", "x")),
)
async def test_strangers(rosey: RoseyProcess, user: str, secret: str) -> None:
    """Without the password of that very user nobody gets in."""
    secret = password(rosey, "echo") if secret == "echo" else secret
    client = Client()
    with pytest.raises(errors.Error):
        await client.connect(
            (await rosey.ask())["nats"]["url"],
            user=user,
            password=secret,
            allow_reconnect=False,
            max_reconnect_attempts=1,
        )
    await client.close()
