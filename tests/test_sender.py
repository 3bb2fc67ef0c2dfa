"""The way out of a channel, against a small CyTube in virtual time: order, limits, receipts, bounds, absences."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosey_core import actions as do
from rosey_core import events as ev
from rosey_core.actions import Action, Outcome
from rosey_core.channel.channel import Channel
from rosey_core.cytube.bucket import Bucket, chat_limit, queue_limit
from rosey_core.cytube.sender import MAX_TRIES, PATIENCE, Sender
from rosey_core.cytube.waiting import Priority
from rosey_core.envelope import Metadata
from rosey_core.errors import SocketIOError
from rosey_core.receipt import Receipt
from rosey_core.testing.clock import run_virtual

ME = "TestBot"
DONE = Outcome("done")
PLAIN, OWN, SERVER = Metadata(), Metadata(own=True), Metadata(server=True)
FLOOD = {"chat_antiflood": True, "chat_antiflood_params": {"burst": 4, "sustained": 1, "cooldown": 4}}
NODES = (
    "chat mute kick ban chatclear drink playlistadd playlistdelete playlistmove playlistlock seeplaylist "
    "pollctl pollvote settemp emoteedit motdedit deletefromchannellib"
)
POLL = ev.PollOpened("Best?", ("a", "b"), (0, 0), ME, 5000)


class World:
    """A room in which the bot is, as far as its sender can tell.

    Lines arrive after `delay`, are counted by CyTube's own limiter, and are echoed after as much again. What else
    arrives is answered by `answers`, by the event's name. `deaf` swallows lines, `drops` makes the next ones too
    fast, `broken` is what the connection raises.

    Attributes:
        sent: what left, and when.
        lines: the texts that CyTube took, in order.
        cooldowns: how many lines it dropped.
        crowd: the most lines that were under way at once.
    """

    def __init__(
        self,
        *,
        rank: float = 3,
        options: dict[str, Any] | None = None,
        limit: int = 500,
        delay: Callable[[], float] = lambda: 0.01,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.room = Channel()
        self.sender = Sender(self.emit, self.room, limit=limit)
        self.delay = delay
        self.answers: dict[str, Callable[[Any], list[ev.Data]]] = {}
        self.sent: list[tuple[float, str, Any]] = []
        self.lines: list[str] = []
        self.cooldowns = 0
        self.drops = 0
        self.deaf = False
        self.broken: Exception | None = None
        self.acks: list[asyncio.Future[object]] = []
        self.crowd = 0
        self._under_way = 0
        self._rank, self._options = rank, options or {}
        self._last = {"there": 0.0, "back": 0.0}
        self._chat, self._queue = Bucket(), Bucket()

    def join(self) -> None:
        """The bot is in the room."""
        self._chat, self._queue = Bucket(), Bucket()
        for data in (
            ev.ChannelPermissions(dict.fromkeys(NODES.split(), 0.0)),
            ev.ChannelOptions(self._options),
            ev.UserList((ev.User(ME, self._rank), ev.User("alice"), ev.User("bob"))),
            ev.PlaylistLoaded(tuple(ev.Item(uid, ev.Media(f"m{uid}", "yt")) for uid in range(60))),
            ev.ConnectionJoined("room", ME, self._rank),
        ):
            self.room.apply(data)
        self.sender.online()

    def lose(self, reason: str = "the socket closed") -> None:
        """The connection ends."""
        self.room.apply(ev.ConnectionLost(reason))
        self.sender.offline(reason)

    def emit(self, name: str, payload: Any = None, *, ack: bool = False) -> asyncio.Future[object] | None:
        """The session's side."""
        if self.broken is not None:
            raise self.broken
        self.sent.append((self.loop.time(), name, payload))
        if name in {"chatMsg", "pm"}:
            self._under_way += 1
            self.crowd = max(self.crowd, self._under_way)
        self._later("there", lambda: self._arrive(name, payload))
        if not ack:
            return None
        self.acks.append(self.loop.create_future())
        return self.acks[-1]

    def hear(self, data: ev.Data, metadata: Metadata = PLAIN) -> None:
        """CyTube tells something, and it is here now."""
        self.room.apply(data)
        self.sender.heard(data, metadata)

    def say(self, text: str, priority: Priority = Priority.REPLY, *, owner: str = "", me: bool = False) -> Receipt:
        """The bot speaks."""
        return self.sender.submit(do.SendMessage(text=text, me=me), priority=priority, owner=owner)

    def do(self, action: Action, priority: Priority = Priority.CHATTER) -> Receipt:
        """The bot does something."""
        return self.sender.submit(action, priority=priority)

    def names(self) -> list[str]:
        """The names of the events that left."""
        return [name for _, name, _ in self.sent]

    def _later(self, way: str, call: Callable[[], None]) -> None:
        """After the delay, but never before what went the same way earlier."""
        self._last[way] = max(self._last[way], self.loop.time() + self.delay())
        self.loop.call_at(self._last[way], call)

    def _back(self, data: ev.Data, metadata: Metadata = PLAIN, *, of_line: bool = False) -> None:
        def arrive() -> None:
            self._under_way -= of_line
            self.hear(data, metadata)

        self._later("back", arrive)

    def _arrive(self, name: str, payload: Any) -> None:
        if name in {"chatMsg", "pm"}:
            self._line(name, payload)
            return
        if name == "queue" and not self._queue.take(queue_limit(self.room.my_rank), self.loop.time()):
            self.cooldowns += 1
            self._back(ev.MediaQueueFailed("You are adding videos too quickly", id=payload["id"]))
            return
        for data in self.answers.get(name, lambda _: [])(payload):
            self._back(data)

    def _line(self, name: str, payload: dict[str, str]) -> None:
        text = payload["msg"]
        if self.deaf:
            self._under_way -= 1
            return
        limit = chat_limit(self._options if name == "chatMsg" else {}, self._rank)
        takes = [self._chat.take(limit, self.loop.time()) for _ in range(2 if text.startswith("/me ") else 1)]
        if self.drops or not all(takes):
            self.drops -= self.drops > 0
            self.cooldowns += 1
            self._back(ev.ChatRefused("cooldown", wait_ms=100), of_line=True)
            return
        self.lines.append(text)
        if name == "pm":
            self._back(ev.ChatPm(ME, payload["to"], text), OWN, of_line=True)
        elif text.partition(" ")[0] in self.answers:
            self._under_way -= 1
            for data in self.answers[text.partition(" ")[0]](text):
                self._back(data, SERVER if isinstance(data, ev.ChatMessage) else PLAIN)
        else:
            self._back(ev.ChatMessage(ME, text.removeprefix("/me ")), OWN, of_line=True)


