"""The bus: the seed's subjects hold, NATS may go away, and a client can do what it was granted and no more."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import pytest

from rosey_core.bus.client import Client, errors
from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.users import cloak
from rosey_core.testing.viewer import Viewer
from tests.promises.reading import said

FIVE = {"event_type", "platform", "data", "timestamp", "metadata"}


def broker(process: RoseyProcess) -> int:
    """The process id of the nats-server that runs last."""
    started = [json.loads(line) for line in process.log.read_text().splitlines() if '"nats.listens"' in line]
    return int(started[-1]["pid"])


async def test_a_subscriber_sees_the_five_fields(rosey: RoseyProcess, connect: Any, alice: Viewer) -> None:
    """A plain subscriber to one channel's subjects gets each line, with the seed's fields and ours."""
    bus = await connect(rosey)
    lines = await bus.subscribe("rosey.platform.cytube.chat.message")
    everything = await bus.subscribe("rosey.platform.cytube.>")
    await bus.flush()
    await alice.say("for the bus <b>& others</b>")
    message = await lines.next_msg(10)
    event = json.loads(message.data)
    assert event.keys() >= FIVE
    assert event["event_type"] == "chat.message"
    assert event["platform"] == "cytube"
    assert event["data"]["username"] == "alice"
    assert event["data"]["text"] == "for the bus <b>& others</b>"
    assert abs(event["timestamp"] - event["data"]["time_ms"] / 1000) < 0.001
    assert (await everything.next_msg(10)).subject.startswith("rosey.platform.cytube.")


async def test_a_named_user_speaks(rosey: RoseyProcess, connect: Any, alice: Viewer) -> None:
    """`rosey.commands.cytube.chat.send_message`, and its short form, speak and return the receipt."""
    bus = await connect(rosey)
    for subject in ("rosey.commands.cytube.chat.send_message", "rosey.commands.chat.send_message"):
        reply = await bus.request(subject, b'{"text": "from the bus"}', timeout=10)
        assert json.loads(reply.data) == {"ok": True, "result": {"state": "done"}}
        assert await said(alice) == "from the bus"


async def test_what_was_not_granted(rosey: RoseyProcess, connect: Any, cytube: SimulatedCytube) -> None:
    """The broker itself refuses other actions, other subjects, other people's inboxes, and strangers."""
    said_no: list[str] = []

    async def note(error: Exception) -> None:
        said_no.append(str(error))
        told.set()

    told = asyncio.Event()
    url = (await rosey.until("NATS is there", lambda told: told["nats"]["connected"]))["nats"]["url"]
    async with asyncio.timeout(20):
        bus = Client()
        await bus.connect(
            url, user="reader", password="canary-of-the-reader", inbox_prefix="_INBOX_reader", error_cb=note
        )
        forbidden = (
            "rosey.commands.cytube.user.kick",
            "rosey.platform.cytube.chat.message",
            "rosey.events.echo.hello",
            "rosey.plugins.echo.control.stop",
            "_INBOX_core.x",
            "$SYS.REQ.SERVER.PING",
            "$JS.API.INFO",
        )
        for subject in forbidden:
            told.clear()
            await bus.publish(subject, b"{}")
            await told.wait()
            assert f'permissions violation for publish to "{subject}"'.lower() in said_no[-1].lower()
        for subject in (">", "rosey.commands.>", "_INBOX.>", "_INBOX_core.>", "rosey.plugins.>"):
            told.clear()
            await bus.subscribe(subject)
            await told.wait()
            assert "permissions violation for subscription" in said_no[-1].lower()
        await bus.close()
        for user, password in (("reader", "wrong"), ("", ""), ("core", "")):
            stranger = Client()
            with pytest.raises(errors.Error):
                await stranger.connect(
                    url, user=user, password=password, allow_reconnect=False, max_reconnect_attempts=1
                )
            await stranger.close()
    assert cytube.room.find("Rosey") is not None


async def test_bad_requests_get_sentences(rosey: RoseyProcess, connect: Any) -> None:
    """Each is answered at once, with a code and what to do."""
    bus = await connect(rosey)

    async def ask(subject: str, payload: bytes) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads((await bus.request(subject, payload, timeout=10)).data)
        assert not answer["ok"]
        error: dict[str, Any] = answer["error"]
        return error

    error = await ask("rosey.commands.cytube.chat.send_message", b"{}")
    assert error == {"code": "bad_request", "message": "chat.send_message: Object missing required field `text`"}
    error = await ask("rosey.commands.cytube.chat.send_message", b"not json")
    assert error["code"] == "bad_request"
    error = await ask("rosey.commands.cytube.media.queue", b'{"link": "https://evil.example/?u=youtu.be/x"}')
    assert "is no link to media that CyTube knows" in error["message"]


