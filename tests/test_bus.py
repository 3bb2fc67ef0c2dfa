"""The bus on a real nats-server, killed and frozen: what is published arrives once, or is announced as lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rosey_core import log
from rosey_core.bus import bus as bus_module
from rosey_core.bus import link as link_module
from rosey_core.bus.access import BrokerUser, core_user
from rosey_core.bus.broker import Broker
from rosey_core.bus.bus import Bus, Login
from rosey_core.bus.conf import MAX_PAYLOAD
from rosey_core.bus.outbox import Gap, Outbox
from rosey_core.config import NatsConfig
from rosey_core.errors import BusError

CORE = core_user("core-canary")
MUTE = BrokerUser("mute", "mute-canary", ("rosey.>",), (">",))
LAME = BrokerUser("lame", "lame-canary", ("_INBOX_watcher.>",), ("_INBOX_watcher.>",))
EVENT = "rosey.platform.cytube.chat.message"
GAP = "rosey.platform.cytube.core.gap"


def gap_message(channel: str, count: int, first: int, last: int, certain: bool) -> tuple[str, bytes]:
    """The announcement as these tests read it."""
    return f"rosey.platform.{channel}.core.gap", f"{count} {first} {last} {certain}".encode()


class Watcher:
    """A second bus that hears everything, and the account of it."""

    def __init__(self, broker: Broker) -> None:
        self.bus = made(broker, "watcher")
        self.heard: list[int | Gap] = []

    @property
    def numbers(self) -> list[int]:
        """The events that arrived."""
        return [item for item in self.heard if isinstance(item, int)]

    @property
    def gaps(self) -> list[Gap]:
        """The gaps that were announced."""
        return [item for item in self.heard if isinstance(item, Gap)]

    def take(self, subject: str, payload: bytes, reply: str) -> None:
        """Take a message."""
        if subject == GAP:
            count, first, last, certain = payload.decode().split()
            self.heard.append(Gap(int(count), int(first), int(last), certain == "True"))
        else:
            self.heard.append(int(payload))

    def account(self, sent: int) -> None:
        """Each of `sent` events arrived once and in order, or an announcement came before what is later."""
        assert self.numbers == sorted(set(self.numbers))
        missing = sorted(set(range(1, sent + 1)) - set(self.numbers))
        announced: set[int] = set()
        passed = 0
        for item in (*self.heard, sent + 1):
            if isinstance(item, Gap):
                announced.update(range(item.first, item.last + 1))
            else:
                while passed < len(missing) and missing[passed] < item:
                    assert missing[passed] in announced
                    passed += 1
        for gap in self.gaps:
            within = {one for one in missing if gap.first <= one <= gap.last}
            assert len(within) == gap.count if gap.certain else len(within) <= gap.count


def made(broker: Broker, name: str = "core", before: Bus | None = None, user: BrokerUser = CORE) -> Bus:
    """A bus that was not started. It connects only when the bus `before` it is connected."""

    async def login() -> Login:
        url = await broker.ready()
        if before is not None:
            await before.ready(30)
            await before.barrier(1)  # it may not have noticed yet that its connection is dead
        return Login(url, user.name, user.password)

    return Bus(login, name=name, gap=gap_message, log=log.get(name))


async def until(true: Callable[[], bool]) -> None:
    """Look until it is true."""
    async with asyncio.timeout(8):
        while not true():  # noqa: ASYNC110  it depends on other processes
            await asyncio.sleep(0.01)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A running nats-server."""
    broker = Broker(NatsConfig(), tmp_path / "nats", (CORE, MUTE, LAME), log.get("nats"))
    broker.spawn()
    yield broker
    await broker.stop()


@pytest.fixture
async def watcher(broker: Broker) -> AsyncIterator[Watcher]:
    """Somebody who hears all events, over all that happens."""
    watcher = Watcher(broker)
    await watcher.bus.subscribe("rosey.platform.>", watcher.take)
    await watcher.bus.start()
    await watcher.bus.ready(5)
    yield watcher
    await watcher.bus.close()


