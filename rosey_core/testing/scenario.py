"""What happens in a simulated room: scenarios, which somebody wrote, and the endless show of the sandbox.

This module owns the people in it and what they do; how a scenario is written is `script`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

from rosey_core.cytube.text import read
from rosey_core.errors import CytubeError
from rosey_core.media import parse as parse_link
from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.script import WITHIN, ScenarioError, Step, matcher
from rosey_core.testing.viewer import Viewer

ROLES = {"owner": 5.0, "moderator": 2.0, "viewer": 1.0}
"""Who need not be a guest: they have an account and this rank."""

PEOPLE = ("alice", "bob", "marta", "popcorn_pete", "night_owl", "Kim")

REMARKS = (
    "evening, everybody",
    "what are we watching?",
    "I have seen this one, it is *great*",
    "no spoilers please",
    "who brought the popcorn?",
    "/me gets a drink",
    "the sound is a bit low here",
    "wait for it ...",
    "ha!",
    "[sp]it was the gardener[/sp]",
    "can somebody queue something shorter next?",
    "brb",
    "who is the actor on the left?",
    "this was filmed in one take",
    "/me applauds",
    "good one",
    "one more after this?",
    "_so_ many plot holes",
    "have a look at https://example.com/trivia",
    "> not reading the subtitles",
)

COMMANDS = ("!help", "!echo is this thing on?", "!echo *hello* from {name}", "!help echo", "!echo what a night")

VIDEOS = (
    "dQw4w9WgXcQ",
    "jNQXAC9IVRw",
    "9bZkp7q19f0",
    "aqz-KE-bpKQ",
    "eRsGyueVLvQ",
    "R6MlUcmOul8",
    "Y-rmzh0PI3c",
    "TLkA0RELQ1g",
)

_MOST_ITEMS = 12


async def play(steps: Sequence[Step], cytube: SimulatedCytube, *, seconds: float | None = None) -> None:
    """Play a scenario to its end; then those who came for it leave.

    Args:
        steps: what `script.parse` made of it.
        cytube: where; it must be up.
        seconds: how long it may take, if that matters.

    Raises:
        ScenarioError: it did not go as written, or took too long.
    """
    cast = Cast(cytube)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    place = ""
    try:
        async with asyncio.timeout(seconds):
            for step in steps:
                place = step.place
                if step.at is not None:
                    await asyncio.sleep(begin + step.at - loop.time())
                try:
                    await cast.play(step)
                except (CytubeError, TimeoutError, LookupError) as error:
                    raise ScenarioError(f"{step.place}: {error}") from error
    except TimeoutError:
        line, last = (place.rpartition(":")[2] for place in (place, steps[-1].place))
        raise ScenarioError(f"{place}: the time was up at line {line} of {last}, after {seconds:g} s") from None
    finally:
        await cast.leave()


class Cast:
    """The people of one scenario."""

    def __init__(self, cytube: SimulatedCytube) -> None:
        self._cytube = cytube
        self._viewers: dict[str, Viewer] = {}
        self._heard = len(cytube.room.lines)
        self._pms: dict[str, int] = {}
        self._verbs: dict[str, Callable[..., Awaitable[None]]] = {
            "wait": lambda seconds: asyncio.sleep(float(seconds)),
            "drop": cytube.drop,
            "stop": cytube.stop,
            "start": cytube.start,
            "joins": self._join,
            "leaves": self._leave,
            "says": self._say,
            "tells": lambda who, to, text: self._do(who, "pm", {"to": to, "msg": text, "meta": {}}),
            "queues": self._queue,
            "votes": lambda who, option: self._do(who, "vote", {"option": int(option) - 1}),
        }
        self._expectations: dict[str, Callable[..., Awaitable[None]]] = {
            "expect says": self._expect_line,
            "expect tells": self._expect_pm,
            "expect joins": self._expect_here,
            "expect leaves": self._expect_gone,
        }

    async def play(self, step: Step) -> None:
        """Play one step."""
        if step.verb in self._expectations:
            await self._expectations[step.verb](*step.words, within=step.within)
        else:
            await self._verbs[step.verb](*step.words)

    async def leave(self) -> None:
        """Let everybody go who came for the scenario."""
        for viewer in self._viewers.values():
            await viewer.leave()

    # --- what people do -------------------------------------------------------------------------------------

    async def _join(self, who: str) -> None:
        if self._cytube.room.find(who) is not None:
            raise LookupError(f"{who} is in the room already")
        if (old := self._viewers.pop(who.lower(), None)) is not None:
            await old.leave()
        site = self._cytube.site
        if who.lower() in ROLES and site.account(who) is None:
            site.add_account(who, secrets.token_urlsafe(9))
            self._cytube.room.set_rank(who, ROLES[who.lower()])
        account = site.account(who)
        viewer = Viewer(
            self._cytube.url,
            self._cytube.room.name,
            who,
            account.password if account is not None else "",
            room_password=self._cytube.room.options["password"] or "",
        )
        await viewer.enter()
        self._viewers[who.lower()] = viewer

    async def _leave(self, who: str) -> None:
        viewer = self._viewers.pop(who.lower(), None)
        if viewer is None:
            raise LookupError(f"{who} did not come for this scenario, so they can't leave")
        await viewer.leave()
        await self._expect_gone(who, within=WITHIN)

    async def _do(self, who: str, event: str, payload: object) -> None:
        """Send an event as somebody, who joins if they are not there."""
        viewer = self._viewers.get(who.lower())
        user = self._cytube.room.find(who)
        if viewer is None and user is not None:
            self._cytube.site.receive(user, event, (payload,))
            return
        if viewer is None or user is None:
            await self._join(who)
        viewer = self._viewers[who.lower()]
        count = len(self._cytube.heard)
        await viewer.emit(event, payload)
        # The next step finds this one done.
        await self._cytube.wait_for(
            lambda: any(
                each.user.lower() == who.lower() and each.event == event for each in self._cytube.heard[count:]
            ),
            WITHIN,
        )

    async def _say(self, who: str, text: str) -> None:
        await self._do(who, "chatMsg", {"msg": text, "meta": {}})

    async def _queue(self, who: str, link: str) -> None:
        media = parse_link(link)
        assert media is not None  # `script` has seen to it
        await self._do(who, "queue", {"id": media.id, "type": media.type, "pos": "end"})

    # --- what they expect -----------------------------------------------------------------------------------

    async def _expect_line(self, who: str, wanted: str, *, within: float) -> None:
        fits = matcher(wanted)
        lines = self._cytube.room.lines

        def look() -> bool:
            for index in range(self._heard, len(lines)):
                if lines[index].name.lower() == who.lower() and fits(read(lines[index].html)[0]):
                    self._heard = index + 1
                    return True
            return False

        try:
            await self._cytube.wait_for(look, within)
        except TimeoutError:
            said = [read(line.html)[0] for line in lines[self._heard :] if line.name.lower() == who.lower()]
            instead = f"only: {' | '.join(said[-5:])}" if said else "nothing"
            raise TimeoutError(f"{who} did not say {wanted} within {within:g} s; {who} said {instead}") from None

    async def _expect_pm(self, who: str, to: str, wanted: str, *, within: float) -> None:
        viewer = self._viewers.get(to.lower())
        if viewer is None:
            raise LookupError(f"{to} did not come for this scenario, so nobody knows what they hear")
        fits = matcher(wanted)
        try:
            await viewer.expect(
                "pm", lambda pm: pm["username"].lower() == who.lower() and fits(read(pm["msg"])[0]), within
            )
        except TimeoutError:
            raise TimeoutError(f"{who} did not tell {to} {wanted} within {within:g} s") from None

    async def _expect_here(self, who: str, *, within: float) -> None:
        await self._wait(lambda: self._cytube.room.find(who) is not None, f"{who} did not join", within)

    async def _expect_gone(self, who: str, *, within: float) -> None:
        await self._wait(lambda: self._cytube.room.find(who) is None, f"{who} did not leave", within)

    async def _wait(self, test: Callable[[], bool], else_: str, within: float) -> None:
        try:
            await self._cytube.wait_for(test, within)
        except TimeoutError:
            raise TimeoutError(f"{else_} within {within:g} s") from None


async def lively(cytube: SimulatedCytube, *, seed: int = 0, pace: float = 1.0) -> NoReturn:
    """Play the show until it is cancelled; then everybody leaves.

    Args:
        cytube: where. Its playlist is unlocked, so that everybody may queue.
        seed: another one makes another show.
        pace: how much faster than usual things happen; usually something does every few seconds.
    """
    chance = random.Random(seed)  # noqa: S311  a show, no secret
    here: dict[str, Viewer] = {}
    cytube.room.permissions.set_locked(locked=False)
    try:
        while True:
            for name in [name for name, viewer in here.items() if viewer.closed or viewer.kicked is not None]:
                await here.pop(name).leave()
            with contextlib.suppress(CytubeError):  # kicked, or the site is down: they try again another time
                await _act(cytube, here, chance)
            await asyncio.sleep(chance.uniform(1.5, 4.5) / pace)
    finally:
        for viewer in here.values():
            await viewer.leave()


async def _act(cytube: SimulatedCytube, here: dict[str, Viewer], chance: random.Random) -> None:
    """Let one thing happen."""
    away = [name for name in PEOPLE if name not in here]
    if len(here) < 2 or (away and chance.random() < 0.08):
        name = chance.choice(away)
        viewer = Viewer(cytube.url, cytube.room.name, name, room_password=cytube.room.options["password"] or "")
        await viewer.enter()
        here[name] = viewer
        return
    name = chance.choice(sorted(here))
    viewer = here[name]
    dice = chance.random()
    if dice < 0.06 and len(here) > 2:
        await here.pop(name).leave()
    elif dice < 0.2 and len(cytube.room.playlist.items) < _MOST_ITEMS:
        await viewer.emit("queue", {"id": chance.choice(VIDEOS), "type": "yt", "pos": "end"})
    elif dice < 0.4:
        await viewer.say(chance.choice(COMMANDS).format(name=name))
    else:
        await viewer.say(chance.choice(REMARKS))
