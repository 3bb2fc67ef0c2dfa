"""Scenarios: how they are read, how they are played, and the endless show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rosey_core.cytube.text import read
from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.scenario import lively, play
from rosey_core.testing.script import ScenarioError, Step, parse
from rosey_core.testing.viewer import Viewer

ROOM = "movienight"


async def answer(bot: Viewer) -> None:
    """A bot in three lines: it answers `!echo`, in the room and in private."""
    while True:
        line = await bot.expect("chatMsg", lambda line: line["msg"].startswith("!echo "), 60)
        text = read(line["msg"])[0].removeprefix("!echo ")
        await bot.say(text)
        await bot.pm(line["username"], f"you said {text}")


@pytest.fixture
async def cytube() -> AsyncIterator[SimulatedCytube]:
    """A site with a bot that echoes."""
    site = SimulatedCytube(ROOM, accounts={"Rosey": "pw"}, ranks={"Rosey": 3})
    await site.start()
    async with site, Viewer(site.url, ROOM, "Rosey", "pw") as bot:
        task = asyncio.create_task(answer(bot))
        yield site
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_reads_lines_with_times_and_patience() -> None:
    """Comments and empty lines say nothing; `at` and `within` are numbers of seconds."""
    text = (
        "# a comment\n\n  at 1.5 alice says  hello there \nexpect Rosey says /hel+o/ within 5\nwait 2\ncytube stops"
    )
    assert parse(text, "a.txt") == [
        Step("a.txt:3", 1.5, "says", ("alice", "hello there")),
        Step("a.txt:4", None, "expect says", ("Rosey", "/hel+o/"), 5),
        Step("a.txt:5", None, "wait", ("2",)),
        Step("a.txt:6", None, "stop", ()),
    ]


def test_bad_lines_are_all_told_with_what_is_allowed() -> None:
    """An error names file and line of each bad line, and says what a line may be."""
    text = "alice says hi\nalice dances\nat noon bob joins\nbob queues nonsense\nexpect Rosey says /(/\nexpect says x"
    with pytest.raises(ScenarioError) as error:
        parse(text, "show.txt")
    lines = str(error.value).splitlines()
    assert lines[0] == "show.txt can't be played:"
    assert lines[1] == "show.txt:2: can't be read: alice dances"
    assert lines[2] == "show.txt:3: can't be read: at noon bob joins"
    assert lines[3].startswith("show.txt:4: this is no link that CyTube knows")
    assert lines[4].startswith("show.txt:5: its expression can't be read")
    assert lines[5] == "show.txt:6: can't be read: expect says x"
    assert "NAME says TEXT" in str(error.value)


async def test_plays_a_scenario_to_its_end(cytube: SimulatedCytube) -> None:
    """People join, speak, queue, vote, are kicked and leave; the bot's answers are found; all who came go."""
    cytube.room.permissions.set_locked(locked=False)
    steps = parse(
        """
        alice says !echo *hello*
        expect Rosey says hello within 5
        expect Rosey tells alice /said hello/
        alice says !echo hello
        expect Rosey says /^hel+o$/
        bob joins
        bob queues https://youtu.be/jNQXAC9IVRw
        owner says /poll snacks,popcorn,crisps
        bob votes 2
        at 0.2 moderator tells alice be quiet
        expect moderator tells alice be quiet
        owner says /kick bob
        expect bob leaves within 5
        bob says back again
        expect bob says back again
        alice leaves
        """
    )
    await play(steps, cytube)
    assert [item.media.title for item in cytube.room.playlist.items] == ["Me at the zoo"]
    assert cytube.room.polls.poll is not None
    assert ("Rosey", "chatMsg") in [(each.user, each.event) for each in cytube.heard]
    await cytube.wait_for(lambda: [user.name for user in cytube.room.users] == ["Rosey"])


async def test_somebody_already_there_can_be_made_to_speak(cytube: SimulatedCytube) -> None:
    """A line of somebody who did not come for the scenario is said as if by their own client."""
    async with Viewer(cytube.url, ROOM, "alice") as alice:
        await play(parse("alice says !echo me\nexpect Rosey says me"), cytube)
        await alice.expect_line(lambda name, text: (name, text) == ("alice", "!echo me"))
        assert not alice.closed


