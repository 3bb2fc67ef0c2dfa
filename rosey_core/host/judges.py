"""Judges: plugins that decide which chat lines other plugins may act on.

They are asked one after another in the operator's order, 250 ms for all together; the first verdict counts. A
judge that fails or is late has no opinion, unless the owner wrote `on_silence = "stop"`. Three late answers in a
row, and a judge is not asked for a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from rosey_core.envelope import NormalizedEvent, Verdict
from rosey_core.errors import PluginError
from rosey_core.host.dispatch import Inside
from rosey_core.host.house import House, Place

SECONDS = 0.25
STRIKES = 3
REST = 60.0


class Judge:
    """One judge in one channel, and its breaker."""

    def __init__(self, place: Place, inside: Inside) -> None:
        self.place = place
        self.inside = inside
        self._late = 0
        self._resting_until = 0.0

    def resting(self, now: float) -> bool:
        """Whether its breaker is open."""
        return now < self._resting_until

    def answered(self, *, late: bool, now: float) -> None:
        """Count an answer."""
        self._late = self._late + 1 if late else 0
        if self._late >= STRIKES:
            self._late, self._resting_until = 0, now + REST
            self.place.context().log.error("judge.resting", plugin=self.place.name, seconds=REST)

    async def ask(self, event: NormalizedEvent, seconds: float) -> object:
        """The judge's own answer, whatever it is."""
        hook = self.inside.hooks["judge"]
        ctx = self.place.context()
        ctx.cause = event
        given = {"ctx": ctx, "event": event}
        arguments = [given[name] for name in hook.argnames]
        asking = self.inside.ask("judge", lambda: hook.function(*arguments), seconds=5.0, ctx=ctx)
        # In a task of its own: a judge that swallows its cancellation must not hold the channel.
        task = asyncio.get_running_loop().create_task(asking, name=f"judge {self.place.name}")
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.wait((task,), timeout=seconds)
            if task.done():
                return task.result()
            raise TimeoutError
        finally:
            task.cancel()


def judges_of(house: House, channel: str, order: Sequence[str]) -> tuple[Judge, ...]:
    """A channel's judges: first those that the owner ordered, then the rest by name."""
    ranked = {name: number for number, name in enumerate(order)}
    places = [
        place
        for (_, where), place in house.places.items()
        if where == channel
        and place.state == "running"
        and place.inside is not None
        and "judge" in place.inside.hooks
        and "judge" in place.grants
    ]
    places.sort(key=lambda place: (ranked.get(place.name, len(ranked)), place.name))
    return tuple(Judge(place, place.inside) for place in places if place.inside is not None)


async def ask_all(judges: Sequence[Judge], event: NormalizedEvent, *, on_silence: str) -> Verdict | None:
    """The first verdict on a line, or `None`."""
    time = asyncio.get_running_loop().time
    end = time() + SECONDS
    silent = ""
    for judge in judges:
        now = time()
        if judge.resting(now):
            silent = silent or judge.place.name
            continue
        try:
            answer = await judge.ask(event, max(0.001, end - now))
        except TimeoutError:
            judge.answered(late=True, now=time())
            silent = silent or judge.place.name
            continue
        except PluginError:
            silent = silent or judge.place.name
            continue
        judge.answered(late=False, now=now)
        if isinstance(answer, Verdict):
            return msgspec.structs.replace(answer, judge=judge.place.name)
    if silent and on_silence == "stop":
        return Verdict(stop=True, reason=f"{silent} did not answer", judge=silent)
    return None