def play(scene: Callable[[World], Awaitable[None]], *, joined: bool = True, **fields: Any) -> None:
    """Play a scene in virtual time."""

    async def whole() -> None:
        world = World(**fields)
        if joined:
            world.join()
        running = asyncio.create_task(world.sender.run())
        await scene(world)
        assert not running.done()
        running.cancel()

    run_virtual(whole(), debug=True)


def scene(**fields: Any) -> Callable[[Callable[[World], Awaitable[None]]], Callable[[], None]]:
    """Make a test of a scene."""

    def decorate(test: Callable[[World], Awaitable[None]]) -> Callable[[], None]:
        def run() -> None:
            play(test, **fields)

        run.__doc__ = test.__doc__
        return run

    return decorate


async def outcomes(*receipts: Receipt) -> list[Outcome]:
    """What became of each."""
    return list(await asyncio.gather(*(receipt.outcome() for receipt in receipts)))


async def states(*receipts: Receipt) -> list[str]:
    """The states of what became of each."""
    return [outcome.state for outcome in await outcomes(*receipts)]


# --- lines, their order and their limits -----------------------------------------------------------------------


@pytest.mark.parametrize("delay", (0.0005, 0.01, 0.15, 0.6, None), ids=("loopback", "near", "far", "bad", "uneven"))
def test_forty_replies_at_once(delay: float | None) -> None:
    """All are delivered, in order, one at a time, and CyTube drops none as too fast."""
    dice = random.Random(4)  # noqa: S311  a repeatable network

    async def forty(world: World) -> None:
        receipts = [world.say(f"reply {n}") for n in range(40)]
        assert await states(*receipts) == ["done"] * 40
        assert world.lines == [f"reply {n}" for n in range(40)]
        assert world.cooldowns == 0
        assert world.crowd == 1
        if delay is not None and delay < 0.02:
            assert world.loop.time() < 3

    play(forty, delay=lambda: dice.uniform(0.02, 0.5) if delay is None else delay)


