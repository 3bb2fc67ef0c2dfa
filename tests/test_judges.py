"""Judges in workers: one question for all lines that wait, and what becomes of lines when nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import msgspec
import pytest
import structlog

from rosey_core.channel.channel import Channel
from rosey_core.envelope import NOTHING, NormalizedEvent, Verdict
from rosey_core.errors import PluginError, Unavailable
from rosey_core.events import ChatMessage
from rosey_core.host import messages
from rosey_core.host.judges import REST, SECONDS, Judge, ask_all
from rosey_core.host.outside import Outside
from rosey_core.manifest import Description
from rosey_core.testing.clock import run_virtual


class Worker:
    """The other end: it answers what `answer` says, after a time; `asked` are the texts of each question."""

    def __init__(self, answer: Callable[[list[str]], Any], seconds: float = 0.0) -> None:
        self.answer, self.seconds = answer, seconds
        self.asked: list[list[str]] = []
        description = Description("far", "", 1, asks=("judge",), hooks=("judge",))
        port = cast("Any", type("Port", (), {"prefix": "!", "state": Channel(), "seen": 0}))
        self.home = Outside(description, frozenset(("judge",)), {}, {"cytube": (port, {})}, self._ask)
        self.home.hello(messages.Hello("first", 1))
        self.judge = Judge("far", self.home, structlog.get_logger())

    async def _ask(self, subject: str, payload: bytes, *, replies: str, seconds: float | None) -> bytes:
        assert replies == "rosey.plugins.far.reply"
        if subject.endswith(".control.ping"):
            raise Unavailable(f"no answer within {seconds} s")
        assert subject == "rosey.plugins.far.hook.cytube.judge"
        events = messages.events_of(msgspec.json.decode(payload, type=messages.Judged))
        texts = [event.data.text for event in events]
        self.asked.append(texts)
        await asyncio.sleep(self.seconds)
        return messages.good(self.answer(texts))

    async def judged(self, *texts: str, on_silence: str = "pass") -> list[Verdict | None]:
        """Ask about these lines."""
        return await ask_all((self.judge,), [line(text) for text in texts], on_silence=on_silence)


def line(text: str) -> NormalizedEvent:
    """A chat line."""
    return NormalizedEvent("chat.message", "cytube", ChatMessage("bob", text), 1.0, NOTHING, text, "cytube", 1)


def stop(reason: str) -> Verdict:
    """A verdict of the judge's."""
    return Verdict(stop=True, reason=reason, judge="far")


def virtual(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run in virtual time."""
    with structlog.testing.capture_logs():
        run_virtual(scenario())


async def test_one_question_for_all() -> None:
    """Each line gets what stands at its place: a verdict, no opinion, or a failure, which is silence."""
    said = {"spam": Verdict(stop=True, reason="spam"), "broken": "it failed there", "fine": None}
    worker = Worker(lambda texts: [said[text] for text in texts])
    assert await worker.judged("fine", "spam", "broken") == [None, stop("spam"), None]
    silent = stop("far did not answer")
    assert await worker.judged("broken", "fine", "spam", on_silence="stop") == [silent, None, stop("spam")]
    assert worker.asked == [["fine", "spam", "broken"], ["broken", "fine", "spam"]]


@pytest.mark.parametrize("answer", ([], [None], [None] * 3, ["a", 1], None, {"stop": True}), ids=str)
async def test_an_answer_that_is_none(answer: Any) -> None:
    """A list of another length, or anything else, is no opinion on any line, and no lateness."""
    worker = Worker(lambda _: answer)
    assert await worker.judged("a", "b") == [None, None]
    with pytest.raises(PluginError, match="far gave"):
        await worker.home.judge([line("a"), line("b")], lambda _: None)
    assert worker.judge.late == 0


async def test_the_next_judge_is_asked_of_the_rest() -> None:
    """The first verdict on a line counts; others are asked only of lines that have none."""
    first = Worker(lambda texts: [Verdict(stop=False) if text == "a" else None for text in texts])
    second = Worker(lambda texts: [Verdict(stop=True) for _ in texts])
    verdicts = await ask_all((first.judge, second.judge), [line("a"), line("b")], on_silence="pass")
    assert [verdict and verdict.stop for verdict in verdicts] == [False, True]
    assert second.asked == [["b"]]
    await ask_all((first.judge, second.judge), [line("a")], on_silence="pass")
    assert len(second.asked) == 1


def test_one_that_is_frozen() -> None:
    """Lines wait a quarter of a second, those that came meanwhile do not wait again, and then a minute none does."""

    async def scenario() -> None:
        worker = Worker(lambda texts: [None for _ in texts], seconds=60)
        now = asyncio.get_running_loop().time
        began, waited = now(), []
        while now() < began + REST:
            asked = now()
            await worker.judged("a", "b")
            waited.append(now() - asked)
            await asyncio.sleep(0.05)
        slow = [seconds for seconds in waited if seconds]
        assert slow == pytest.approx([SECONDS] * 3)
        at = [number for number, seconds in enumerate(waited) if seconds]
        assert all(waited[number + 1] == 0 for number in at)
        assert at[-1] < 60
        assert worker.home.counts.overdue == 3
        worker.seconds = 0.0
        await asyncio.sleep(5)
        assert await worker.judged("a") == [None]
        assert worker.judge.late == 0

    virtual(scenario)


def test_one_that_is_known_not_to_answer() -> None:
    """Whoever has no process, or did not answer the last ping, holds up no line at all, and that is no lateness."""

    async def scenario() -> None:
        worker = Worker(lambda texts: [None for _ in texts])
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable):
            await worker.home.ping(2)
        assert await worker.judged("a", on_silence="stop") == [stop("far did not answer")]
        assert worker.asked == []
        worker.home.hello(messages.Hello("second", 1))
        await worker.judged("a")
        assert worker.asked == [["a"]]
        worker.home.gone()
        for _ in range(5):
            await worker.judged("a")
        assert worker.asked == [["a"]]
        assert asyncio.get_running_loop().time() == began
        assert worker.judge.late == 0

    virtual(scenario)


def test_what_was_said_in_time_counts() -> None:
    """A judge inside says one thing after another: what it said before it hung stands, and it is not late."""

    class Home:
        async def judge(self, events: list[NormalizedEvent], say: Callable[[Verdict | None], None]) -> None:
            for event in events:
                await asyncio.sleep(60 if event.data.text == "hang" else 0)
                say(Verdict(stop=True))

    async def scenario() -> None:
        judge = Judge("near", cast("Any", Home()), structlog.get_logger())
        verdicts = await ask_all((judge,), [line("a"), line("hang"), line("b")], on_silence="pass")
        assert [verdict and verdict.stop for verdict in verdicts] == [True, None, None]
        assert judge.late == 0

    virtual(scenario)


def test_a_raid_of_lines() -> None:
    """A judge that is slow and at work is asked for the rest, until every line has its verdict."""

    class Home:
        async def judge(self, events: list[NormalizedEvent], say: Callable[[Verdict | None], None]) -> None:
            for _ in events:
                await asyncio.sleep(0.005)
                say(Verdict(stop=True))

    async def scenario() -> None:
        judge = Judge("near", cast("Any", Home()), structlog.get_logger())
        verdicts = await ask_all((judge,), [line(f"{n}") for n in range(256)], on_silence="pass")
        assert all(verdict is not None and verdict.stop for verdict in verdicts)
        assert judge.late == 0

    virtual(scenario)
