"""The stream on real nats-servers: made, given its bounds, made again, and why it is not there."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import pytest
from structlog.testing import capture_logs

from rosey_core import log
from rosey_core.bus import stream as module
from rosey_core.bus.access import users
from rosey_core.bus.broker import Broker
from rosey_core.bus.bus import Bus, Login
from rosey_core.bus.client import Client, errors
from rosey_core.bus.stream import Stream
from rosey_core.config import ChannelConfig, Config, NatsConfig, NatsStream, NatsUser, Secret
from tests.servers import nats_server

READER = NatsUser(Secret(env="X"), stream=True)
SUBJECT = "rosey.platform.cytube.chat.message"


def config(stream: NatsStream | None = NatsStream(), *readers: str) -> Config:  # noqa: B008  it is frozen
    """A configuration with a stream and who reads it."""
    nats = NatsConfig(users=dict.fromkeys(readers, READER), stream=stream)
    return Config(1, {"cytube": ChannelConfig("r")}, nats)


class Kept:
    """A stream that is kept, and a client with the same rights."""

    def __init__(self, url: Callable[[], Any], wanted: Config) -> None:
        async def login() -> Login:
            return Login(await url(), "core", "pw")

        self.bus = Bus(login, name="core", gap=lambda *_: ("", b""), log=log.get("bus"))
        self.stream = Stream(self.bus, wanted, log.get("stream"))
        self.client = Client()
        self._login = login

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.stream.run())
        await self.bus.start()
        login = await self._login()
        await self.client.connect(login.url, user=login.user, password=login.password, inbox_prefix="_INBOX_core")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.client.close()
        self._task.cancel()
        await asyncio.wait((self._task,))
        await self.bus.close(1)

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Look at its status until it is so."""
        status: dict[str, Any] | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                while True:
                    await self.stream.look()
                    status = self.stream.status()
                    if status is not None and holds(status):
                        return status
                    await asyncio.sleep(0.02)
        raise AssertionError(f"never so: {status}")

    async def ask(self, what: str, said: Any = None) -> Any:
        """Ask JetStream."""
        payload = b"" if said is None else json.dumps(said).encode()
        return json.loads((await self.client.request(f"$JS.API.{what}", payload, timeout=5)).data)


def made(status: dict[str, Any]) -> bool:
    """Whether it is there."""
    return not status["reason"]


@pytest.fixture
async def keep(tmp_path: Path) -> AsyncIterator[Callable[[Config], Kept]]:
    """Keep the stream of a configuration on a server of our own; one after another in the same directory."""
    brokers: list[Broker] = []

    def keeping(wanted: Config) -> Kept:
        everybody = users(wanted, (), lambda _: "pw")
        brokers.append(broker := Broker(wanted.nats, tmp_path / "nats", everybody, log.get("nats")))
        broker.spawn()
        return Kept(broker.ready, wanted)

    yield keeping
    for broker in brokers:
        await broker.stop()


async def test_made(keep: Callable[[Config], Kept]) -> None:
    """It has the owner's bounds and stores what is published; who publishes with a reply subject hears nothing."""
    async with keep(config(NatsStream("kept", max_mib=2, max_days=0.5), "books")) as kept:
        with capture_logs() as logged:
            await kept.until(made)
        assert [entry["event"] for entry in logged if entry["event"].startswith("stream")] == ["stream.kept"]
        shape = (await kept.ask("STREAM.INFO.kept"))["config"]
        assert shape["subjects"] == ["rosey.platform.>"]
        assert (shape["max_bytes"], shape["max_age"]) == (2 << 20, 43_200 * 10**9)
        assert (shape["storage"], shape["retention"], shape["discard"]) == ("file", "limits", "old")
        assert (await kept.ask("CONSUMER.INFO.kept.books"))["config"]["ack_policy"] == "explicit"
        with pytest.raises(errors.TimeoutError):
            await kept.client.request(SUBJECT, b"{}", timeout=0.3)
        kept.bus.publish(SUBJECT, b"{}", "cytube", 1)
        status = await kept.until(lambda status: status["messages"] == 2)
        assert status["bytes"] > 0
        assert status["name"] == "kept"


async def test_other_bounds(keep: Callable[[Config], Kept]) -> None:
    """They are the next start's, also smaller ones; what others set beside them stays."""
    async with keep(config(NatsStream(max_mib=4), "books")) as kept:
        await kept.until(made)
        for number in range(3):
            kept.bus.publish(SUBJECT, b"x" * (1 << 20), "cytube", number + 1)
        await kept.until(lambda status: status["messages"] == 3)
        shape = (await kept.ask("STREAM.INFO.rosey"))["config"]
        await kept.ask("STREAM.UPDATE.rosey", shape | {"description": "of the owner", "max_msgs": 1000})
        theirs = (await kept.ask("CONSUMER.INFO.rosey.books"))["config"] | {"max_ack_pending": 7}
        await kept.ask("CONSUMER.CREATE.rosey.books", {"stream_name": "rosey", "config": theirs})
    async with keep(config(NatsStream(max_mib=2, max_days=0.01), "books")) as kept:
        await kept.until(lambda status: made(status) and status["messages"] == 1)
        shape = (await kept.ask("STREAM.INFO.rosey"))["config"]
        assert (shape["max_bytes"], shape["max_age"]) == (2 << 20, 864 * 10**9)
        assert (shape["description"], shape["max_msgs"]) == ("of the owner", 1000)
        assert (await kept.ask("CONSUMER.INFO.rosey.books"))["config"]["max_ack_pending"] == 7