@scene(rank=1, options=FLOOD)
async def test_a_rooms_flood_limit_is_kept(world: World) -> None:
    """Four lines and then one a second, where the room wants it so."""
    assert await states(*[world.say(str(n)) for n in range(10)]) == ["done"] * 10
    assert world.cooldowns == 0
    assert 6 < world.loop.time() < 7


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["say", "me", "pm", "wait"]), st.floats(0, 3)), max_size=50),
    st.floats(0.001, 0.4),
    st.sampled_from([{}, FLOOD]),
)
def test_no_mixture_is_too_fast(steps: list[tuple[str, float]], delay: float, options: dict[str, Any]) -> None:
    """Whatever is said at whatever pace: CyTube takes all of it, in order."""

    async def talk(world: World) -> None:
        receipts, texts = [], []
        for n, (what, pause) in enumerate(steps):
            if what == "wait":
                await asyncio.sleep(pause)
            elif what == "pm":
                receipts.append(world.do(do.SendPm(to="alice", text=str(n))))
                texts.append(str(n))
            else:
                receipts.append(world.say(str(n), Priority.CHATTER, me=what == "me"))
                texts.append(f"/me {n}" if what == "me" else str(n))
        assert set(await outcomes(*receipts)) <= {DONE}
        assert world.lines == texts
        assert world.cooldowns == 0

    play(talk, rank=1, delay=lambda: delay, options=options)


@scene()
async def test_a_line_that_was_too_fast_is_sent_again(world: World) -> None:
    """CyTube's `cooldown` drops a line; it goes out again, and nothing overtakes it."""
    world.drops = 3
    assert await states(world.say("one"), world.say("two")) == ["done", "done"]
    assert world.lines == ["one", "two"]
    assert world.names() == ["chatMsg"] * 5


@scene()
async def test_a_line_that_is_dropped_ever_again_is_refused(world: World) -> None:
    """There is an end, and the receipt says what it was."""
    world.drops = 10_000
    assert await outcomes(world.say("one")) == [
        Outcome("refused", f"CyTube dropped it {MAX_TRIES} times, as coming too fast")
    ]
    assert len(world.sent) == MAX_TRIES


@scene()
async def test_a_drink_is_not_counted_twice(world: World) -> None:
    """CyTube counts a drink before it drops its line, so it is not sent again."""
    world.drops = 1
    (outcome,) = await outcomes(world.do(do.Drink(text="cheers")))
    assert outcome.state == "refused"
    assert len(world.sent) == 1


@scene(rank=1, options={"chat_antiflood": True, "chat_antiflood_params": {"burst": 1, "sustained": 1}})
async def test_what_the_limit_never_lets_through_is_refused(world: World) -> None:
    """An action line counts twice; in a room of one line at a time it is told so, and others go on."""
    me, line = world.say("waves", me=True), world.say("hello")
    assert [outcome.reason for outcome in await outcomes(me, line)] == [
        "this room's flood limit never lets it through",
        "",
    ]


@scene()
async def test_two_private_messages_arrive_while_one_is_sent(world: World) -> None:
    """Others' messages are not taken for the echo of ours, from whomever and whatever they say."""
    receipt = world.do(do.SendPm(to="alice", text="hello"))
    await asyncio.sleep(0.005)
    world.hear(ev.ChatPm("alice", ME, "hello"))
    world.hear(ev.ChatPm("bob", ME, "hello"))
    world.hear(ev.ChatMessage("alice", "hello"))
    assert receipt.settled is None
    assert await receipt.outcome() == DONE
    assert world.loop.time() == pytest.approx(0.02)


@scene()
async def test_history_and_shadows_confirm_nothing(world: World) -> None:
    """Lines that CyTube repeats at a join, and a moderator's second copy of a shadow-muted line."""
    world.deaf = True
    receipt = world.say("hello")
    await asyncio.sleep(0.1)
    world.hear(ev.ChatMessage(ME, "hello"), Metadata(own=True, history=True))
    world.hear(ev.ChatMessage(ME, "hello"), Metadata(own=True, shadow=True))
    assert receipt.settled is None
    world.hear(ev.ChatMessage(ME, "hello"), OWN)
    assert await receipt.outcome() == DONE


@scene()
async def test_silence_is_unknown(world: World) -> None:
    """After 2 s the next line leaves, and the receipt claims nothing."""
    world.deaf = True
    lost = world.say("lost")
    await asyncio.sleep(1)
    world.deaf = False
    after = world.say("after")
    assert await outcomes(lost) == [Outcome("unknown", "CyTube did not answer within 2 s")]
    assert world.loop.time() == pytest.approx(2)
    assert await after.outcome() == DONE
    assert [round(at, 2) for at, *_ in world.sent] == [0, 2]