async def test_queries_over_the_bus(make: Any, cytube: SimulatedCytube, connect: Any) -> None:
    """Both forms of a query's subject are answered, typed, to who was granted that plugin's queries."""
    async with make(cytube.url, "asker") as process:
        bus = await connect(process)
        for subject in ("rosey.plugins.asker.add", "rosey.events.asker.query.add"):
            reply = await bus.request(subject, b'{"a": 2, "b": 3}', timeout=10)
            assert json.loads(reply.data) == {"ok": True, "result": 5}
        reply = await bus.request("rosey.plugins.asker.add", b'{"a": "two"}', timeout=10)
        assert json.loads(reply.data)["error"]["message"] == "add: the argument a is wrong: Expected `int`, got `str`"


@pytest.mark.parametrize("fault", ("killed", "frozen"))
async def test_nats_goes_away_and_comes_back(
    rosey: RoseyProcess, connect: Any, cytube: SimulatedCytube, alice: Viewer, fault: str
) -> None:
    """Meanwhile chat and plugins go on; afterwards a subscriber gets what was said, or a gap that says what not."""
    await rosey.until("it is connected", lambda s: s["nats"]["connected"])
    pid = broker(rosey)
    os.kill(pid, signal.SIGKILL if fault == "killed" else signal.SIGSTOP)
    for number in range(3):
        cytube.room.say_as("bob", "somebody else speaks between, or it would look like two bots")
        await alice.say(f"!echo without {number}")
        assert await said(alice) == f"without {number}"
    if fault == "frozen":
        await rosey.until("it notices", lambda s: not s["nats"]["connected"])
        cytube.room.say_as("bob", "so")
        await alice.say("!echo frozen")
        assert await said(alice) == "frozen"
        os.kill(pid, signal.SIGCONT)
    await rosey.until("it is back", lambda s: s["nats"]["connected"] and (fault == "frozen" or broker(rosey) != pid))
    assert (await rosey.ask())["nats"]["starts"] == (2 if fault == "killed" else 1)
    bus = await connect(rosey)
    lines = await bus.subscribe("rosey.platform.cytube.chat.message")
    await bus.flush()
    cytube.room.say_as("bob", "so")
    await alice.say("!echo with")
    assert await said(alice) == "with"
    texts = [json.loads((await lines.next_msg(10)).data)["data"]["text"] for _ in range(3)]
    assert texts == ["so", "!echo with", "with"]


async def test_nats_is_away_at_the_start(make: Any, cytube: SimulatedCytube, alice: Viewer) -> None:
    """An external NATS that is not there yet delays nothing: the bot joins and answers."""
    text = make(cytube.url, "echo")
    config = text.directory / "rosey.toml"
    config.write_text(
        config.read_text().partition("[nats.users")[0]
        + '[nats]\nmode = "external"\nurl = "nats://127.0.0.1:1"\n[plugins.echo]\nenabled = true\n'
        + 'grant = ["chat.read", "chat.send"]\n'
    )
    async with text as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await alice.say("!echo alone")
        assert await said(alice) == "alone"
        assert not (await process.ask())["nats"]["connected"]


async def test_addresses_stay_inside(rosey: RoseyProcess, connect: Any, cytube: SimulatedCytube) -> None:
    """A moderator is told where people come from, if cloaked; the bus, the log and the files are not."""
    async with Viewer(cytube.url, "movienight", "Olive", "pw") as olive:
        bus = await connect(rosey)
        heard: list[bytes] = []

        async def take(message: Any) -> None:
            heard.append(message.data)

        await bus.subscribe("rosey.platform.>", cb=take)
        await bus.flush()
        async with Viewer(cytube.url, "movienight", "zoe", address="203.0.113.77") as zoe:
            await zoe.say("!echo done")
            assert await said(zoe) == "done"
        await rosey.until("she is gone", lambda s: s["channels"]["cytube"]["users"] == 2)
        await bus.flush()
        address = cloak("203.0.113.77")
        assert address in str(olive.received)
    assert b"zoe" in b"".join(heard)
    told = b"".join(heard) + b"".join(path.read_bytes() for path in rosey.directory.rglob("*") if path.is_file())
    assert address.encode() not in told
