"""What the daemon refuses to workers, on a real nats-server: with a reason, on that plugin's record, and at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from rosey_core import log
from rosey_core.actions import Action, Outcome
from rosey_core.bus.access import core_user, worker_user
from rosey_core.bus.broker import Broker
from rosey_core.bus.bus import Bus, Login
from rosey_core.bus.client import Client, Msg
from rosey_core.bus.questions import Questions
from rosey_core.cause import Cause
from rosey_core.channel.channel import Channel
from rosey_core.config import NatsConfig
from rosey_core.errors import PluginError, Unavailable
from rosey_core.host import messages, workers
from rosey_core.host.door import Door
from rosey_core.host.outside import Outside
from rosey_core.host.store import Keep, Store
from rosey_core.host.workers import Workers
from rosey_core.manifest import API, Description
from rosey_core.receipt import Receipt
from tests.stores import running

CORE = core_user("core-canary")
DICE, OTHER = worker_user("dice", "dice-canary"), worker_user("other", "other-canary")
LINE = b'{"text": "hello"}'


class Room:
    """A channel that does what it is told, and remembers it."""

    name = "cytube"
    prefix = "!"
    seen = 0

    def __init__(self) -> None:
        self.state = Channel()
        self.done: list[tuple[str, Action]] = []

    def act(self, action: Action, *, plugin: str, reply: bool, cause: Cause | None = None) -> Receipt:
        """Do it."""
        self.done.append((plugin, action))
        return Receipt.of(action.name, Outcome("done"))


class Scene:
    """The daemon's front for workers, with two plugins that it knows."""

    def __init__(self, url: str, store: Keep) -> None:
        async def login() -> Login:
            return Login(url, CORE.name, CORE.password)

        self.room = Room()
        self.bus = Bus(login, name="core", gap=lambda *_: ("", b""), log=log.get("test"))
        self.workers = Workers(self.bus, {"cytube": self.room}, self.query, store, self.nobody, log.get("test"))
        self.homes: dict[str, Outside] = {}
        for name in ("dice", "other"):
            description = Description(
                name=name, summary="", api=API, asks=("chat.read", "chat.send", "query:other", "store")
            )
            self.homes[name] = Outside(
                description, frozenset(("chat.read", "chat.send")), {}, {"cytube": (self.room, {})}, self.workers.ask
            )
            self.workers.know(self.homes[name], lambda _: None)

    @property
    def dice(self) -> Outside:
        """The plugin that tries things."""
        return self.homes["dice"]

    async def query(self, plugin: str, name: str, channel: str, args: Mapping[str, Any]) -> Any:
        """A query that answers."""
        return f"{plugin} {name}"

    async def nobody(self, plugin: str) -> Login:
        """No process is started here."""
        raise AssertionError(plugin)


@pytest.fixture
async def broker(tmp_path: Any) -> AsyncIterator[Broker]:
    """A running nats-server."""
    broker = Broker(NatsConfig(), tmp_path / "nats", (CORE, DICE, OTHER), log.get("nats"))
    broker.spawn()
    await broker.ready()
    yield broker
    await broker.stop()


@pytest.fixture
async def scene(broker: Broker, tmp_path: Path) -> AsyncIterator[Scene]:
    """The daemon's side, connected."""
    async with running(tmp_path / "store.db") as kept:
        scene = Scene(broker.url, kept.do)
        broker.refused = scene.workers.refused
        await scene.workers.listen()
        await scene.bus.start()
        await scene.bus.ready(5)
        yield scene
        await scene.bus.close(1)


@pytest.fixture
async def dice(broker: Broker) -> AsyncIterator[Client]:
    """A NATS client with the user of the plugin dice, as somebody may write it in any language."""
    client = Client()

    async def ignore(_: Exception) -> None:
        pass

    await client.connect(broker.url, user="dice", password="dice-canary", inbox_prefix="_INBOX_dice", error_cb=ignore)
    yield client
    await client.close()


async def ask(client: Client, way: str, payload: bytes = LINE) -> dict[str, Any]:
    """Ask the daemon something as dice."""
    answer: dict[str, Any] = json.loads((await client.request(f"rosey.plugins.dice.{way}", payload, timeout=5)).data)
    return answer