@scene()
async def test_a_late_echo_is_not_the_next_lines(world: World) -> None:
    """What was given up is echoed at last: that says nothing of the line that is under way by then."""
    world.deaf = True
    slow, after = world.say("slow"), world.say("after")
    assert await states(slow) == ["unknown"]
    await asyncio.sleep(0.5)
    world.hear(ev.ChatMessage(ME, "slow"), OWN)
    assert after.settled is None
    world.hear(ev.ChatMessage(ME, "after"), OWN)
    assert await after.outcome() == DONE


@scene()
async def test_a_late_echo_that_filters_changed_is_not_the_next_lines(world: World) -> None:
    """Nobody can tell whose it is, so `unknown` is what is known."""
    world.deaf = True
    slow, after = world.say("*slow*"), world.say("*after*")
    assert await states(slow) == ["unknown"]
    world.hear(ev.ChatMessage(ME, "slow"), OWN)
    assert await states(after) == ["unknown"]


@scene()
async def test_an_echo_that_is_plainly_its_own_confirms(world: World) -> None:
    """Even while another's may still come; an action line comes back without its `/me`."""
    world.deaf = True
    slow, after = world.say("slow"), world.say("waves", me=True)
    assert await states(slow) == ["unknown"]
    world.hear(ev.ChatMessage(ME, "waves", kind="action"), OWN)
    assert await after.outcome() == DONE


@scene()
async def test_a_changed_echo_confirms(world: World) -> None:
    """With nothing given up before, the one line under way is the one echoed, whatever filters made of it."""
    world.deaf = True
    receipt = world.say("*hello*")
    await asyncio.sleep(0.1)
    world.hear(ev.ChatMessage(ME, "hello"), OWN)
    assert await receipt.outcome() == DONE


@scene()
async def test_a_late_cooldown_sends_nothing_twice(world: World) -> None:
    """It may be about the line that was given up; the one under way is not sent again for it."""
    world.deaf = True
    slow, after = world.say("slow"), world.say("after")
    assert await states(slow) == ["unknown"]
    await asyncio.sleep(0.1)
    world.hear(ev.ChatRefused("cooldown", wait_ms=100))
    world.hear(ev.ChatMessage(ME, "after"), OWN)
    assert await after.outcome() == DONE
    assert len(world.sent) == 2


@scene()
async def test_cytubes_refusals_are_told(world: World) -> None:
    """A muted bot's line, a private message to somebody who went: in CyTube's words, and the next leaves at once."""
    world.deaf = True
    line, pm = world.say("hello"), world.do(do.SendPm(to="alice", text="x"))
    await asyncio.sleep(0.1)
    world.hear(ev.ErrorMessage("Invalid target: ("))
    world.hear(ev.ChatRefused("muted", "You have been muted on this channel."))
    await asyncio.sleep(0.1)
    world.hear(ev.ErrorMessage("PM failed: alice isn't connected to this channel."))
    assert await outcomes(line, pm) == [
        Outcome("refused", "You have been muted on this channel."),
        Outcome("refused", "PM failed: alice isn't connected to this channel."),
    ]
    assert world.loop.time() == pytest.approx(0.2)


# --- long texts ------------------------------------------------------------------------------------------------


@scene()
async def test_a_long_text_is_one_receipt(world: World) -> None:
    """It goes out as lines that, joined, are the text; it is done when the last is echoed."""
    text = "".join(chr(0x1F600 + n % 50) for n in range(400))
    receipt = world.say(text)
    await asyncio.sleep(0.03)
    assert receipt.settled is None
    assert await receipt.outcome() == DONE
    assert "".join(world.lines) == text
    assert len(world.lines) == 3


@scene()
async def test_only_what_matters_more_comes_between_the_parts(world: World) -> None:
    """Moderation does, another reply does not."""
    world.answers["/kick"] = lambda _: [ev.UserLeft("bob")]
    long, reply = world.say("x" * 700), world.say("reply")
    await asyncio.sleep(0.005)
    kick = world.do(do.KickUser(user="bob"), Priority.MODERATION)
    assert await states(long, reply, kick) == ["done"] * 3
    assert [line[:5] for line in world.lines] == ["xxxxx", "/kick", "xxxxx", "xxxxx", "reply"]


@scene()
async def test_a_refused_part_ends_the_text(world: World) -> None:
    """The rest is not said, and the receipt says how far it came."""
    receipt = world.say("x" * 700)
    await asyncio.sleep(0.021)
    world.deaf = True
    world.hear(ev.ChatRefused("muted", "muted"))
    assert await outcomes(receipt) == [Outcome("refused", "part 2 of 3: muted")]
    assert len(world.sent) == 2


