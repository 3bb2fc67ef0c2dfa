"""What waits to be sent: jobs by kind and priority, bounded.

Owns order and the bound. It sends nothing, knows no time, and settles nothing: that is the `sender`'s.
"""

from __future__ import annotations

from collections import Counter, deque
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from rosey_core.actions import Outcome
from rosey_core.cytube.rule import PIPELINED

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Iterator

    from rosey_core.actions import Action
    from rosey_core.cytube.rule import Frame, Rule


class Priority(IntEnum):
    """What goes first; smaller is sooner."""

    MODERATION = 0
    REPLY = 1
    CHATTER = 2


class Job:
    """An action on its way.

    Attributes:
        frames: what to send for it, one or more; `part` is the index of the one that is next, or under way.
        order: its priority, and a number that grows with each job.
        owner: the plugin that wants it; empty for the bus.
        born: when it came; `sent` and `deadline` are of the part under way.
        tries: how often this part went out in vain.
        bad: the first outcome of a part that was not `done`.
    """

    __slots__ = (
        "action",
        "bad",
        "born",
        "deadline",
        "frames",
        "future",
        "order",
        "owner",
        "part",
        "rule",
        "sent",
        "tries",
    )

    def __init__(
        self,
        action: Action,
        rule: Rule[Any],
        frames: tuple[Frame, ...],
        future: Future[Outcome],
        order: tuple[Priority, int],
        born: float,
        owner: str,
    ) -> None:
        self.action = action
        self.rule = rule
        self.future = future
        self.order = order
        self.born = born
        self.owner = owner
        self.frames = frames
        self.part = 0
        self.tries = 0
        self.bad: Outcome | None = None
        self.sent = 0.0
        self.deadline = 0.0

    @property
    def frame(self) -> Frame:
        """The part that is next, or under way."""
        return self.frames[self.part]

    def named(self, outcome: Outcome) -> Outcome:
        """`outcome`, saying which part of several it is about."""
        if len(self.frames) == 1:
            return outcome
        return Outcome(outcome.state, f"part {self.part + 1} of {len(self.frames)}: {outcome.reason}")


class Kind:
    """What waits of one kind.

    Within a priority those who want something take turns, so that nobody waits behind another's flood; what each of
    them wants goes in its order.

    Attributes:
        busy: how many of it are under way.
        hold: nothing of it goes before that time.
    """

    __slots__ = ("_turn", "_turns", "busy", "hold", "name", "waiting")

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting: tuple[deque[Job], ...] = tuple(deque() for _ in Priority)
        self.busy = 0
        self.hold = 0.0
        self._turn = 0
        self._turns: dict[str, int] = {}

    def head(self) -> Job | None:
        """What goes next, if anything may go."""
        head = next((self._next(jobs) for jobs in self.waiting if jobs), None)
        if head is not None and self.busy and (head.rule.alone or self.name not in PIPELINED):
            return None
        return head

    def _next(self, jobs: deque[Job]) -> Job:
        """The first job of who had no turn for longest; what has begun goes on first."""
        if jobs[0].part or jobs[0].tries:
            return jobs[0]
        firsts: dict[str, Job] = {}
        for job in jobs:
            firsts.setdefault(job.owner, job)
        return min(firsts.values(), key=lambda job: self._turns.get(job.owner, 0))

    def remove(self, job: Job) -> None:
        """It no longer waits; its owner had a turn."""
        self.waiting[job.order[0]].remove(job)
        self._turn += 1
        self._turns[job.owner] = self._turn


class Waiting:
    """All that waits.

    Args:
        limit: how many jobs may wait.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kinds: dict[str, Kind] = {}

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds.values())

    def __len__(self) -> int:
        """How many jobs wait."""
        return sum(len(jobs) for kind in self for jobs in kind.waiting)

    def of(self, job: Job) -> Kind:
        """The kind of a job, with all that waits of it."""
        name = job.rule.kind
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = Kind(name)
        return kind

    def jobs(self) -> list[Job]:
        """All jobs that wait."""
        return [job for kind in self for jobs in kind.waiting for job in jobs]

    def add(self, job: Job) -> None:
        """At the end of its priority."""
        self.of(job).waiting[job.order[0]].append(job)

    def put_back(self, job: Job) -> None:
        """To the head of its priority: it has to go again, or on."""
        self.of(job).waiting[job.order[0]].appendleft(job)

    def remove(self, job: Job) -> None:
        """It no longer waits."""
        self.of(job).remove(job)

    def give_way(self, priority: Priority, owner: str) -> Job | None:
        """Take out what has to go so that one of `priority` by `owner` may wait in a full queue.

        That is the newest of the lowest priority below it; else, of its own priority, the newest of who has the most
        there, if that is more than `owner` has; else `None`. So nobody who is in a hurry keeps others out.
        """
        for lower in sorted((each for each in Priority if each > priority), reverse=True):
            newest = [kind.waiting[lower][-1] for kind in self if kind.waiting[lower]]
            if newest:
                return self._take(max(newest, key=lambda job: job.order))
        equals = [job for kind in self for job in kind.waiting[priority]]
        shares = Counter(job.owner for job in equals)
        greedy = max(shares, key=shares.__getitem__, default=owner)
        if shares[greedy] <= shares[owner] + 1:  # to take from its equal would only turn the two round
            return None
        return self._take(max((job for job in equals if job.owner == greedy), key=lambda job: job.order))

    def _take(self, job: Job) -> Job:
        self.remove(job)
        return job
