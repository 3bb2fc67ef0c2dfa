"""The other end of `outside`: a plugin's process takes what the daemon says, and acts through it.

It owns the channels as the worker knows them, and the answers. The plugin itself is in an `inside`, as it would be in
the daemon.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core import subjects
from rosey_core.actions import Action, Outcome
from rosey_core.bus.bus import Bus
from rosey_core.bus.questions import Questions
from rosey_core.channel.channel import Channel
from rosey_core.clock import WallClock
from rosey_core.config import Secret
from rosey_core.envelope import NormalizedEvent, Verdict
from rosey_core.errors import BusError, PluginError, Unavailable
from rosey_core.grants import may_read
from rosey_core.host import messages, own_events
from rosey_core.host.home import JUDGE_SECONDS, QUERY_SECONDS, STOP_SECONDS, Counts
from rosey_core.host.inside import Inside
from rosey_core.receipt import Receipt

OUTCOME_SECONDS = 300.0
"""After so long an action's outcome is unknown; the daemon's own sender gives up long before."""


class Door:
    """What a worker asks of the daemon.

    Args:
        plugin: its name, which is also its NATS user's.
        bus: its connection.
        clock: tells the time.
        read_secret: reads what the plugin's settings name.
    """

    def __init__(self, plugin: str, bus: Bus, clock: WallClock, read_secret: Callable[[Secret], str]) -> None:
        self.clock = clock
        self.secret = read_secret
        self._plugin = plugin
        self._bus = bus
        self._inbox = f"_INBOX_{plugin}.answers"
        self._questions = Questions(bus.request)
        self._acting: set[asyncio.Task[None]] = set()
        bus.lost = self._questions.lost

    async def open(self) -> None:
        """Listen to answers."""
        await self._bus.subscribe(f"{self._inbox}.>", self._questions.take)

    async def ask(self, what: str, message: msgspec.Struct, seconds: float) -> bytes:
        """Ask the daemon. Raises `Unavailable`."""
        subject = subjects.worker(self._plugin, "ask", what)
        return await self._questions.ask(subject, messages.encode(message), replies=self._inbox, seconds=seconds)

    async def query(self, plugin: str, name: str, channel: str, args: dict[str, Any]) -> Any:
        """Ask another plugin."""
        return messages.result_of(
            await self.ask("query", messages.Query(plugin, name, channel, args), QUERY_SECONDS + 2)
        )

    def publish(self, plugin: str, name: str, data: Any) -> None:
        """Publish an event of the plugin's own."""
        own_events.publish(self._bus, plugin, name, msgspec.json.encode(data))

    def act(self, channel: str, action: Action, *, reply: bool) -> Receipt:
        """Ask for an action; its receipt tells what became of it."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        way = ("do", channel, *(("reply",) if reply else ()), action.name)
        try:
            work = self._done(subjects.worker(self._plugin, *way), msgspec.json.encode(action), future)
        except (TypeError, ValueError, msgspec.MsgspecError) as error:
            return Receipt.of(action.name, Outcome("refused", str(error)))
        task = asyncio.get_running_loop().create_task(work, name=f"action {action.name}")
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)
        return Receipt("", action.name, future)

    async def _done(self, subject: str, payload: bytes, future: asyncio.Future[Outcome]) -> None:
        try:
            answer = await self._questions.ask(subject, payload, replies=self._inbox, seconds=OUTCOME_SECONDS)
            outcome = outcome_of(answer)
        except Unavailable as error:
            outcome = Outcome("unknown", str(error))
        if not future.done():
            future.set_result(outcome)


def outcome_of(answer: bytes) -> Outcome:
    """What an answer to an action says. Raises `Unavailable` for none."""
    if not answer:
        raise Unavailable("rosey does not listen")
    try:
        told = msgspec.json.decode(answer, type=messages.Answer)
        if told.ok:
            return msgspec.json.decode(told.result, type=Outcome)
    except msgspec.MsgspecError:
        return Outcome("unknown", "the answer can't be read")
    states: tuple[Literal["refused", "dropped", "unknown", "stale"], ...] = ("refused", "dropped", "unknown", "stale")
    for state in states:
        if told.error.code == state:
            return Outcome(state, told.error.message)
    return Outcome("refused", told.error.message)


class Room:
    """A channel as a worker knows it: the same to a plugin as the daemon's own.

    Args:
        name: the channel's name.
        told: what the daemon says of it.
        door: the way to the daemon.
    """

    def __init__(self, name: str, told: messages.Room, door: Door) -> None:
        self.name = name
        self.prefix = told.prefix
        self.state = Channel() if told.snapshot is None else Channel.restore(told.snapshot)
        self.seen = told.seen
        self._door = door

    def act(self, action: Action, *, plugin: str, reply: bool) -> Receipt:  # noqa: ARG002  the worker is one plugin
        """Queue an action."""
        return self._door.act(self.name, action, reply=reply)

    def follow(self, message: messages.Events, events: list[NormalizedEvent]) -> None:
        """Keep the copy of the state: take a snapshot that is there, and apply what comes after it."""
        if message.snapshot is not None:
            self.state, self.seen = Channel.restore(message.snapshot), message.seen
        for event in events:
            if event.seq > self.seen:
                self.state.apply(event.data)
                self.seen = event.seq


class _Lane:
    """One channel's lists: the number of the last, what it was answered, and who waits for that."""

    def __init__(self, room: Room, home: Inside) -> None:
        self.room = room
        self.home = home
        self.deliver = home.deliver_to(room.name)
        self.number = 0
        self.answer = b""
        self.waiting: list[str] = []
        self.task: asyncio.Task[None] | None = None
        self.queue: asyncio.Queue[tuple[messages.Events, list[NormalizedEvent]]] = asyncio.Queue()