@scene()
async def test_an_unknown_part_makes_the_whole_unknown(world: World) -> None:
    """The others are said all the same."""
    world.deaf = True
    receipt = world.say("x" * 700)
    await asyncio.sleep(1)
    world.deaf = False
    assert await outcomes(receipt) == [Outcome("unknown", "part 1 of 3: CyTube did not answer within 2 s")]
    assert len(world.sent) == 3


@scene()
async def test_no_text_becomes_a_command(world: World) -> None:
    """A user's words that the bot repeats run nothing, on whatever line they stand."""
    await outcomes(world.say("/kick alice\n/clear"), world.say("/me /ban bob"), world.say("/a", me=True))
    assert world.lines == [" /kick alice", " /clear", " /me /ban bob", "/me  /a"]


# --- order and bound -------------------------------------------------------------------------------------------


@scene(joined=False)
async def test_moderation_before_replies_before_chatter(world: World) -> None:
    """Whatever came first; within each, in the order in which they came."""
    world.answers["/kick"] = lambda _: [ev.UserLeft("bob")]
    for n in range(2):
        world.say(f"chatter {n}", Priority.CHATTER)
        world.say(f"reply {n}", Priority.REPLY)
    kick = world.do(do.KickUser(user="bob"), Priority.MODERATION)
    last = world.say("chatter 2", Priority.CHATTER)
    world.join()
    assert await states(kick, last) == ["done"] * 2
    assert world.lines == ["/kick bob", "reply 0", "reply 1", "chatter 0", "chatter 1", "chatter 2"]


@scene(joined=False, limit=2)
async def test_the_newest_chatter_goes_when_it_is_full(world: World) -> None:
    """Chatter gives way to replies, both to moderation, and the receipt says what happened."""
    full = Outcome("dropped", "the queue is full: 2 actions wait")
    first, second, third = (world.say(str(n), Priority.CHATTER) for n in range(3))
    assert (first.settled, second.settled, third.settled) == (None, None, full)
    reply = world.say("reply", Priority.REPLY)
    assert (first.settled, second.settled) == (None, full)
    kick = world.do(do.KickUser(user="bob"), Priority.MODERATION)
    assert [each.settled for each in (first, reply)] == [full, None]
    clear = world.do(do.ClearChat(), Priority.MODERATION)
    assert [each.settled for each in (reply, kick, clear)] == [full, None, None]
    assert world.do(do.ClearChat(), Priority.MODERATION).settled == full
    assert world.sender.counts() == {"done": 0, "refused": 0, "dropped": 5, "unknown": 0, "queued": 2}


@scene()
async def test_a_slow_kind_does_not_hold_up_others(world: World) -> None:
    """While CyTube looks something up the bot speaks and votes."""
    queue, line, vote = world.do(do.QueueMedia(id="x", type="yt")), world.say("hello"), world.do(do.Vote(option=0))
    world.answers["vote"] = lambda _: [ev.PollUpdated("Best?", ("a",), (1,))]
    assert await outcomes(line, vote) == [DONE, DONE]
    assert queue.settled is None


@scene()
async def test_counts_are_of_all_so_far(world: World) -> None:
    """And of what waits or is under way now."""
    world.answers["/afk"] = lambda _: []
    await outcomes(world.say("a"), world.say(" "), world.do(do.SetAway()))
    world.say("b")
    assert world.sender.counts() == {"done": 1, "refused": 1, "dropped": 0, "unknown": 1, "queued": 1}


# --- absences --------------------------------------------------------------------------------------------------


@scene()
async def test_what_is_under_way_when_the_connection_goes_is_unknown(world: World) -> None:
    """Nobody knows whether it arrived; it is not sent again. What waits is sent after the next join."""
    flying, long, waiting = world.say("flying"), world.say("x" * 400), world.say("waiting")
    await asyncio.sleep(0.005)
    world.lose()
    assert flying.settled == Outcome("unknown", "the socket closed")
    await asyncio.sleep(30)
    world.join()
    assert await states(long, waiting) == ["done", "done"]
    assert [payload["msg"][:7] for _, _, payload in world.sent] == ["flying", "xxxxxxx", "xxxxxxx", "waiting"]