async def test_what_it_may(scene: Scene, dice: Client) -> None:
    """A granted action is done, in the plugin's name, and nothing stands on its record."""
    assert await ask(dice, "do.cytube.chat.send_message") == {"ok": True, "result": {"state": "done"}}
    assert [plugin for plugin, _ in scene.room.done] == ["dice"]
    assert scene.dice.counts.refused == 0


@pytest.mark.parametrize(
    ("way", "payload", "reason"),
    (
        ("do.cytube.user.kick", b'{"name": "bob"}', "dice was not granted user.kick"),
        ("do.cytube.reply.user.kick", b'{"name": "bob"}', "dice was not granted user.kick"),
        ("do.cytube.chat.send_pm", b'{"to": "bob", "text": "x"}', "dice was not granted chat.pm.send"),
        ("do.films.chat.send_message", LINE, "there is no action chat.send_message in films"),
        ("do.cytube.chat.shout", LINE, "there is no action chat.shout in cytube"),
        ("do.cytube", LINE, "there is no action  in cytube"),
        ("do.cytube.chat.send_message", b"\xff\x00garbage", "chat.send_message: "),
        ("do.cytube.chat.send_message", b"[" * 100_000, "chat.send_message: "),
        ("do.cytube.chat.send_message", b'{"text": 5}', "chat.send_message: Expected `str`, got `int`"),
        ("ask.query", b'{"plugin": "other", "name": "q", "channel": "cytube"}', "dice was not granted query:other"),
        ("ask.query", b"garbage", "this can't be read: "),
        ("ask.query", b'{"args": {"a": ' + b"[" * 100_000, "this can't be read: "),
        ("ask.hello", b"{}", "this can't be read: "),
        ("ask.store", b'{"do": "get", "channel": "cytube", "key": "x"}', "dice was not granted store"),
        ("ask.secrets", b"{}", "there is no question secrets"),
        (f"ask.{'x' * 500}", b"{}", f"there is no question {'x' * 100}"),
    ),
)
async def test_refusals(scene: Scene, dice: Client, way: str, payload: bytes, reason: str) -> None:
    """Each is refused with a reason, nothing is done, and it stands on that plugin's record alone."""
    answer = await ask(dice, way, payload)
    assert not answer["ok"]
    assert answer["error"]["code"] == "refused"
    assert answer["error"]["message"].startswith(reason)
    assert scene.room.done == []
    assert (scene.dice.counts.refused, scene.dice.counts.last_error) == (1, answer["error"]["message"])
    assert scene.homes["other"].counts.refused == 0


@pytest.mark.parametrize(
    "reply",
    (
        "",
        "_INBOX.x",
        "_INBOX_other.x",
        "_INBOX_core.heartbeat",
        "_INBOX_dice",
        "_INBOX_dice.>",
        "_INBOX_dice.*",
        "_INBOX_dicey.x",
        "rosey.commands.cytube.chat.clear",
        "rosey.platform.cytube.chat.message",
        "rosey.plugins.other.do.cytube.chat.send_message",
    ),
)
async def test_whose_inbox(scene: Scene, broker: Broker, dice: Client, reply: str) -> None:
    """A request whose answer would go elsewhere than to the asker's own inbox is neither done nor answered."""
    heard: list[str] = []

    async def hear(message: Msg) -> None:
        heard.append(message.subject)

    spy = Client()
    await spy.connect(broker.url, user=CORE.name, password=CORE.password)
    for pattern in ("rosey.commands.>", "rosey.platform.>", "rosey.plugins.other.>", "_INBOX.>", "_INBOX_other.>"):
        await spy.subscribe(pattern, cb=hear)
    await spy.flush()
    await dice.publish("rosey.plugins.dice.do.cytube.chat.send_message", LINE, reply=reply)
    await ask(dice, "ask.nothing")  # whoever answers this took the other before
    await spy.flush()
    await spy.close()
    assert scene.room.done == []
    assert heard == []
    assert scene.dice.counts.refused == 2