Answer = Callable[[str, bytes], None]
Make = Callable[[Mapping[str, Room], messages.Start], dict[str, Inside]]
"""Makes the plugin: channels, and what the daemon said, to its instance in each."""


class Remote:
    """Takes what the daemon says to this worker.

    Args:
        plugin: its name.
        session: what it calls this life of its process.
        door: the way to the daemon.
        make: makes the plugin, once the daemon said with which settings.
        answer: sends an answer.
        log: for what goes wrong.

    Attributes:
        over: set when the daemon said that it should end.
        heard: when the daemon asked something of this life last, by the loop's clock.
        begun: whether the daemon ever said `start`.
    """

    def __init__(
        self, plugin: str, session: str, door: Door, make: Make, answer: Answer, log: FilteringBoundLogger
    ) -> None:
        self.over = asyncio.Event()
        self.heard = -math.inf
        self.begun = False
        self._starting = asyncio.Lock()
        self._plugin = plugin
        self._session = session
        self._door = door
        self._make = make
        self._answer = answer
        self._log = log
        self._grants = frozenset[str]()
        self._homes: dict[str, Inside] = {}
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ways: dict[tuple[str, str], tuple[type[Any], Callable[..., Awaitable[Any]]]] = {
            ("control", "start"): (messages.Start, self._start),
            ("control", "stop"): (messages.Control, self._stop),
            ("control", "tidy"): (messages.Control, self._tidy),
            ("control", "ping"): (messages.Control, self._ping),
            ("hook", "command"): (messages.Commanded, self._command),
            ("hook", "query"): (messages.Asked, self._query),
            ("hook", "judge"): (messages.Judged, self._judge),
        }

    def take(self, subject: str, payload: bytes, reply: str) -> None:
        """Take a message; never waits."""
        _, way = subjects.of_worker(subject)
        if way[0] == "hook" and way[-1] == "events":
            self._events(way[1], payload, reply)
            return
        found = self._ways.get((way[0], way[-1]))
        if found is None:
            self._answer(reply, messages.bad(PluginError(f"this worker knows no {'.'.join(way)}")))
            return
        self._spawn(self._question(*found, way[1:-1], payload, reply), "question")

    def _spawn(self, work: Any, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _question(
        self, kind: type[Any], work: Callable[..., Awaitable[Any]], way: tuple[str, ...], payload: bytes, reply: str
    ) -> None:
        try:
            message = msgspec.json.decode(payload, type=kind)
            if message.session != self._session:
                return  # it is meant for an earlier life
            self.heard = asyncio.get_running_loop().time()
            answer = messages.good(await work(*way, message))
        except PluginError as error:
            answer = messages.bad(error)
        except Exception as error:
            self._log.exception("worker.failed", what=kind.__name__)
            answer = messages.bad(PluginError(f"{self._plugin} failed: {error}"))
        self._say(reply, answer)

    def _say(self, reply: str, answer: bytes) -> None:
        try:
            self._answer(reply, answer)
        except BusError as error:
            self._log.warning("worker.answer_lost", reason=str(error))

    # --- its life ---

    async def _start(self, message: messages.Start) -> None:
        self.begun = True
        async with self._starting:
            await self.end(STOP_SECONDS)  # a daemon that was started anew knows nothing of what runs here
            await self._begin(message)

    async def _begin(self, message: messages.Start) -> None:
        self._grants = frozenset(message.grants)
        rooms = {name: Room(name, room, self._door) for name, room in message.channels.items()}
        homes = self._make(rooms, message)
        for home in dict.fromkeys(homes.values()):
            try:
                await home.start()
            except BaseException:
                for each in dict.fromkeys(homes.values()):
                    await each.tidy()
                raise
        self._homes = homes
        for name, home in homes.items():
            lane = self._lanes[name] = _Lane(rooms[name], home)
            lane.task = self._spawn(self._run(lane), f"lane {name}")

    async def _stop(self, message: messages.Control) -> None:
        await self.end(message.seconds)
        self.over.set()

    async def end(self, seconds: float) -> None:
        """Stop the plugin, within about `seconds`, and forget it. It may be started again."""
        for home in dict.fromkeys(self._homes.values()):
            home.retire()
            await home.stop(seconds)
        for lane in self._lanes.values():
            if lane.task is not None:
                lane.task.cancel()
        self._homes, self._lanes = {}, {}

    async def _tidy(self, _: messages.Control) -> None:
        for home in dict.fromkeys(self._homes.values()):
            await home.tidy()

    async def _ping(self, _: messages.Control) -> Any:
        counts = [home.counts for home in dict.fromkeys(self._homes.values())]
        total = Counts()
        for each in counts:
            total.calls += each.calls
            total.errors += each.errors
            total.overdue += each.overdue
            total.refused += each.refused
            total.last_error = each.last_error or total.last_error
        return total

    # --- questions ---

    async def _command(self, channel: str, message: messages.Commanded) -> Any:
        return await self._home(channel).command(message.call(channel))

    async def _query(self, channel: str, message: messages.Asked) -> Any:
        return await self._home(channel).query(channel, message.name, message.args)

    async def _judge(self, channel: str, message: messages.Judged) -> Any:
        said: list[Verdict | str | None] = []
        try:
            async with asyncio.timeout(JUDGE_SECONDS):
                await self._home(channel).judge(messages.events_of(message), said.append)
        except TimeoutError:
            raise Unavailable(f"{self._plugin} judged for longer than {JUDGE_SECONDS:g} s") from None
        return said

    def _home(self, channel: str) -> Inside:
        home = self._homes.get(channel)
        if home is None:
            raise Unavailable(f"{self._plugin} is not started in {channel}")
        return home

    # --- lanes ---

    def _events(self, channel: str, payload: bytes, reply: str) -> None:
        lane = self._lanes.get(channel)
        try:
            message = msgspec.json.decode(payload, type=messages.Events)
            events = messages.events_of(message)
        except msgspec.MsgspecError as error:
            self._say(reply, messages.bad(PluginError(f"no list of events: {error}")))
            return
        if lane is None or message.session != self._session:
            return
        if message.number < lane.number:
            return
        if message.number == lane.number:
            if lane.answer:
                self._say(reply, lane.answer)
            else:
                lane.waiting.append(reply)
            return
        lane.number, lane.answer, lane.waiting = message.number, b"", [reply]
        lane.queue.put_nowait((message, events))

    async def _run(self, lane: _Lane) -> None:
        while True:
            message, events = await lane.queue.get()
            if "channel.state" in self._grants:
                lane.room.follow(message, events)
                events = [event for event in events if may_read(self._grants, event.event_type)]
            if events:
                await lane.deliver(events)
            lane.answer = messages.good()
            for reply in lane.waiting:
                self._say(reply, lane.answer)
            lane.waiting = []