@scene()
async def test_a_text_half_said_is_unknown(world: World) -> None:
    """Its rest is not said after the next join, and the receipt says how far it came."""
    receipt = world.say("x" * 700)
    await asyncio.sleep(0.025)
    world.lose()
    world.join()
    assert receipt.settled == Outcome("unknown", "part 2 of 3: the socket closed")
    await asyncio.sleep(5)
    assert len(world.sent) == 2


@scene()
async def test_what_waits_is_dropped_after_a_minute_of_absence(world: World) -> None:
    """Each action for itself: what came later may wait longer."""
    await asyncio.sleep(100)
    world.lose()
    early = world.say("early")
    await asyncio.sleep(PATIENCE / 2)
    late = world.say("late")
    assert await outcomes(early) == [Outcome("dropped", "offline for 60 s")]
    assert world.loop.time() == pytest.approx(160)
    world.join()
    assert await late.outcome() == DONE
    assert world.lines == ["late"]


@scene()
async def test_only_absence_counts(world: World) -> None:
    """What had waited for its turn before the connection went may still wait a minute."""
    world.do(do.QueueMedia(id="a", type="yt"))
    waiting = world.do(do.QueueMedia(id="b", type="yt"))
    await asyncio.sleep(30)
    world.lose()
    await asyncio.sleep(35)
    world.say("something else")
    assert await states(waiting) == ["dropped"]
    assert world.loop.time() == pytest.approx(90)


@scene(joined=False)
async def test_before_the_first_join_it_is_the_same(world: World) -> None:
    """A bot that can't get in drops what waits for a minute."""
    await asyncio.sleep(500)
    assert await outcomes(world.say("x")) == [Outcome("dropped", "offline for 60 s")]
    assert world.loop.time() == pytest.approx(560)


@scene()
async def test_a_new_connection_has_its_whole_burst(world: World) -> None:
    """CyTube counts each connection from zero."""
    await outcomes(*[world.say(str(n)) for n in range(20)])
    world.lose()
    world.join()
    began = world.loop.time()
    await outcomes(*[world.say(str(n)) for n in range(20)])
    assert world.loop.time() - began == pytest.approx(0.4)
    assert world.cooldowns == 0


@scene()
async def test_what_could_not_be_put_on_the_wire_waits(world: World) -> None:
    """The connection ended and this was not told yet: the line never left, so it goes after the next join."""
    world.broken = SocketIOError("the bot is not in the room")
    receipt = world.say("hello")
    await asyncio.sleep(0.1)
    world.lose()
    world.broken = None
    await asyncio.sleep(10)
    world.join()
    assert await receipt.outcome() == DONE
    assert world.lines == ["hello"]


@scene()
async def test_what_never_can_be_put_on_the_wire_is_refused(world: World) -> None:
    """The connection stands, and others go on."""
    world.broken = SocketIOError("too big")
    receipt = world.say("hello")
    assert await outcomes(receipt) == [Outcome("refused", "too big")]
    world.broken = RuntimeError("a bug")
    assert await outcomes(world.say("hello")) == [Outcome("refused", "it can't be sent: a bug")]
    world.broken = None
    assert await outcomes(world.say("hello")) == [DONE]


@scene()
async def test_shutting_down(world: World) -> None:
    """What waits is sent while there is time; nothing new is taken; the rest says what became of it."""
    said, slow, never = world.say("said"), world.do(do.QueueMedia(id="x", type="yt")), []
    never = [world.do(do.QueueMedia(id=str(n), type="yt")) for n in range(3)]
    await asyncio.sleep(0.001)
    draining = asyncio.create_task(world.sender.drain(2))
    await asyncio.sleep(0)
    assert world.say("new").settled == Outcome("dropped", "shutting down")
    await draining
    assert world.loop.time() == pytest.approx(2.001)
    assert said.settled == DONE
    assert slow.settled == Outcome("unknown", "shutting down")
    assert [receipt.settled for receipt in never] == [Outcome("dropped", "shutting down")] * 3


@scene()
async def test_shutting_down_takes_no_longer_than_needed(world: World) -> None:
    """With all said it ends at once, and at once as well when the connection is away."""
    receipts = [world.say(str(n)) for n in range(5)]
    await world.sender.drain(60)
    assert [receipt.settled for receipt in receipts] == [DONE] * 5
    assert world.loop.time() == pytest.approx(0.1)


# --- rights ----------------------------------------------------------------------------------------------------


