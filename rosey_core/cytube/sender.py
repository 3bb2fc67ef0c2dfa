"""The way out of one channel: actions wait here, leave within CyTube's limits, and get a true receipt.

Within one kind of action (`rule.Rule.kind`) moderation goes before replies before chatter, and each of these in
the order in which it came. Of lines one is under way at a time, for all of chat, private messages
and chat commands together: CyTube does not say which line it dropped, so the next leaves when the one before is
echoed, refused, or 2 s old (`unknown`). A line that came too fast for CyTube is sent again. An echo or `cooldown`
that may belong to a line given up before is never taken for the one under way: rather `unknown` than a false `done`.

At most `limit` actions wait. When it is full the newest chatter goes: that is the one that comes, unless it is a
reply or moderation and chatter waits (for moderation also: replies). It is `dropped`, and its receipt says so.

When the connection goes, what was under way is `unknown`, with the parts of it that were still to come. What waits
goes on waiting, each action for up to 60 s of absence, and goes out after the next join; what waited longer is
`dropped`.

How actions look on the wire and what confirms them is the rules' business (`outgoing`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections import Counter
from collections.abc import Callable
from functools import partial

from rosey_core.actions import Action, Outcome
from rosey_core.cytube.late import Late
from rosey_core.cytube.outgoing import RULES, complaint
from rosey_core.cytube.pace import Pace
from rosey_core.cytube.programme import TOO_FAST
from rosey_core.cytube.rule import LINE, Room
from rosey_core.cytube.spoken import said
from rosey_core.cytube.waiting import Job, Kind, Priority, Waiting
from rosey_core.envelope import Metadata
from rosey_core.errors import SocketIOError
from rosey_core.events import ChatMessage, ChatPm, ChatRefused, Data, ErrorMessage, MediaQueueFailed
from rosey_core.receipt import Receipt

PATIENCE = 60.0
"""Seconds that actions wait for a connection."""

MAX_TRIES = 10
"""How often something is sent that CyTube keeps dropping as too fast, or that can't be put on the wire."""

RETRY = 1.0
"""Seconds until something is tried again that could not be put on the wire."""

_SOON = 0.0005
"""Seconds; shorter timers are no use, and rounding could make them come too early for ever."""

Emit = Callable[..., asyncio.Future[object] | None]
"""`session.emit`: the event's name, its payload if it has one, and `ack=True` for a future of the answer."""

_numbers = itertools.count(1)