async def test_a_revoked_grant(scene: Scene, dice: Client) -> None:
    """A grant that is taken away, or given, counts from the next request and the next event on."""
    assert (await ask(dice, "do.cytube.chat.send_message"))["ok"]
    scene.dice.grants = frozenset(("query:other",))
    answer = await ask(dice, "do.cytube.chat.send_message")
    assert answer["error"]["message"] == "dice was not granted chat.send"
    assert len(scene.room.done) == 1
    asked = b'{"plugin": "other", "name": "q", "channel": "cytube"}'
    assert await ask(dice, "ask.query", asked) == {"ok": True, "result": "other q"}
    assert not scene.dice.wants("chat.message")


def granted(scene: Scene) -> None:
    """Let both plugins use the store."""
    for home in scene.homes.values():
        home.grants |= {"store"}


@pytest.mark.parametrize(
    ("asked", "code", "reason"),
    (
        ('{"do": "get", "channel": "films", "key": "x"}', "refused", "dice is not on in films"),
        ('{"do": "get", "key": "x"}', "refused", "this can't be read: Object missing required field `channel`"),
        ('{"do": "drop", "channel": "", "key": "x"}', "refused", "this can't be read: Invalid enum value 'drop'"),
        ('{"do": "get", "channel": "", "key": ""}', "failed", "a key of the store is a text that is not empty"),
        ('{"do": "get", "channel": "", "key": "\\u0000"}', "failed", "a key of the store can't have a NUL"),
        ('{"do": "put", "channel": "", "key": "x", "value": 1e999}', "failed", "what should go under 'x' is no JSON"),
        (
            '{"do": "put", "channel": "", "key": "x", "value": "\udcff"}',
            "failed",
            "what should go under 'x' is no JSON",
        ),
        (
            '{"do": "put", "channel": "", "key": "x", "ttl": 0}',
            "failed",
            "the ttl of 'x' is 0.0, and should be seconds",
        ),
        ('{"do": "list", "channel": "", "key": "", "limit": 9999}', "failed", "1 to 1000 keys are told at once"),
        (
            '{"do": "put", "channel": "", "key": "x", "value": "%s"}' % ("x" * 70_000),
            "failed",
            "the value for 'x' has ",
        ),
        (
            '{"do": "put", "channel": "", "key": "x", "value": %s}' % ("[" * 9999 + "]" * 9999),
            "refused",
            "this can't be",
        ),
    ),
)
async def test_wrong_use_of_the_store(scene: Scene, dice: Client, asked: str, code: str, reason: str) -> None:
    """What a worker in any language may get wrong has a reason; what it may not stands on its record."""
    granted(scene)
    answer = await ask(dice, "ask.store", asked.encode("utf-8", "surrogateescape"))
    assert answer["error"]["code"] == code
    assert answer["error"]["message"].startswith(reason)
    assert scene.dice.counts.refused == (code == "refused")


async def test_the_store(scene: Scene, dice: Client) -> None:
    """A worker in any language has what the docs say, and sees nothing of another's."""
    granted(scene)

    async def do(do: str, **fields: Any) -> Any:
        answer = await ask(dice, "ask.store", json.dumps({"do": do, "channel": "cytube"} | fields).encode())
        assert answer["ok"], answer
        return answer["result"]

    assert await do("get", key="x") is None
    assert await do("put", key="x", value={"b": 1, "a": 2.0}) is None
    assert await do("get", key="x") == {"value": {"b": 1, "a": 2.0}}
    assert await do("swap", key="x", old={"a": 2, "b": 1}, value=5) is True  # as a language with one kind of number
    assert await do("add", key="x", value=1, ttl=60) == 6
    assert await do("list", key="") == ["x"]
    assert await do("get", channel="", key="x") is None
    assert await do("delete", key="x") is True
    await do("put", key="x", value=None)
    assert await do("get", key="x") == {"value": None}
    assert await Store(scene.workers._store, "other", "cytube").list() == []


