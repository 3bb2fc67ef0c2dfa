"""Requests from the bus: each gets a reply, and `ok` only for what was confirmed."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
import structlog

from rosey_core import log, requests
from rosey_core.actions import Action, Outcome, SendMessage
from rosey_core.errors import BusError, PluginError, Unavailable
from rosey_core.receipt import Receipt
from rosey_core.requests import Requests


class FakeChannel:
    """A channel that notes actions and settles them when told."""

    def __init__(self) -> None:
        self.acted: list[Action] = []
        self.outcome = Outcome("done")
        self.hold = asyncio.Event()
        self.hold.set()

    def act(self, action: Action, *, plugin: str, reply: bool) -> Receipt:
        """Note it."""
        assert (plugin, reply) == ("", False)
        self.acted.append(action)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        task = asyncio.get_running_loop().create_task(self._settle(future))
        task.add_done_callback(lambda _: None)
        return Receipt("a", action.name, future)

    async def _settle(self, future: asyncio.Future[Outcome]) -> None:
        await self.hold.wait()
        future.set_result(self.outcome)


class FakeHouse:
    """Plugins of one query."""

    async def query(self, plugin: str, name: str, channel: str, args: dict[str, Any]) -> Any:
        """Answer, or not."""
        if plugin == "away":
            raise Unavailable("away is parked in cytube")
        if plugin == "bad":
            raise PluginError("bad failed: secret canary-of-requests")
        return {"plugin": plugin, "name": name, "channel": channel, "args": args}


class Rig:
    """Requests with surroundings that note what reaches them."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, dict[str, Any]]] = []
        self.channels = {"cytube": FakeChannel(), "other": FakeChannel()}
        self.requests = Requests(
            cast("Any", self.channels), "cytube", cast("Any", FakeHouse()), self._answer, structlog.get_logger()
        )

    def _answer(self, reply: str, payload: bytes) -> None:
        if len(payload) > 1_000:
            raise BusError("its 5000 bytes are more than NATS takes at once (1000)")
        self.answers.append((reply, json.loads(payload)))

    async def act(self, subject: str, payload: bytes) -> dict[str, Any]:
        """Ask for an action, and wait for the answer."""
        self.requests.action(subject, payload, "_INBOX_me.1")
        await self.requests.drained()
        return self.answers[-1][1]

    async def query(self, plugin: str, payload: bytes) -> dict[str, Any]:
        """Ask a query, and wait for the answer."""
        self.requests.query(plugin, "last_said", payload, "_INBOX_me.1")
        await self.requests.drained()
        return self.answers[-1][1]


@pytest.fixture
async def rig() -> Rig:
    """A rig of its own."""
    return Rig()


async def test_an_action(rig: Rig) -> None:
    """The long form names the channel, the short one means the first."""
    told = await rig.act("rosey.commands.other.chat.send_message", b'{"text": "a"}')
    assert told == {"ok": True, "result": {"state": "done"}}
    await rig.act("rosey.commands.chat.send_message", b'{"text": "b"}')
    assert rig.channels["other"].acted == [SendMessage(text="a")]
    assert rig.channels["cytube"].acted == [SendMessage(text="b")]


@pytest.mark.parametrize(
    ("outcome", "told"),
    (
        (Outcome("done", result=[1]), {"ok": True, "result": {"state": "done", "result": [1]}}),
        (Outcome("refused", "you are muted"), {"code": "refused", "message": "you are muted"}),
        (Outcome("dropped", "offline for 60 s"), {"code": "dropped", "message": "offline for 60 s"}),
        (Outcome("unknown"), {"code": "unknown", "message": "it was sent, and CyTube did not say what became of it"}),
    ),
    ids=("done", "refused", "dropped", "unknown"),
)
async def test_only_done_is_ok(rig: Rig, outcome: Outcome, told: dict[str, Any]) -> None:
    """What CyTube did not confirm is never told as done."""
    rig.channels["cytube"].outcome = outcome
    answer = await rig.act("rosey.commands.cytube.chat.send_message", b'{"text": "a"}')
    assert answer == (told if outcome.state == "done" else {"ok": False, "error": told})