async def test_deleted(keep: Callable[[Config], Kept]) -> None:
    """Somebody deletes it: when that is seen it is made again."""
    async with keep(config()) as kept:
        kept.bus.publish(SUBJECT, b"{}", "cytube", 1)
        await kept.until(made)
        with capture_logs() as logged:
            assert (await kept.ask("STREAM.DELETE.rosey"))["success"]
            await kept.stream.look()
            status = await kept.until(made)
        assert status["messages"] == 0
        told = [(entry["event"], entry.get("reason")) for entry in logged if entry["event"].startswith("stream")]
        assert told == [
            ("stream.missing", "NATS refused STREAM.INFO.rosey: stream not found"),
            ("stream.kept", None),
        ]


async def test_of_somebody_else(keep: Callable[[Config], Kept]) -> None:
    """A stream of that name with other subjects is left alone, and so is one that has our subjects already."""
    async with keep(config(NatsStream("films"))) as kept:
        await kept.until(made)
        await kept.ask("STREAM.DELETE.films")
        await kept.ask("STREAM.CREATE.films", {"name": "films", "subjects": ["films.>"]})
        await kept.stream.look()
        kept.stream._wake.set()
        status = await kept.until(lambda status: "another" in status["reason"])
        reason = "there is another stream films, of films.>: set another name under [nats.stream]"
        assert status["reason"] == reason
        await kept.ask("STREAM.DELETE.films")
        await kept.ask("STREAM.CREATE.theirs", {"name": "theirs", "subjects": ["rosey.>"]})
        kept.stream._wake.set()
        await kept.until(lambda status: "overlap" in status["reason"])
        assert (await kept.ask("STREAM.INFO.theirs"))["config"]["subjects"] == ["rosey.>"]


OFF = "JetStream is off there: it needs  jetstream { store_dir: ... }  and, in rosey's account,  jetstream: enabled"
STORE = 'jetstream { store_dir: "DIR", max_file_store: 1MB }\n'
CORE = 'user: "core", password: "pw"'
LAME = f'{CORE}, permissions {{ publish: {{ deny: "$JS.>" }} }}'


@pytest.mark.parametrize(
    ("conf", "reason"),
    (
        (f"accounts {{ R {{ users: [{{ {CORE} }}] }} }}", OFF),
        (f"{STORE} accounts {{ R {{ users: [{{ {CORE} }}] }}, O {{ jetstream: enabled }} }}", OFF),
        (
            f"{STORE} accounts {{ R {{ jetstream: enabled, users: [{{ {LAME} }}] }} }}",
            "JetStream: no answer within 0.5 s; may boss publish to $JS.API.> there?",
        ),
        (
            f"{STORE} accounts {{ R {{ jetstream: enabled, users: [{{ {CORE} }}] }} }}",
            "NATS refused STREAM.CREATE.rosey: insufficient storage resources available",
        ),
    ),
    ids=("off", "off in its account", "not allowed", "no room"),
)
async def test_what_a_server_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conf: str, reason: str) -> None:
    """On a server of the owner's: the reason is told once, and what is published goes its way."""
    monkeypatch.setattr(module, "SECONDS", 0.5)
    async with nats_server(tmp_path / "theirs", conf.replace("DIR", str(tmp_path))) as where:
        theirs = Config(1, {}, NatsConfig("external", user="boss", stream=NatsStream()))

        async def url() -> str:
            return f"nats://{where}"

        with capture_logs() as logged:
            async with Kept(url, theirs) as kept:
                await kept.until(lambda status: status["reason"] == reason)
                kept.stream._wake.set()
                heard = await kept.client.subscribe(SUBJECT)
                await asyncio.sleep(0)
                await kept.client.flush()
                kept.bus.publish(SUBJECT, b"on its way", "cytube", 1)
                assert (await heard.next_msg(5)).data == b"on its way"
        assert [entry["reason"] for entry in logged if entry["event"] == "stream.missing"] == [reason]


async def test_what_stores_nothing(keep: Callable[[Config], Kept], monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that stands still, though every channel publishes each minute, is told; when it grows, all is well."""
    monkeypatch.setattr(module, "STILL", 0.1)
    async with keep(config()) as kept:
        status = await kept.until(lambda status: "stored nothing" in status["reason"])
        assert status["reason"].startswith("NATS stored nothing for over 150 s, and its log may say why;")
        kept.bus.publish(SUBJECT, b"{}", "cytube", 1)
        await kept.until(made)


async def test_none_is_wanted(keep: Callable[[Config], Kept]) -> None:
    """Without it JetStream is off, and there is nothing to tell."""
    async with keep(config(None)) as kept:
        await kept.bus.ready(5)
        await kept.stream.look()
        assert kept.stream.status() is None
        with pytest.raises(errors.NoRespondersError):
            await kept.ask("INFO")


async def test_nats_is_away() -> None:
    """That is its reason then, too."""

    async def nowhere() -> str:
        return "nats://127.0.0.1:1"

    kept = Kept(nowhere, config())
    await kept.stream.look()
    assert kept.stream.status() == {"name": "rosey", "messages": 0, "bytes": 0, "reason": "NATS is away: not started"}
