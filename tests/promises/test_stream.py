"""The stream: other software reads what happened while it was away, over kills and starts, and does nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from typing import Any

import pytest
from nats.js import JetStreamContext
from nats.js import errors as js_errors

from rosey_core.bus.client import Client, errors
from rosey_core.bus.jetstream import PULL_SECONDS
from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.viewer import Viewer
from tests.promises.conftest import READER
from tests.promises.reading import said
from tests.promises.test_bus import broker
from tests.promises.test_workers_bus import Intruder, enter

STREAM = """
[nats.stream]
max_mib = 1
[nats.users.books]
password = { env = "TEST_READER" }
stream = true
[nats.users.late]
password = { env = "TEST_READER" }
stream = true
"""


@pytest.fixture
async def kept(make: Any, cytube: SimulatedCytube) -> Any:
    """A daemon with echo, in the room, whose broker keeps a stream that two users read."""
    async with make(cytube.url, "echo", rest=STREAM) as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.until("the stream is there", there)
        yield process


def there(status: dict[str, Any]) -> bool:
    """Whether the stream is kept."""
    return bool(status["nats"]["connected"] and status["nats"]["stream"]["reason"] == "")


async def stored(js: JetStreamContext, text: str) -> None:
    """Wait until a line is the last of the stream's lines."""

    async def last() -> str:
        try:
            message = await js.get_msg("rosey", subject="rosey.platform.cytube.chat.message", direct=True)
        except js_errors.NotFoundError:
            return ""
        return line(message.data)

    async with asyncio.timeout(10):
        while await last() != text:  # noqa: ASYNC110  it looks at another process
            await asyncio.sleep(0.02)


def line(data: bytes | None) -> str:
    """The text of a line that a person or the bot said just then; else empty."""
    event = json.loads(data or b"")
    said_now = event["event_type"] == "chat.message" and not event["metadata"].get("history")
    text: str = event["data"]["text"] if said_now else ""
    return "" if text == "alice joined" else text


async def lines(reader: Client, user: str = "books", *, until: str) -> list[str]:
    """What a user's consumer has for it, up to a line; all of it is acknowledged."""
    subscription = await reader.jetstream(domain="rosey").pull_subscribe_bind(user, "rosey")
    found: list[str] = []
    async with asyncio.timeout(20):
        while until not in found:
            with contextlib.suppress(errors.TimeoutError):
                for message in await subscription.fetch(100, timeout=0.5):
                    found.append(line(message.data))
                    await message.ack()
    await reader.flush()
    await subscription.unsubscribe()
    return list(filter(None, found))


async def test_read_back(kept: RoseyProcess, connect: Any, alice: Viewer) -> None:
    """A consumer gives the lines in order, once, and goes on where it stopped; any event can be had by number."""
    await alice.say("!echo one")
    assert await said(alice) == "one"
    reader = await connect(kept, "books")
    assert await lines(reader, until="one") == ["!echo one", "one"]
    js = reader.jetstream(domain="rosey")
    state = (await js.stream_info("rosey")).state
    await reader.close()

    await alice.say("!echo two")
    assert await said(alice) == "two"
    again = await connect(kept, "books")
    assert await lines(again, until="two") == ["!echo two", "two"]
    late = await connect(kept, "late")
    assert await lines(late, "late", until="two") == ["!echo one", "one", "!echo two", "two"]

    js = again.jetstream(domain="rosey")
    first = await js.get_msg("rosey", state.first_seq)
    assert first.subject is not None
    assert first.subject.startswith("rosey.platform.cytube.")
    assert json.loads(first.data or b"")["platform"] == "cytube"
    live = await again.subscribe("rosey.platform.cytube.chat.message")
    await asyncio.sleep(0)
    await again.flush()
    await alice.say("for who listens")
    assert line((await live.next_msg(10)).data) == "for who listens"
    told = (await kept.ask())["nats"]["stream"]
    assert told["name"] == "rosey"
    assert told["messages"] > state.messages
    assert told["bytes"] > 0
    code, page = await kept.command("status")
    assert code == 0
    assert f"stream rosey: {told['messages']:,} events, 0.0 MiB" in page


async def test_batches(kept: RoseyProcess, connect: Any, alice: Viewer) -> None:
    """Many events come by one request, from any number on; a request that waits for too long is refused at once."""
    reader = await connect(kept, "books")
    await alice.say("a line")
    await stored(reader.jetstream(domain="rosey"), "a line")
    answers = await reader.subscribe("_INBOX_books.batch")
    await asyncio.sleep(0)
    await reader.flush()
    wanted = b'{"seq": 1, "batch": 3}'
    await reader.publish("$JS.rosey.API.DIRECT.GET.rosey", wanted, reply="_INBOX_books.batch")
    got = [await answers.next_msg(10) for _ in range(4)]
    assert [(message.headers or {}).get("Nats-Sequence") for message in got] == ["1", "2", "3", None]
    assert (got[3].headers or {})["Nats-Last-Sequence"] == "3"
    waiting = json.dumps({"batch": 9, "expires": (PULL_SECONDS + 1) * 10**9}).encode()
    await reader.publish("$JS.rosey.API.CONSUMER.MSG.NEXT.rosey.books", waiting, reply="_INBOX_books.batch")
    refusal = (await answers.next_msg(10)).headers
    assert "Exceeded MaxRequestExpires of 1m0s" in (refusal or {}).values()