@pytest.mark.parametrize(
    ("subject", "payload", "code", "words"),
    (
        ("rosey.commands.cytube.chat.send_mesage", b"{}", "no_such_action", "did you mean chat.send_message?"),
        ("rosey.commands.nowhere.chat.send_message", b'{"text": ""}', "no_such_channel", "there is cytube, other"),
        ("rosey.commands.cytube.chat.send_message", b"{}", "bad_request", "missing required field `text`"),
        ("rosey.commands.cytube.chat.send_message", b'{"txt": 1}', "bad_request", "unknown field `txt`"),
        ("rosey.commands.cytube.chat.send_message", b'{"text": 5}', "bad_request", "Expected `str`, got `int`"),
        ("rosey.commands.cytube.chat.send_message", b"\xff", "bad_request", "chat.send_message: "),
    ),
)
async def test_bad_requests(rig: Rig, subject: str, payload: bytes, code: str, words: str) -> None:
    """A sentence that says what is wrong; nothing is done."""
    answer = await rig.act(subject, payload)
    assert answer["error"]["code"] == code
    assert words in answer["error"]["message"]
    assert not rig.channels["cytube"].acted


async def test_queries(rig: Rig) -> None:
    """A query's arguments are a JSON object; its field `channel` is ours."""
    answer = await rig.query("quotes", b'{"user": "bob", "channel": "other"}')
    assert answer["result"] == {"plugin": "quotes", "name": "last_said", "channel": "other", "args": {"user": "bob"}}
    assert (await rig.query("quotes", b""))["result"]["channel"] == "cytube"
    assert (await rig.query("away", b""))["error"] == {"code": "unavailable", "message": "away is parked in cytube"}
    assert (await rig.query("quotes", b"[1]"))["error"]["code"] == "bad_request"
    log.add_secret("canary-of-requests")
    assert (await rig.query("bad", b""))["error"]["message"] == "bad failed: secret [secret]"
    log.redact.clear()


@pytest.mark.parametrize("payload", (b"[" * 100_000, b'{"text":' * 100_000))
async def test_json_without_end(rig: Rig, payload: bytes) -> None:
    """It is a bad request like others."""
    assert (await rig.act("rosey.commands.chat.send_message", payload))["error"]["code"] == "bad_request"
    assert (await rig.query("good", payload))["error"]["code"] == "bad_request"


async def test_an_answer_that_json_can_not_say(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the plugin's fault, and told as that."""

    async def odd(*_: Any) -> object:
        return object()

    monkeypatch.setattr(FakeHouse, "query", odd)
    answer = await rig.query("good", b"{}")
    assert answer["error"]["code"] == "bad_answer"
    assert answer["error"]["message"].startswith("good answered with what JSON can't say")


async def test_an_answer_that_is_too_big(rig: Rig) -> None:
    """Who asked is told so, and does not wait in vain."""
    answer = await rig.query("good", b'{"x": "%b"}' % (b"x" * 5_000))
    assert answer["error"]["code"] == "too_big"
    assert "its 5000 bytes are more than NATS takes at once" in answer["error"]["message"]


async def test_without_a_reply_subject(rig: Rig) -> None:
    """A message that asks for no answer is done all the same."""
    rig.requests.action("rosey.commands.chat.send_message", b'{"text": "a"}', "")
    await rig.requests.drained()
    assert rig.channels["cytube"].acted == [SendMessage(text="a")]
    assert rig.answers == []


async def test_too_many_at_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is over the limit is answered at once, and is not done."""
    monkeypatch.setattr(requests, "AT_ONCE", 3)
    channel = rig.channels["cytube"]
    channel.hold.clear()
    for number in range(5):
        rig.requests.action("rosey.commands.chat.send_message", b'{"text": "a"}', f"_INBOX_me.{number}")
    assert [(reply, answer["error"]["code"]) for reply, answer in rig.answers] == [
        ("_INBOX_me.3", "busy"),
        ("_INBOX_me.4", "busy"),
    ]
    channel.hold.set()
    await rig.requests.drained()
    assert len(channel.acted) == 3
    assert sum(answer["ok"] for _, answer in rig.answers) == 3


async def test_a_fault_is_answered(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong inside, who asked hears it, and no more than that."""
    monkeypatch.setattr(FakeChannel, "act", lambda *_, **__: 1 / 0)
    with structlog.testing.capture_logs() as logged:
        answer = await rig.act("rosey.commands.chat.send_message", b'{"text": "a"}')
    assert answer["error"] == {"code": "bug", "message": "rosey failed; its log says why"}
    assert logged[0]["event"] == "request.failed"