async def test_what_does_not_come_is_told_with_what_came_instead(cytube: SimulatedCytube) -> None:
    """A failed expectation names the line, what was wanted, for how long, and what was said in its place."""
    with pytest.raises(ScenarioError, match=r"^x.txt:2: Rosey did not say bye within 0.3 s; Rosey said only: hello$"):
        await play(parse("alice says !echo hello\nexpect Rosey says bye within 0.3", "x.txt"), cytube)
    with pytest.raises(ScenarioError, match=r"^scenario:1: nobody did not join within 0.05 s$"):
        await play(parse("expect nobody joins within 0.05"), cytube)


async def test_a_scenario_that_takes_too_long_fails(cytube: SimulatedCytube) -> None:
    """It is told how far it came; one that ends in time is no different for the limit."""
    steps = parse("bob joins\n\nwait 60\nbob says hello", "x.txt")
    with pytest.raises(ScenarioError, match=r"^x.txt:3: the time was up at line 3 of 4, after 3 s$"):
        await play(steps, cytube, seconds=3)
    assert cytube.room.find("bob") is None
    await play(parse("bob joins"), cytube, seconds=60)
    await play([], cytube, seconds=60)


async def test_an_expectation_does_not_find_the_same_line_twice(cytube: SimulatedCytube) -> None:
    """After a line was found, the same words have to be said again."""
    with pytest.raises(ScenarioError, match="scenario:3: Rosey did not say hi"):
        await play(parse("alice says !echo hi\nexpect Rosey says hi\nexpect Rosey says hi within 0.1"), cytube)


@pytest.mark.parametrize(
    ("text", "wrong"),
    (
        ("Rosey joins", "Rosey is in the room already"),
        ("alice leaves", "alice did not come for this scenario"),
        ("expect Rosey tells alice x", "alice did not come for this scenario"),
        ("cytube drops alice", "nobody called 'alice' is connected"),
        ("admin joins", "That username is reserved"),
    ),
)
async def test_what_can_not_be_done_is_an_error_with_its_line(cytube: SimulatedCytube, text: str, wrong: str) -> None:
    """A step that is impossible ends the scenario and says why."""
    with pytest.raises(ScenarioError, match=f"^scenario:2: .*{wrong}"):
        await play(parse(f"bob joins\n{text}"), cytube)
    await cytube.wait_for(lambda: cytube.room.find("bob") is None)


async def test_a_scenario_takes_the_site_down_and_up() -> None:
    """`cytube stops`, `starts` and `drops` do so; who was there comes back when they have something to say."""
    async with SimulatedCytube(ROOM, password="secret") as cytube:
        steps = parse(
            """
            alice joins
            cytube drops alice
            expect alice leaves
            alice says I am back
            cytube stops
            cytube starts
            alice says me too
            expect alice says I am back
            expect alice says me too
            """
        )
        await play(steps, cytube)


async def test_the_show_goes_on_the_same_way_each_time() -> None:
    """A few people come and speak; the same seed gives the same show, and its end leaves nobody."""
    shows = []
    for _ in range(2):
        async with SimulatedCytube(ROOM) as cytube:
            show = asyncio.create_task(lively(cytube, seed=7, pace=500))
            await cytube.wait_for(lambda room=cytube.room: len(room.lines) >= 25, 30)  # type: ignore[misc]  # mypy can't type a default in a lambda
            show.cancel()
            await asyncio.gather(show, return_exceptions=True)
            await cytube.wait_for(lambda site=cytube: site.connections == 0)  # type: ignore[misc]  # the same
            shows.append([(line.name, line.text) for line in cytube.room.lines[:25]])
            assert cytube.room.playlist.items
    assert shows[0] == shows[1]
    assert len({name for name, _ in shows[0]}) > 1


async def test_the_show_survives_kicks_and_a_site_that_goes_down() -> None:
    """People of the show who were kicked, or whose site was down, come back."""
    async with SimulatedCytube(ROOM) as cytube:
        show = asyncio.create_task(lively(cytube, pace=500))
        await cytube.wait_for(lambda: len(cytube.room.users) >= 2)
        await cytube.kick(cytube.room.users[0].name, "out")
        await cytube.stop()
        await cytube.start()
        await cytube.wait_for(lambda: len(cytube.room.users) >= 2, 30)
        assert not show.done()
        show.cancel()
        await asyncio.gather(show, return_exceptions=True)