async def test_kills_and_starts(kept: RoseyProcess, connect: Any, cytube: SimulatedCytube, alice: Viewer) -> None:
    """What was stored is there after nats-server, and then the daemon, was killed, and after an ordinary start."""
    reader = await connect(kept, "books")

    async def speak(text: str) -> None:
        """Say a line, and wait until it is stored."""
        cytube.room.say_as("bob", text)
        client = await connect(kept, "books")
        await stored(client.jetstream(domain="rosey"), text)

    await speak("one")
    assert await lines(reader, until="one") == ["one"]
    os.kill(broker(kept), signal.SIGKILL)
    await kept.until("it is back", lambda s: s["nats"]["starts"] == 2 and there(s))
    await speak("two")
    kept.send_signal(signal.SIGKILL)
    await kept.ended()
    for text in ("three", "four"):
        await kept.start()
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await kept.until("the stream is there", there)
        await speak(text)
        if text == "three":
            assert await kept.stop() == 0
    assert await lines(await connect(kept, "late"), "late", until="four") == ["one", "two", "three", "four"]
    # A kill may lose what was acknowledged last, which comes again then.
    again = await lines(await connect(kept, "books"), until="four")
    assert list(dict.fromkeys(text for text in again if text != "one")) == ["two", "three", "four"]
    assert kept.log.read_text().count('"stream.kept"') == 3


async def test_bounded(kept: RoseyProcess, connect: Any, cytube: SimulatedCytube) -> None:
    """The oldest go: it never holds more than it may."""
    reader = await connect(kept, "books")
    js = reader.jetstream(domain="rosey")
    await stored(js, "")
    for number in range(4_000):
        cytube.room.say_as("bob", f"{number} {'x' * 200}")
        if not number % 50:
            await asyncio.sleep(0)
    await stored(js, f"3999 {'x' * 200}")
    state = (await js.stream_info("rosey")).state
    assert state.first_seq > 1
    assert 900_000 < state.bytes <= 1 << 20
    assert state.messages == state.last_seq - state.first_seq + 1
    assert (await kept.ask())["nats"]["stream"]["bytes"] <= 1 << 20


PLATFORM = ("rosey.platform.>",)
REPLIES = (
    "rosey.commands.cytube.playlist.clear",
    "rosey.commands.chat.send_message",
    "rosey.platform.cytube.chat.message",
    "rosey.plugins.echo.control.stop",
    "rosey.plugins.echo.hook.cytube.events",
    "rosey.events.echo.told",
    "_INBOX_core.heartbeat",
    "_INBOX_core.stream.x",
    "_INBOX_reader.x",
    "_INBOX_late.x",
    "$JS.API.STREAM.DELETE.rosey",
    "$JS.API.STREAM.PURGE.rosey",
    "$JS.rosey.API.STREAM.INFO.rosey",
    "$JS.API.CONSUMER.DELETE.rosey.late",
)
FORBIDDEN = (
    "rosey.platform.cytube.chat.message",
    "rosey.commands.cytube.chat.send_message",
    "rosey.plugins.echo.control.stop",
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.rosey",
    "$JS.API.STREAM.DELETE.rosey",
    "$JS.rosey.API.STREAM.DELETE.rosey",
    "$JS.rosey.API.STREAM.PURGE.rosey",
    "$JS.rosey.API.STREAM.UPDATE.rosey",
    "$JS.rosey.API.STREAM.MSG.DELETE.rosey",
    "$JS.rosey.API.STREAM.NAMES",
    "$JS.rosey.API.CONSUMER.CREATE.rosey.mine",
    "$JS.rosey.API.CONSUMER.MSG.NEXT.rosey.late",
    "$JS.rosey.API.CONSUMER.DELETE.rosey.books",
    "$JS.ACK.rosey.late.1.1.1.0.0",
    "$SYS.REQ.SERVER.PING",
)