@scene(joined=False)
async def test_a_right_is_looked_at_just_before_sending(world: World) -> None:
    """CyTube throws out who sets the motd without the right: a bot that lost its rank meanwhile does not."""
    motd = world.do(do.SetMotd(html="x"))
    world.join()
    world.room.apply(ev.ConnectionRank(-1))
    (outcome,) = await outcomes(motd)
    assert outcome.state == "refused"
    assert "motdedit" in outcome.reason
    assert world.sent == []


@scene()
async def test_what_can_not_be_is_refused_at_once(world: World) -> None:
    """The receipt is settled before anybody waits, and nothing is sent."""
    for action in (do.SendMessage(text=""), do.KickUser(user="nobody"), do.SendPm(to=ME, text="x")):
        settled = world.do(action).settled
        assert settled is not None
        assert settled.state == "refused"
    settled = world.say(5).settled  # type: ignore[arg-type]  # plugins are not all typed
    assert settled == Outcome("refused", "chat.send_message: Expected `str`, got `int` - at `$.text`")
    assert world.sent == []


class Fly(Action, frozen=True):
    """Something that CyTube can't do."""

    name = "bot.fly"


@scene()
async def test_an_action_of_somebody_elses_is_refused(world: World) -> None:
    """The table does not have it."""
    assert world.do(Fly()).settled == Outcome("refused", "CyTube has no action 'bot.fly'")


@scene()
async def test_what_changes_nothing_is_not_sent(world: World) -> None:
    """A toggle would undo it."""
    assert await outcomes(world.do(do.LockPlaylist(locked=True))) == [DONE]
    assert world.sent == []


@scene()
async def test_a_later_change_of_the_action_changes_nothing(world: World) -> None:
    """What was submitted is what goes out."""
    options: dict[str, Any] = {"afk_timeout": 300}
    world.do(do.SetOptions(options=options))
    options["password"] = "oops"
    await asyncio.sleep(0.1)
    assert world.sent[0][2] == {"afk_timeout": 300}


# --- other kinds -----------------------------------------------------------------------------------------------


@scene()
async def test_a_queued_item_is_known_by_id_and_name(world: World) -> None:
    """Others queue at the same time, even the same; the receipt has our item's uid."""
    receipt = world.do(do.QueueMedia(id="abc", type="yt"))
    await asyncio.sleep(0.1)
    for uid, video, by in ((100, "abc", "alice"), (101, "other", ME), (102, "abc", "testbot")):
        assert receipt.settled is None
        world.hear(ev.MediaQueued(ev.Item(uid, ev.Media(video, "yt"), queued_by=by), "prepend"))
    assert await outcomes(receipt) == [Outcome("done", result={"uid": 102})]


@scene()
async def test_a_failure_to_queue_is_told(world: World) -> None:
    """In CyTube's words, and the next goes on."""
    world.answers["queue"] = lambda payload: [ev.MediaQueueFailed(f"no {payload['id']}", id=payload["id"])]
    receipts = [world.do(do.QueueMedia(id=name, type="yt")) for name in ("a", "b")]
    assert await outcomes(*receipts) == [Outcome("refused", "no a"), Outcome("refused", "no b")]


@scene(rank=1)
async def test_queueing_keeps_its_limit(world: World) -> None:
    """Three at once and one a second, and nothing is too quick for CyTube."""
    world.answers["queue"] = lambda payload: [
        ev.MediaQueued(ev.Item(100, ev.Media(payload["id"], "yt"), queued_by=ME), "prepend")
    ]
    receipts = [world.do(do.QueueMedia(id=str(n), type="yt")) for n in range(6)]
    assert await states(*receipts) == ["done"] * 6
    assert world.cooldowns == 0
    assert 3 < world.loop.time() < 4


@scene()
async def test_an_item_that_was_too_quick_is_queued_again(world: World) -> None:
    """That failure is only about the pace."""
    receipt = world.do(do.QueueMedia(id="a", type="yt"))
    await asyncio.sleep(0.1)
    world.hear(ev.MediaQueueFailed("You are adding videos too quickly", id="a"))
    await asyncio.sleep(1)
    assert world.names() == ["queue", "queue"]
    world.hear(ev.MediaQueued(ev.Item(100, ev.Media("a", "yt"), queued_by=ME), "prepend"))
    assert await outcomes(receipt) == [Outcome("done", result={"uid": 100})]


