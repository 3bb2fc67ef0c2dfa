"""The test kit's virtual time."""

from __future__ import annotations

import asyncio
import time

import pytest

from rosey_core.testing.clock import NothingToDoError, VirtualClock, VirtualLoop, run_virtual


def test_an_hour_takes_no_time() -> None:
    """Where nothing is ready, time jumps to the next timer."""

    async def scenario() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    before = time.monotonic()
    assert run_virtual(scenario()) == pytest.approx(3600)
    assert time.monotonic() - before < 60


def test_timers_fire_in_order_and_at_their_times() -> None:
    """Sleepers wake in the order of their times, and each sees just its time."""

    async def scenario() -> list[tuple[str, float]]:
        loop, seen = asyncio.get_running_loop(), []

        async def sleeper(name: str, delay: float) -> None:
            await asyncio.sleep(delay)
            seen.append((name, round(loop.time(), 6)))

        await asyncio.gather(sleeper("c", 3), sleeper("a", 0.1), sleeper("b", 0.2))
        return seen

    assert run_virtual(scenario(), debug=True) == [("a", 0.1), ("b", 0.2), ("c", 3.0)]


def test_a_timeout_is_virtual_too() -> None:
    """`asyncio.timeout` counts virtual seconds."""

    async def scenario() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(500):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == pytest.approx(500)


def test_a_deadlock_is_named() -> None:
    """When nothing can ever happen, the error says which task waits and where, instead of hanging."""

    async def stuck() -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        await asyncio.create_task(stuck(), name="the stuck one")

    with pytest.raises(NothingToDoError, match=r"(?s)no timer is set.*the stuck one at .*test_clock\.py:\d+"):
        run_virtual(scenario())


def test_time_stands_still_for_threads() -> None:
    """A thread's work is waited for in real time, and no timer fires meanwhile."""

    def work() -> str:
        time.sleep(0.02)
        return "done"

    async def scenario() -> tuple[str, float]:
        fired = asyncio.get_running_loop().call_later(1, lambda: None)
        result = await asyncio.to_thread(work)
        fired.cancel()
        return result, asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == ("done", 0.0)


def test_sockets_work() -> None:
    """A server and a client on one virtual loop talk to each other."""

    async def scenario() -> bytes:
        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello\n")
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
        return line

    assert run_virtual(scenario()) == b"hello\n"


def test_it_is_a_loop_factory() -> None:
    """`asyncio.Runner` takes the class itself."""

    async def scenario() -> None:
        await asyncio.sleep(10)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scenario())
        assert runner.get_loop().time() == pytest.approx(10)


def test_advance_lets_timers_run_late() -> None:
    """A test can let time pass at once; what was due meanwhile runs then."""

    async def scenario() -> bool:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        late = asyncio.Event()
        loop.call_later(5, late.set)
        loop.advance(7)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return late.is_set() and loop.time() == 7

    assert run_virtual(scenario())


def test_a_failure_comes_out() -> None:
    """What the coroutine raises, `run_virtual` raises."""

    async def scenario() -> None:
        await asyncio.sleep(1)
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        run_virtual(scenario())


def test_the_wall_clock_is_set_by_hand() -> None:
    """Without a loop it only moves by `advance`, and also backwards."""
    clock = VirtualClock(1000)
    clock.advance(60)
    assert clock() == 1060
    clock.advance(-30)
    assert clock() == 1030


def test_the_wall_clock_moves_with_the_loop() -> None:
    """With a loop it moves as that loop's time does."""

    async def scenario() -> float:
        clock = VirtualClock(1000, loop=asyncio.get_running_loop())
        await asyncio.sleep(30)
        clock.advance(1)
        return clock()

    assert run_virtual(scenario()) == pytest.approx(1031)