async def test_what_a_reader_can_not(
    kept: RoseyProcess, connect: Any, cytube: SimulatedCytube, alice: Viewer
) -> None:
    """Whatever it asks, and wherever it wants the answer: nothing of it is heard outside, and the stream is whole."""
    await alice.say("the line")
    reader = await enter(kept, "books", READER)
    js = reader.jetstream(domain="rosey")
    await stored(js, "the line")
    before = (await js.stream_info("rosey")).state
    others = [await enter(kept, "core"), await enter(kept, "late", READER), await enter(kept, "reader", READER)]
    everything = ("rosey.>", "_INBOX_core.>", "_INBOX_reader.>", "_INBOX_late.>", "$JS.API.>")
    for client, subjects in zip(others, (everything, everything[3:4] + PLATFORM, PLATFORM), strict=True):
        for subject in subjects:
            await client.subscribe(subject, cb=client.hear)
        await asyncio.sleep(0)
        await client.flush()
    subscription = await js.pull_subscribe_bind("books", "rosey")
    messages = await subscription.fetch(100, timeout=0.5)
    assert len(messages) < 100
    asked = (
        ("$JS.rosey.API.STREAM.INFO.rosey", b""),
        ("$JS.rosey.API.STREAM.MSG.GET.rosey", b'{"seq": 1}'),
        ("$JS.rosey.API.DIRECT.GET.rosey", b'{"seq": 1, "batch": 3}'),
        ("$JS.rosey.API.DIRECT.GET.rosey", b'{"seq": 1000000}'),
        ("$JS.rosey.API.CONSUMER.INFO.rosey.books", b""),
        ("$JS.rosey.API.CONSUMER.MSG.NEXT.rosey.books", b'{"batch": 1, "no_wait": true}'),
        (messages[0].reply, b"-NAK"),
        (messages[0].reply, b"+ACK"),
        (messages[1].reply, b"+NXT"),
        (messages[2].reply, b"garbage"),
    )
    for where in REPLIES:
        for subject, payload in asked:
            await reader.publish(subject, payload, reply=where)
    for subject in FORBIDDEN:
        await reader.publish(subject, b"{}", reply="_INBOX_books.x")
    await asyncio.sleep(0)
    await reader.flush()
    assert len([told for told in reader.told if "permissions violation for publish" in told]) >= len(FORBIDDEN)
    await alice.say("!echo goes on")
    assert await said(alice) == "goes on"
    await stored(js, "goes on")
    for client in others:
        await asyncio.sleep(0)
        await client.flush()
    check(others)
    after = (await js.stream_info("rosey")).state
    assert after.first_seq == before.first_seq
    assert after.consumer_count == before.consumer_count == 2
    status = await kept.until("it is on the record", lambda _: '"user":"books"' in kept.log.read_text())
    assert {row["state"] for row in status["plugins"]} == {"running"}
    assert there(status)
    for client in (reader, *others):
        await client.close()


def check(others: list[Intruder]) -> None:
    """What the daemon's user, another reader and a tool heard is what the daemon and echo say, and nothing else."""
    spy, late, tool = others
    events = [(subject, payload) for subject, payload in spy.heard if subject.startswith("rosey.")]
    assert all(subject.startswith("rosey.platform.") for subject, _ in events)
    ids = [json.loads(payload)["id"] for _, payload in events]
    assert len(ids) == len(set(ids))
    assert late.heard == tool.heard == events
    rest = {(subject, payload) for subject, payload in spy.heard if not subject.startswith("rosey.")}
    asked = {subject for subject, _ in rest if subject.startswith("$JS.API.")}
    assert not [subject for subject in asked if any(word in subject for word in ("DELETE", "PURGE", "UPDATE"))]
    answers = {subject.rpartition(".")[0] for subject, _ in rest if not subject.startswith("$JS.API.")}
    assert answers <= {"_INBOX_core", "_INBOX_core.stream"}
    assert not [one for one in rest if one[0] == "_INBOX_core.stream.x"]


async def test_reload(kept: RoseyProcess, connect: Any, alice: Viewer) -> None:
    """Other users come and go while one reads; one more that is to read the stream needs a restart, which is told."""
    reader = await connect(kept, "books")
    path = kept.directory / "rosey.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + '[nats.users.new]\npassword = { env = "TEST_READER" }\n', encoding="utf-8")
    assert (await kept.command("ctl", "reload"))[0] == 0
    await (await connect(kept, "new")).flush()
    await alice.say("a line")
    assert await lines(reader, until="a line") == ["a line"]
    path.write_text(path.read_text(encoding="utf-8") + "stream = true\n", encoding="utf-8")
    code, told = await kept.command("ctl", "reload")
    assert code == 1
    assert "nats.users.new.stream changed, and only a restart of rosey can apply that." in told
    path.write_text(text.partition("[nats.users.late]")[0], encoding="utf-8")
    assert (await kept.command("ctl", "reload"))[0] == 0
    await alice.say("another")
    assert await lines(reader, until="another") == ["another"]


async def test_without_it(rosey: RoseyProcess) -> None:
    """JetStream is off: nobody answers, and nothing is on the disk."""
    core = await enter(rosey, "core")
    with pytest.raises(errors.NoRespondersError):
        await core.request("$JS.API.INFO", b"", timeout=5)
    await core.close()
    assert not (rosey.state / "nats" / "jetstream").exists()
    assert (await rosey.ask())["nats"]["stream"] is None