async def test_the_way_from_a_process(scene: Scene, broker: Broker) -> None:
    """The same class as inside, over the bus: many adds at once all count, and its errors arrive as they are."""
    granted(scene)

    async def login() -> Login:
        return Login(broker.url, DICE.name, DICE.password)

    bus = Bus(login, name="dice", gap=lambda *_: ("", b""), log=log.get("test"))
    door = Door("dice", bus, lambda: 0.0, lambda _: "")
    await door.open()
    await bus.start()
    await bus.ready(5)
    store = Store(door.store, "dice", "cytube")
    assert sorted(await asyncio.gather(*(store.add("n") for _ in range(2000)))) == list(range(1, 2001))
    await store.put("x", {"by": "alice"})
    assert await store.get("x", dict[str, str]) == {"by": "alice"}
    assert await store.shared.get("x") is None
    with pytest.raises(PluginError, match="what is under 'x' is no number"):
        await store.add("x")
    with pytest.raises(
        PluginError, match=r"the value for 'x' has 70,002 bytes as JSON, and one value may have 65,536"
    ):
        await store.put("x", "x" * 70_000)
    assert scene.dice.counts.refused == 0
    scene.dice.grants -= {"store"}
    with pytest.raises(PluginError, match="dice was not granted store"):
        await store.get("x")
    assert scene.dice.counts.refused == 1
    await broker.stop()
    with pytest.raises(Unavailable, match=r"the store did not answer \(.*\): whether it was done, is not known"):
        await store.add("n")
    await bus.close(1)


async def test_too_many_at_once(scene: Scene, dice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks without waiting for answers is refused the rest, and the log is not filled with it."""
    monkeypatch.setattr(workers, "AT_ONCE", 0)
    with capture_logs() as lines:
        for _ in range(100):
            answer = await ask(dice, "do.cytube.chat.send_message")
    assert answer["error"] == {"code": "refused", "message": "0 requests are under way"}
    assert scene.dice.counts.refused == 100
    assert [line["count"] for line in lines if line["event"] == "bus.refused"] == [1, 2, 4, 8, 16, 32, 64]


async def test_refused_by_the_broker(scene: Scene, dice: Client) -> None:
    """What nats-server refuses, of which the daemon hears nothing else, stands on the record too."""
    await dice.publish("rosey.commands.cytube.user.kick", b"{}")
    await dice.publish("rosey.plugins.other.do.cytube.chat.send_message", LINE)
    await dice.flush()
    async with asyncio.timeout(5):
        while scene.dice.counts.refused < 2:  # noqa: ASYNC110  the broker's log tells nobody that it grew
            await asyncio.sleep(0.02)
    assert scene.dice.counts.last_error.startswith('NATS refused it to publish to "rosey.plugins.other.do.')
    assert scene.homes["other"].counts.refused == 0


async def test_the_record_is_kept(scene: Scene, dice: Client) -> None:
    """A ping brings what the process counts itself, beside what was refused to it here, and both may be last."""
    told = {"calls": 7, "errors": 1, "refused": 2, "last_error": "it raised"}

    async def pinged(message: Msg) -> None:
        await dice.publish(message.reply, messages.good(told))

    await dice.subscribe("rosey.plugins.dice.control.>", cb=pinged)
    await ask(dice, "ask.hello", messages.encode(messages.Hello("s", API)))
    await ask(dice, "ask.nothing")
    await scene.dice.ping(2)
    assert (scene.dice.counts.calls, scene.dice.counts.refused) == (7, 3)
    assert scene.dice.counts.last_error == "it raised"
    await ask(dice, "ask.nothing")
    await scene.dice.ping(2)
    assert (scene.dice.counts.refused, scene.dice.counts.last_error) == (4, "there is no question nothing")


async def test_a_forged_answer() -> None:
    """What another plugin was asked can't be answered, not even by who knows the token of the question."""
    published: list[str] = []
    questions = Questions(lambda _subject, _payload, reply: published.append(reply))
    asking = asyncio.create_task(questions.ask("x", b"", replies="rosey.plugins.other.reply", seconds=0.2))
    await asyncio.sleep(0)
    questions.take(published[0].replace("other", "dice"), b"forged", "")
    with pytest.raises(Unavailable):
        await asking
