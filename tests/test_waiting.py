"""Order and bound of what waits."""

from __future__ import annotations

import asyncio
import itertools

from rosey_core.actions import Action, DeleteMedia, MoveMedia, Outcome, SendMessage, VoteSkipNow
from rosey_core.cytube.outgoing import RULES
from rosey_core.cytube.waiting import Job, Priority, Waiting
from rosey_core.testing.clock import VirtualLoop

MODERATION, REPLY, CHATTER = Priority
SAY = SendMessage(text="x")


class Jobs:
    """Makes jobs, numbered in the order of their making."""

    def __init__(self, limit: int = 10) -> None:
        self.waiting = Waiting(limit)
        self._loop = VirtualLoop()
        self._orders = itertools.count()

    def make(self, priority: Priority = CHATTER, action: Action = SAY, owner: str = "") -> Job:
        """A job that does not wait yet."""
        rule = RULES[type(action)]
        future: asyncio.Future[Outcome] = self._loop.create_future()
        return Job(action, rule, rule.frames(action), future, (priority, next(self._orders)), 0, owner)

    def add(self, priority: Priority = CHATTER, action: Action = SAY, owner: str = "") -> Job:
        """One more that waits."""
        job = self.make(priority, action, owner)
        self.waiting.add(job)
        return job

    def leave(self, kind: str) -> list[Job]:
        """All of a kind, in the order in which they go."""
        gone = []
        of_kind = next(each for each in self.waiting if each.name == kind)
        while (head := of_kind.head()) is not None:
            self.waiting.remove(head)
            gone.append(head)
        return gone

    def close(self) -> None:
        """The loop of the futures is not needed any more."""
        self._loop.close()


def test_moderation_before_replies_before_chatter() -> None:
    """Within each, in the order in which they came."""
    jobs = Jobs()
    chatter, reply = jobs.add(), jobs.add(REPLY)
    moderation, more = jobs.add(MODERATION), jobs.add()
    assert jobs.leave("line") == [moderation, reply, chatter, more]
    jobs.close()


def test_they_take_turns() -> None:
    """Who floods makes nobody wait, each keeps its own order, and a message of several parts stays together."""
    jobs = Jobs(limit=20)
    flood = [jobs.add(owner="flood") for _ in range(6)]
    one, two = [jobs.add(owner="one") for _ in range(2)], [jobs.add(owner="two")]
    kind = next(iter(jobs.waiting))
    first = kind.head()
    assert first is flood[0]
    jobs.waiting.remove(first)
    first.part = 1
    jobs.waiting.put_back(first)
    assert jobs.leave("line") == [flood[0], one[0], two[0], flood[1], one[1], *flood[2:]]
    jobs.close()


def test_what_is_put_back_goes_first_of_its_priority() -> None:
    """It has gone before: nothing of its own priority overtakes it."""
    jobs = Jobs()
    first, second, reply = jobs.add(), jobs.add(), jobs.add(REPLY)
    jobs.waiting.remove(first)
    jobs.waiting.put_back(first)
    assert jobs.leave("line") == [reply, first, second]
    jobs.close()


def test_a_kind_that_is_busy_waits() -> None:
    """One line at a time; another kind goes on."""
    jobs = Jobs()
    line, vote = jobs.add(), jobs.add(action=VoteSkipNow())
    jobs.waiting.of(line).busy = 1
    assert jobs.waiting.of(line).head() is None
    assert jobs.waiting.of(vote).head() is vote
    jobs.close()


def test_pipelined_ones_need_not_wait_but_a_move_does() -> None:
    """Each answer names its item; a move waits for the deletes before it."""
    jobs = Jobs()
    delete, move = jobs.add(action=DeleteMedia(uid=1)), jobs.add(action=MoveMedia(uid=1, after=2))
    kind = jobs.waiting.of(delete)
    kind.busy = 1
    assert kind.head() is delete
    jobs.waiting.remove(delete)
    assert kind.head() is None
    kind.busy = 0
    assert kind.head() is move
    jobs.close()


def test_the_newest_of_the_lowest_gives_way() -> None:
    """Of all kinds together; what is as important or more stays."""
    jobs = Jobs()
    jobs.add()
    vote, reply = jobs.add(action=VoteSkipNow()), jobs.add(REPLY)
    assert jobs.waiting.give_way(REPLY, "") is vote
    assert len(jobs.waiting) == 2
    assert jobs.waiting.give_way(CHATTER, "") is None
    jobs.waiting.give_way(REPLY, "")
    assert jobs.waiting.give_way(REPLY, "") is None
    assert jobs.waiting.give_way(MODERATION, "") is reply
    assert jobs.waiting.jobs() == []
    jobs.close()


def test_who_has_most_gives_way() -> None:
    """Of the same priority, its newest; not for its equal, and not for what is less urgent."""
    jobs = Jobs()
    jobs.add(owner="a")
    jobs.add(REPLY, owner="b")
    second, third = jobs.add(owner="a"), jobs.add(owner="a", action=VoteSkipNow())
    assert jobs.waiting.give_way(CHATTER, "a") is None
    assert jobs.waiting.give_way(CHATTER, "b") is third
    jobs.add(owner="b")
    assert jobs.waiting.give_way(CHATTER, "b") is None
    assert jobs.waiting.give_way(CHATTER, "c") is second
    assert jobs.waiting.give_way(CHATTER, "c") is None
    jobs.close()


def test_an_outcome_of_one_of_several_parts_says_which() -> None:
    """Of a single one there is nothing to say."""
    jobs = Jobs()
    several = jobs.make(action=SendMessage(text="x" * 700))
    several.part = 1
    assert several.named(Outcome("refused", "no")).reason == "part 2 of 3: no"
    assert jobs.make().named(Outcome("refused", "no")).reason == "no"
    jobs.close()