class Sender:
    """The queue of one channel.

    Args:
        emit: sends one frame; raises `SocketIOError` when there is no connection.
        room: the channel's state.
        limit: how many actions may wait.
    """

    def __init__(self, emit: Emit, room: Room, *, limit: int = 500) -> None:
        self._emit = emit
        self._room = room
        self._waiting = Waiting(limit)
        self._flights: list[Job] = []
        self._counts: Counter[str] = Counter()
        self._orders = itertools.count()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._closing = False
        self._online = False
        self._away_since = 0.0
        self._pace = Pace(room)
        self._late = Late()

    # --- from plugins ------------------------------------------------------------------------------------------

    def submit(
        self,
        action: Action,
        *,
        priority: Priority = Priority.CHATTER,
        owner: str = "",
    ) -> Receipt:
        """Queue an action. It never raises: what can't go has a receipt that is settled already.

        Args:
            action: what to do.
            priority: what it may overtake.
            owner: the plugin that wants it. When the queue is full, who has most of it gives way.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        receipt = Receipt(f"a-{next(_numbers)}", action.name, future)
        rule = RULES.get(type(action))
        if rule is None:
            self._settle(future, Outcome("refused", f"CyTube has no action {action.name!r}"))
            return receipt
        try:
            action = rule.checked(action)
            frames = rule.frames(action)
            reason = rule.refusal(action, self._room) if self._online else ""
        except ValueError as error:
            frames, reason = (), str(error)
        if reason:
            self._settle(future, Outcome("refused", reason))
        elif self._closing:
            self._settle(future, Outcome("dropped", "shutting down"))
        elif not self._make_way(priority, owner):
            self._settle(future, self._full())
        else:
            order = (priority, next(self._orders))
            self._waiting.add(Job(action, rule, frames, future, order, loop.time(), owner))
            self._wake.set()
        return receipt

    def _make_way(self, priority: Priority, owner: str) -> bool:
        """Whether one more may wait."""
        if len(self._waiting) < self._waiting.limit:
            return True
        victim = self._waiting.give_way(priority, owner)
        if victim is not None:
            self._settle(victim.future, victim.named(self._full()))
        return victim is not None

    def _full(self) -> Outcome:
        return Outcome("dropped", f"the queue is full: {self._waiting.limit} actions wait")

    def counts(self) -> dict[str, int]:
        """How many ended as `done`, `refused`, `dropped`, `unknown` so far, and how many are `queued` now."""
        ended = {state: self._counts[state] for state in ("done", "refused", "dropped", "unknown")}
        return ended | {"queued": len(self._waiting) + len(self._flights)}

    # --- from CyTube -------------------------------------------------------------------------------------------

    def heard(self, data: Data, metadata: Metadata) -> None:
        """Something happened in the channel; the state has it already."""
        if metadata.history or not (self._flights or self._late):
            return
        if isinstance(data, ChatMessage | ChatPm):
            if not self._is_answer(data, metadata):
                return
        elif isinstance(data, ErrorMessage):
            for job in self._flights:
                if job.rule.error(job.frame, data):
                    self._answer(job, Outcome("refused", data.text))
                    return
        elif isinstance(data, ChatRefused) and data.reason == "cooldown":
            line = self._line()
            if not self._late.takes_any(asyncio.get_running_loop().time()) and line is not None:
                self._again(line, data.wait_ms / 1000)
            return
        for job in self._flights:
            outcome = job.rule.confirm(job.action, self._room.me, data)
            if outcome is None:
                continue
            if isinstance(data, MediaQueueFailed) and data.reason == TOO_FAST and job.rule.limit == "queue":
                self._again(job, 0.0)
            else:
                self._answer(job, outcome)
            return

    def _is_answer(self, data: ChatMessage | ChatPm, metadata: Metadata) -> bool:
        """Whether a line may say something of what is under way: the server's, and the echo of the bot's own."""
        if not metadata.own or metadata.shadow:  # a shadow-muted moderator gets a second, marked echo
            return metadata.server
        line = self._line()
        said_now = said(line.frame) if line is not None and line.rule.echo else None
        return not self._late.takes(data.text, said_now, asyncio.get_running_loop().time())

    def _line(self) -> Job | None:
        """The line that is under way."""
        return next((job for job in self._flights if job.rule.kind == LINE), None)

    def online(self) -> None:
        """The bot is in the room, and the state is complete: go on."""
        if not self._online:
            self._online = True
            self._pace = Pace(self._room)  # CyTube counts each connection from zero
            self._late.clear()
            for kind in self._waiting:
                kind.hold = 0.0
            self._wake.set()

    def offline(self, reason: str) -> None:
        """The connection is gone. Nobody knows what became of what was under way; what waits may wait a while."""
        if self._online:
            self._online = False
            self._away_since = asyncio.get_running_loop().time()
        for job in self._flights:
            self._settle(job.future, job.named(Outcome("unknown", reason)))
        self._flights.clear()
        for kind in self._waiting:
            kind.busy = 0
        self._settled.set()
        self._wake.set()

    # --- the loop ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send what may go, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            pause = self._pump(loop.time())
            timer = None if pause == math.inf else loop.call_later(max(pause, _SOON), self._wake.set)
            try:
                await self._wake.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109  what is left then gets its outcome here
        """Take nothing new, let the rest go out for up to `timeout` seconds, and settle what is left."""
        self._closing = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._online and (self._flights or len(self._waiting)):
                    self._settled.clear()
                    await self._settled.wait()
        self.offline("shutting down")
        self._drop_older(math.inf, "shutting down")

    def _pump(self, now: float) -> float:
        """Give up what is overdue and send what may go. Returns seconds until there is something to do again."""
        for overdue in [job for job in self._flights if job.deadline <= now + _SOON]:
            self._give_up(overdue)
        if not self._online:
            self._drop_older(now - PATIENCE + _SOON, f"offline for {PATIENCE:g} s")
            births = (max(job.born, self._away_since) for job in self._waiting.jobs())
            return min(births, default=math.inf) + PATIENCE - now
        soonest = math.inf
        held: set[Kind] = set()
        while self._online:
            heads = [head for kind in self._waiting if kind not in held and (head := kind.head())]
            if not heads:
                break
            job = min(heads, key=lambda head: head.order)
            wait = self._step(job, now)
            if wait > 0:
                held.add(self._waiting.of(job))
                soonest = min(soonest, wait)
        return min([soonest, *(flight.deadline - now for flight in self._flights)])

    def _drop_older(self, since: float, reason: str) -> None:
        """Give up what waits since before then."""
        for job in self._waiting.jobs():
            if max(job.born, self._away_since) <= since:
                self._waiting.remove(job)
                self._settle(job.future, job.named(Outcome("dropped", reason)))

    def _step(self, job: Job, now: float) -> float:
        """Send the next of its kind, or settle it. Returns how long it has to wait, if it has to."""
        reason = job.rule.refusal(job.action, self._room)
        if not reason and job.rule.already(job.action, self._room):
            self._waiting.remove(job)
            self._settle(job.future, Outcome("done"))
            return 0.0
        wait = self._pace.wait(job.rule, job.action, now)
        if wait == math.inf:
            reason = reason or "this room's flood limit never lets it through"
        if reason:
            self._waiting.remove(job)
            self._settle(job.future, job.named(Outcome("refused", reason)))
            return 0.0
        wait = max(wait, self._waiting.of(job).hold - now)
        if wait > _SOON:
            return wait
        self._waiting.remove(job)
        self._send(job, now)
        return 0.0

    def _send(self, job: Job, now: float) -> None:
        """Put the job's next part on the wire."""
        job.sent, job.deadline = now, now + job.rule.timeout
        self._flights.append(job)
        self._waiting.of(job).busy += 1
        self._pace.left(job.rule, job.action, now)
        try:
            answer = self._emit(*job.frame, ack=True) if job.rule.ack else self._emit(*job.frame)
        except SocketIOError as error:
            # It never left. If that is because the connection ended, `offline` comes soon, or came already.
            if job in self._flights:
                self._land(job)
                self._put_off(job, RETRY, str(error))
        except Exception as error:  # one action that can't be encoded must not end all others
            self._land(job)
            self._settle(job.future, job.named(Outcome("refused", f"it can't be sent: {error}")))
        else:
            if answer is not None:
                answer.add_done_callback(partial(self._acknowledged, job))
                job.future.add_done_callback(lambda _: answer.cancel())  # nobody waits for it any more

    def _land(self, job: Job) -> None:
        """It is no longer under way."""
        self._flights.remove(job)
        self._waiting.of(job).busy -= 1
        self._wake.set()

    # --- what became of it -------------------------------------------------------------------------------------

    def _acknowledged(self, job: Job, answer: asyncio.Future[object]) -> None:
        if answer.cancelled() or answer.exception() is not None or job not in self._flights:
            return
        message = complaint(answer.result())
        self._answer(job, Outcome("done") if message is None else Outcome("refused", message))

    def _give_up(self, job: Job) -> None:
        reason = (
            "CyTube never confirms this"
            if job.rule.silent
            else f"CyTube did not answer within {job.rule.timeout:g} s"
        )
        if job.rule.echo:
            self._late.add(said(job.frame), asyncio.get_running_loop().time())
        self._answer(job, Outcome("unknown", reason))

    def _answer(self, job: Job, outcome: Outcome) -> None:
        """A part's outcome is known. The next part goes on, unless this one was refused."""
        now = asyncio.get_running_loop().time()
        if outcome.state == "unknown":
            self._pace.given_up(job.rule, now)
        else:
            self._pace.answered(job.rule, job.sent, now)
        self._land(job)
        job.tries = 0
        if outcome.state != "done" and job.bad is None:
            job.bad = job.named(outcome)
        if outcome.state == "refused" or job.part + 1 == len(job.frames):
            self._settle(job.future, job.bad or outcome)
            return
        job.part += 1
        self._waiting.put_back(job)

    def _again(self, job: Job, wait: float) -> None:
        """It came too fast and was dropped: send it again after a while, which grows."""
        now = asyncio.get_running_loop().time()
        self._pace.too_fast(job.rule, now)
        if not job.rule.again:
            self._answer(job, Outcome("refused", "CyTube counted it, and dropped its line as coming too fast"))
            return
        self._land(job)
        self._put_off(job, wait * (job.tries + 1), f"CyTube dropped it {MAX_TRIES} times, as coming too fast")

    def _put_off(self, job: Job, wait: float, reason: str) -> None:
        """It was in vain: it goes first again after `wait` seconds, or is given up for `reason`."""
        job.tries += 1
        if job.tries >= MAX_TRIES:
            self._settle(job.future, job.named(Outcome("refused", reason)))
            return
        self._waiting.of(job).hold = asyncio.get_running_loop().time() + wait
        self._waiting.put_back(job)

    def _settle(self, future: asyncio.Future[Outcome], outcome: Outcome) -> None:
        self._counts[outcome.state] += 1
        if not future.done():
            future.set_result(outcome)
        self._settled.set()
