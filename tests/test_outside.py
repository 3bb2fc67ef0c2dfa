"""The daemon's end of a worker: what counts as a life of it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from rosey_core.errors import PluginError, Taken
from rosey_core.host.messages import Control, Hello, bad, good
from rosey_core.host.outside import Outside
from rosey_core.manifest import Description


class Worker:
    """A process that answers the pings of the lives that it has; another one's answer takes its time."""

    def __init__(self, *lives: str) -> None:
        self.lives = set(lives)
        self.says = good()
        self.asked: list[str] = []
        self.answer = asyncio.Event()
        self.answer.set()

    async def ask(self, subject: str, payload: bytes, *, replies: str, seconds: float | None) -> bytes:
        """Answer a ping, or have nobody there who does."""
        assert subject == "rosey.plugins.x.control.ping"
        name = msgspec.json.decode(payload, type=Control).session
        self.asked.append(name)
        await self.answer.wait()
        return self.says if name in self.lives else b""


def made(worker: Worker) -> Outside:
    """The daemon's end of it."""
    return Outside(Description("x", "", 1), frozenset(), {}, {}, worker.ask)


async def test_a_hello_that_comes_twice() -> None:
    """Its answer may be lost, so it is said again: the life that it began goes on. Another one begins another."""
    home = made(worker := Worker())
    await home.admit(Hello("first", 1))
    session = home.session
    assert session is not None
    await home.admit(Hello("first", 1))
    assert home.session is session
    assert not session.ended.is_set()
    assert worker.asked == []
    await home.admit(Hello("second", 1))
    assert session.ended.is_set()
    assert home.session is not session
    assert worker.asked == ["first"]


@pytest.mark.parametrize("says", (good(), b"garbage", bad(PluginError("no"))))
async def test_a_life_that_answers(says: bytes) -> None:
    """It is not pushed out; who tries is told which process it is. Once it is silent the next one may."""
    home = made(worker := Worker("first"))
    worker.says = says
    await home.admit(Hello("first", 1, 4242))
    session = home.session
    with pytest.raises(Taken, match="x runs already, in process 4242 here or on another machine, and that one ans"):
        await home.admit(Hello("second", 1))
    assert home.session is session
    worker.lives.clear()
    await home.admit(Hello("second", 1))
    assert home.session is not None
    assert home.session.name == "second"


async def test_two_at_once() -> None:
    """Of two that say hello while a dead life is asked, the first comes in, and the second is asked against it."""
    home = made(worker := Worker("second", "third"))
    await home.admit(Hello("first", 1))
    worker.answer.clear()
    second, third = (asyncio.create_task(home.admit(Hello(name, 1))) for name in ("second", "third"))
    await asyncio.sleep(0)
    worker.answer.set()
    await second
    with pytest.raises(Taken):
        await third
    assert home.session is not None
    assert home.session.name == "second"


async def test_one_that_is_not_wanted() -> None:
    """Nothing would come of a hello to a plugin that was parked, also when it was parked while another was asked."""
    home = made(worker := Worker())
    await home.admit(Hello("first", 1))
    worker.answer.clear()
    second = asyncio.create_task(home.admit(Hello("second", 1)))
    await asyncio.sleep(0)
    home.refusal = "is parked: by hand"
    worker.answer.set()
    with pytest.raises(PluginError, match="x is parked: by hand"):
        await second