@scene()
async def test_a_poll_is_confirmed_by_its_acknowledgement(world: World) -> None:
    """Which also carries the refusal; the poll that is told later changes nothing."""
    taken, refused = (world.do(do.OpenPoll(title=title, options=("a",))) for title in "ab")
    await asyncio.sleep(0.1)
    world.acks[0].set_result({})
    await asyncio.sleep(0.1)
    world.acks[1].set_result({"error": {"message": "no"}})
    assert await outcomes(taken, refused) == [DONE, Outcome("refused", "no")]
    world.hear(POLL)


@scene()
async def test_a_poll_is_confirmed_by_being_told(world: World) -> None:
    """Another's poll is not ours. Nobody waits for the acknowledgement any longer."""
    receipt = world.do(do.OpenPoll(title="Best?", options=("a", "b")))
    await asyncio.sleep(0.1)
    world.hear(ev.PollOpened("Best?", ("a", "b"), (0, 0), "alice"))
    assert receipt.settled is None
    world.hear(POLL)
    assert await states(receipt) == ["done"]
    await asyncio.sleep(0)
    assert world.acks[0].cancelled()


@scene()
async def test_a_poll_that_nobody_answers_is_unknown(world: World) -> None:
    """CyTube never acknowledges what it does not allow. A connection that ends takes the acknowledgement along."""
    first, second = (world.do(do.OpenPoll(title=title, options=("a",))) for title in "ab")
    assert await states(first) == ["unknown"]
    await asyncio.sleep(0.1)
    world.acks[1].set_exception(SocketIOError("the connection ended"))
    await asyncio.sleep(0)
    world.lose()
    assert await outcomes(second) == [Outcome("unknown", "the socket closed")]


@scene()
async def test_what_has_no_answer_is_never_done(world: World) -> None:
    """Whatever happens meanwhile."""
    receipts = [world.do(action) for action in (do.MoveEmote(position=1, to=0), do.UncacheMedia(id="x"))]
    await asyncio.sleep(0.1)
    world.hear(ev.ChannelEmotes(()))
    assert await outcomes(*receipts) == [Outcome("unknown", "CyTube never confirms this")] * 2


@scene()
async def test_many_items_are_deleted_at_once(world: World) -> None:
    """Each answer names its item, so they need not wait for each other; a move waits for all of them."""
    world.answers["delete"] = lambda uid: [ev.MediaDeleted(uid)]
    deletes = [world.do(do.DeleteMedia(uid=uid)) for uid in range(50)]
    move = world.do(do.MoveMedia(uid=55, after=49))
    assert await outcomes(*deletes) == [DONE] * 50
    assert world.loop.time() == pytest.approx(0.02)
    assert await outcomes(move) == [Outcome("refused", "there is no item 49 in the playlist")]


@scene()
async def test_a_command_does_not_wait_for_an_echo(world: World) -> None:
    """What it does is told by other events, and a line of others or of the bot is none of them."""
    world.deaf = True
    mute = world.do(do.MuteUser(user="bob"), Priority.MODERATION)
    await asyncio.sleep(0.1)
    world.hear(ev.ChatMessage("[server]", "alice muted bob"), SERVER)
    world.hear(ev.ChatMessage(ME, "hello"), OWN)
    assert mute.settled is None
    world.hear(ev.ChatMessage("[server]", "TestBot muted bob"), SERVER)
    assert await mute.outcome() == DONE


@scene()
async def test_a_receipt_has_an_id(world: World) -> None:
    """One of its own."""
    assert len({world.say("x").id, world.say("x").id, ""}) == 3


@scene()
async def test_a_plugin_that_floods_keeps_nobody_out(world: World) -> None:
    """When the queue is full, the newest of who has most of it gives way to who has less, with a reason."""
    flood = [world.say(f"flood {n}", owner="flooder") for n in range(1_000)]
    others = [world.say(f"{owner} {n}", owner=owner) for n in range(3) for owner in ("one", "two")]
    outcomes = [await receipt.outcome() for receipt in others]
    assert outcomes == [DONE] * 6
    assert world.lines.index("one 0") < 12
    states = [(await receipt.outcome()).state for receipt in flood]
    assert states.count("done") == 500 - 6
    assert states == ["done"] * (500 - 6) + ["dropped"] * 506


@scene()
async def test_a_text_of_megabytes(world: World) -> None:
    """It is refused by its length, before anything is done with it."""
    refused = Outcome("refused", "8000000 characters are too many at once: at most 16000")
    assert world.say("x" * 8_000_000).settled == refused
    private = world.do(do.SendPm(to="bob", text="\n" * 8_000_000)).settled
    assert private is not None
    assert private.reason == "8000000 characters are too many at once: at most 16000"