@pytest.fixture
async def bus(broker: Broker, watcher: Watcher) -> AsyncIterator[Bus]:
    """A started bus, which comes back only after the watcher did: so the watcher misses nothing that was sent."""
    bus = made(broker, before=watcher.bus)
    await bus.start()
    await bus.ready(5)
    yield bus
    await bus.close(1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat that notices silence sooner than in real life."""
    for name, value in {"TICK": 0.05, "IDLE_TICK": 0.1, "IDLE_MARK": 0.2, "DEAD": 0.6}.items():
        monkeypatch.setattr(link_module, name, value)


async def publish(bus: Bus, first: int, last: int, pause: float = 0) -> None:
    """Publish events, some at a time."""
    for number in range(first, last + 1):
        assert bus.publish(EVENT, b"%d" % number, "cytube", number)
        if number % 50 == 0:
            await asyncio.sleep(pause)


async def settled(bus: Bus, watcher: Watcher) -> None:
    """Wait until the watcher has all that was published."""
    await bus.barrier()
    await watcher.bus.barrier()


# --- in good times ---


async def test_burst_arrives_whole_and_in_order(bus: Bus, watcher: Watcher) -> None:
    """A burst of 20,000 events arrives whole and in order."""
    await publish(bus, 1, 20_000)
    await settled(bus, watcher)
    assert watcher.heard == list(range(1, 20_001))
    assert bus.counts() == {"published": 20_000, "waiting": 0, "dropped": 0, "connections": 1}


async def test_what_came_before_the_server_waits(broker: Broker, watcher: Watcher) -> None:
    """What is published and subscribed before there is a connection goes out when there is one, to ourselves too."""
    bus = made(broker)
    heard = []
    await bus.subscribe("rosey.platform.cytube.>", lambda _, payload, __: heard.append(payload))
    await publish(bus, 1, 100)
    assert not bus.connected
    await bus.start()
    await bus.ready(5)
    await settled(bus, watcher)
    await bus.barrier()
    assert watcher.heard == list(range(1, 101))
    assert heard == [b"%d" % number for number in range(1, 101)]
    await bus.close()


async def test_subscribe_while_connected(bus: Bus, watcher: Watcher) -> None:
    """After a barrier a new subscription misses nothing that others publish."""
    heard = []
    await bus.subscribe("rosey.commands.>", lambda *message: heard.append(message))
    await bus.barrier()
    watcher.bus.publish_own("rosey.commands.chat.clear", b"{}")
    await watcher.bus.barrier()
    await bus.barrier()
    assert heard == [("rosey.commands.chat.clear", b"{}", "")]


async def test_too_big(bus: Bus, watcher: Watcher) -> None:
    """A message bigger than the server takes is refused at once and harms nothing; the biggest goes through."""
    assert not bus.publish(EVENT, b"1" * (MAX_PAYLOAD + 1), "cytube", 1)
    bus.publish_own("rosey.events.a.b", b"1" * MAX_PAYLOAD)
    with pytest.raises(
        BusError, match=rf"its {MAX_PAYLOAD + 1} bytes are more than NATS takes at once .{MAX_PAYLOAD}"
    ):
        bus.publish_own("rosey.events.a.b", b"1" * (MAX_PAYLOAD + 1))
    with pytest.raises(BusError, match="more than NATS takes"):
        bus.answer("_INBOX_x.1", b"1" * (MAX_PAYLOAD + 1))
    await publish(bus, 1, 1)
    await settled(bus, watcher)
    assert watcher.heard == [1]
    assert bus.counts()["connections"] == 1


async def test_answers_go_to_inboxes_only(bus: Bus, watcher: Watcher) -> None:
    """An answer reaches an inbox; a reply subject that is none gets nothing, and the log says so."""
    heard = []
    await watcher.bus.subscribe("_INBOX_desk.>", lambda _, payload, __: heard.append(payload))
    await watcher.bus.barrier()
    with capture_logs() as lines:
        bus.answer("_INBOX_desk.1", b"yes")
        bus.answer(EVENT, b"1")
        bus.answer("_INBOX_core.heartbeat", b"1")
    await settled(bus, watcher)
    assert heard == [b"yes"]
    assert watcher.heard == []
    assert [line["event"] for line in lines] == ["bus.no_inbox", "bus.no_inbox"]


async def test_failing_callback(bus: Bus, watcher: Watcher) -> None:
    """A callback that raises is logged, and gets the next message all the same."""
    heard = []

    def take(subject: str, payload: bytes, reply: str) -> None:
        heard.append(payload)
        raise RuntimeError("no")

    await bus.subscribe("rosey.events.>", take)
    with capture_logs() as lines:
        bus.publish_own("rosey.events.a.b", b"1")
        bus.publish_own("rosey.events.a.b", b"2")
        await bus.barrier()
        await bus.barrier()
    assert heard == [b"1", b"2"]
    assert [line["event"] for line in lines] == ["bus.callback_failed"] * 2


async def test_foreign_heartbeat(bus: Bus, watcher: Watcher) -> None:
    """What somebody else publishes to our heartbeat's subject confirms nothing."""
    link = bus._link
    assert link is not None
    for text in (b"", b"x", b"x 99999", b"\xff \xff", b"%s x" % link._nonce.encode()):
        watcher.bus.publish_own("_INBOX_core.heartbeat", text)
    await watcher.bus.barrier()
    await bus.barrier()
    assert link._confirmed == link._marked
    assert bus.connected


async def test_close_delivers(broker: Broker, watcher: Watcher) -> None:
    """`close` delivers what waits, and what is published later goes nowhere."""
    bus = made(broker)
    await bus.start()
    await bus.ready(5)
    await publish(bus, 1, 3_000)
    await bus.close()
    await watcher.bus.barrier()
    assert watcher.heard == list(range(1, 3_001))
    assert bus.reason == "closed"
    assert bus.publish(EVENT, b"1", "cytube", 1)
    assert not bus.connected


# --- when NATS goes away ---


async def test_killed(broker: Broker, bus: Bus, watcher: Watcher) -> None:
    """Events published while the server is killed and comes back arrive once, or are announced; the rest follows."""
    task = asyncio.get_running_loop().create_task(publish(bus, 1, 6_000, pause=0.005))

    async def strike(enough: int, connections: int) -> None:
        await until(lambda: len(watcher.numbers) > enough)
        os.kill(broker.pid, signal.SIGKILL)
        await until(lambda: bus.connections > connections)

    await strike(500, 1)
    await strike(1_000, 2)
    await task
    await settled(bus, watcher)
    assert watcher.numbers[-1] == 6_000
    assert len(watcher.numbers) > 3_000
    watcher.account(6_000)


async def test_killed_while_idle(broker: Broker, bus: Bus, watcher: Watcher) -> None:
    """Nothing was under way, so nothing is announced; what came while the server was away arrives whole."""
    await publish(bus, 1, 10)
    await settled(bus, watcher)
    os.kill(broker.pid, signal.SIGKILL)
    await until(lambda: not bus.connected and not watcher.bus.connected)
    assert bus.reason
    with pytest.raises(BusError, match="NATS is away"):
        await bus.barrier()
    await publish(bus, 11, 500)
    await bus.ready(8)
    await settled(bus, watcher)
    assert watcher.heard == list(range(1, 501))


async def test_subscriptions_come_back(broker: Broker, bus: Bus, watcher: Watcher) -> None:
    """A subscription is there again after the server was killed, once."""
    heard = []
    await bus.subscribe("rosey.commands.>", lambda _, payload, __: heard.append(payload))
    os.kill(broker.pid, signal.SIGKILL)
    await until(lambda: not bus.connected)
    await bus.ready(8)
    watcher.bus.publish_own("rosey.commands.x", b"1")
    await watcher.bus.barrier()
    await bus.barrier()
    assert heard == [b"1"]


@pytest.mark.usefixtures("impatient")
async def test_frozen(broker: Broker, bus: Bus, watcher: Watcher) -> None:
    """A frozen server is noticed, publishing goes on, and when it wakes up everything is sent or accounted for."""
    await publish(bus, 1, 1_000)
    await settled(bus, watcher)
    awake, login = asyncio.Event(), bus._login

    async def later() -> Login:
        await awake.wait()
        return await login()

    bus._login = later
    os.kill(broker.pid, signal.SIGSTOP)
    await publish(bus, 1_001, 2_000)
    await until(lambda: not bus.connected and not watcher.bus.connected)
    await publish(bus, 2_001, 3_000)
    os.kill(broker.pid, signal.SIGCONT)
    awake.set()
    await bus.ready(8)
    await publish(bus, 3_001, 4_000)
    await settled(bus, watcher)
    watcher.account(4_000)
    assert watcher.numbers[-2_000:] == list(range(2_001, 4_001))
    assert watcher.gaps == [Gap(1_000, 1_001, 2_000, certain=False)]


@pytest.mark.usefixtures("impatient")
async def test_frozen_while_idle(broker: Broker) -> None:
    """A server that freezes while nothing is published is noticed too, and left with a reason."""
    bus = made(broker)
    await bus.start()
    await bus.ready(5)
    os.kill(broker.pid, signal.SIGSTOP)
    await until(lambda: not bus.connected)
    assert bus.reason.startswith("no answer for ")
    os.kill(broker.pid, signal.SIGCONT)
    await bus.ready(8)
    await bus.close()


@pytest.mark.usefixtures("impatient")
async def test_short_freeze(broker: Broker, bus: Bus, watcher: Watcher) -> None:
    """A server that is frozen for less than the patience loses neither the connection nor an event."""
    os.kill(broker.pid, signal.SIGSTOP)
    await publish(bus, 1, 1_000)
    await asyncio.sleep(0.2)
    os.kill(broker.pid, signal.SIGCONT)
    await settled(bus, watcher)
    assert watcher.heard == list(range(1, 1_001))
    assert bus.counts()["connections"] == 1


async def test_overflow(broker: Broker, bus: Bus, watcher: Watcher) -> None:
    """What waits is bounded; what had to go is announced exactly, before what stayed."""
    bus._outbox = Outbox(max_messages=100)
    os.kill(broker.pid, signal.SIGKILL)
    await until(lambda: not bus.connected and not watcher.bus.connected)
    for number in range(1, 1_001):
        assert bus.publish(EVENT, b"%d" % number, "cytube", number)
    await bus.ready(8)
    await settled(bus, watcher)
    assert watcher.heard == [Gap(900, 1, 900, certain=True), *range(901, 1_001)]
    assert bus.counts()["dropped"] == 900


async def test_close_while_frozen(broker: Broker, watcher: Watcher) -> None:
    """`close` does not wait longer than it may for a server that is frozen, and says what it could not deliver."""
    bus = made(broker)
    await bus.start()
    await bus.ready(5)
    os.kill(broker.pid, signal.SIGSTOP)
    loop = asyncio.get_running_loop()
    for number in range(20):
        bus.publish(EVENT, b"x" * (1 << 20), "cytube", number + 1)
    began = loop.time()
    with capture_logs() as lines:
        await bus.close(0.2)
    os.kill(broker.pid, signal.SIGCONT)
    assert loop.time() - began < 3
    assert lines[-1]["event"] == "bus.undelivered"


async def test_close_while_away(broker: Broker) -> None:
    """A bus that never found its server closes at once."""
    bus = made(broker)

    async def nowhere() -> Login:
        return Login("nats://127.0.0.1:1")

    bus._login = nowhere
    await bus.start()
    with pytest.raises(BusError):
        await bus.ready(0.3)
    assert "127.0.0.1:1 can't be used" in bus.reason
    async with asyncio.timeout(2):
        await bus.close()


async def test_close_when_a_cancel_gets_lost(broker: Broker) -> None:
    """A library that swallows our cancelling can't keep the bus alive."""
    bus = made(broker)
    tries = []

    async def deaf() -> Login:
        tries.append(1)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise BusError("swallowed") from None
        raise AssertionError

    bus._login = deaf
    await bus.start()
    await until(lambda: bool(tries))
    async with asyncio.timeout(3):
        await bus.close()
    assert bus._task is not None
    assert bus._task.done()
    assert len(tries) == 1


# --- what can be wrong with it ---


async def test_wrong_password(broker: Broker) -> None:
    """A wrong password is told as such, with the address and without the password, and tried again."""
    bus = made(broker, user=BrokerUser("core", "wrong-canary"))
    with capture_logs() as lines:
        await bus.start()
        with pytest.raises(BusError) as caught:
            await bus.ready(0.5)
        await bus.close()
    assert str(caught.value) == f"NATS at {broker.url} can't be used: nats: 'Authorization Violation'"
    assert "canary" not in str(lines)
    assert [line["event"] for line in lines].count("bus.away") == 1


async def test_no_right_to_its_own_inbox(broker: Broker) -> None:
    """A user who may not publish to its own inbox is told what to allow."""
    bus = made(broker, name="mute", user=MUTE)
    await bus.start()
    with pytest.raises(BusError, match=r"the user may not publish and subscribe to _INBOX_mute\.>; allow it that"):
        await bus.ready(0.5)
    await bus.close()


async def test_refused_subject_is_not_fatal(broker: Broker) -> None:
    """A subject that the server refuses is logged, rarely, and the connection lives on."""
    bus = made(broker, name="watcher", user=LAME)
    await bus.start()
    await bus.ready(5)
    with capture_logs() as lines:
        for _ in range(50):
            bus.publish_own("rosey.events.a.b", b"1")
        await bus.barrier()
        await bus.barrier()
    assert [line["event"] for line in lines] == ["bus.error"]
    assert 'publish to "rosey.events.a.b"' in lines[0]["error"]
    assert bus.connections == 1
    await bus.close()


def test_login_shows_no_secret() -> None:
    """The text of a login holds neither its password nor what stands in its address."""
    login = Login("nats://someone:canary@127.0.0.1:4222", "core", "canary", "/etc/nats.creds")
    assert repr(login) == "Login('nats://127.0.0.1:4222', user='core')"
    assert Login("127.0.0.1:4222").where == "nats://127.0.0.1:4222"


def test_usual_limits() -> None:
    """The outbox holds 50,000 messages or 16 MiB, and a new connection is tried at least every two seconds."""
    box = Outbox()
    assert (box._max_messages, box._max_bytes) == (50_000, 16 << 20)
    assert bus_module.BACK_OFF[1] <= 2
