"""The plugin `logging`: what stands in its files, and what does not."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core.api import Context, Metadata, NormalizedEvent
from rosey_core.api import events as ev
from rosey_plugins import chatlog
from rosey_plugins.chatlog import ChatLog, LoggingSettings, clean, newest, stamp

NOTHING = Metadata()
HISTORY = Metadata(history=True)


class Place:
    """As much of a context as the plugin uses."""

    def __init__(self, directory: Path, channel: str, settings: LoggingSettings) -> None:
        self.directory = directory
        self.channel_name = channel
        self.settings = settings


class Made(ChatLog):
    """The plugin, with the settings that all its channels have here."""

    def __init__(self, settings: LoggingSettings) -> None:
        super().__init__(settings)
        self.settings = settings


def event(data: Any, *, at: float = 1.0, metadata: Metadata = NOTHING, kind: str = "chat.message") -> NormalizedEvent:
    """An event at a time."""
    return NormalizedEvent(kind, "cytube", data, at, metadata, f"{at} {data}", "cytube", 1)


def line(text: str, *, user: str = "bob", at: float = 1.0, metadata: Metadata = NOTHING, kind: str = "say") -> Any:
    """A chat line."""
    return event(ev.ChatMessage(user, text, html=text, kind=kind), at=at, metadata=metadata)


def write(plugin: Made, directory: Path, *events: NormalizedEvent, channel: str = "cytube") -> str:
    """Give the plugin a list, and read the file."""
    work = plugin.on_events(cast("Context", Place(directory, channel, plugin.settings)), events)
    with contextlib.suppress(StopIteration):
        work.send(None)  # while nobody forgets anybody, it waits for nothing
    return (directory / f"{channel}.log").read_text()


@pytest.fixture
def make() -> Iterator[Callable[..., Made]]:
    """Make the plugin with settings; its files are closed at the end."""
    made: list[Made] = []

    def maker(**settings: Any) -> Made:
        made.append(Made(LoggingSettings(**settings)))
        return made[-1]

    yield maker
    for plugin in made:
        with contextlib.suppress(OSError):  # the full disk's
            plugin.stop()


Make = Callable[..., Made]
MEDIA = ev.Media(id="abc", type="yt", title="A film", seconds=60, link="https://youtu.be/abc")


def test_what_people_read(tmp_path: Path, make: Make) -> None:
    """A line for each thing said and played, with the server's time; other events are not written."""
    written = write(
        make(),
        tmp_path,
        line("hello", at=1732420813.1234),
        line("waves", kind="action"),
        event(ev.MediaPlayed(MEDIA, queued_by="eve"), kind="media.played"),
        event(ev.ChatCleared("mo"), kind="chat.cleared"),
        event(ev.StatsUsercount(connected=3), kind="stats.usercount"),
    )
    assert written.splitlines() == [
        "2024-11-24T04:00:13.123Z <bob> hello",
        "1970-01-01T00:00:01.000Z * bob waves",
        "1970-01-01T00:00:01.000Z -- plays A film (https://youtu.be/abc), queued by eve",
        "1970-01-01T00:00:01.000Z -- mo cleared the chat",
    ]


def test_json_lines(tmp_path: Path, make: Make) -> None:
    """The same as fields, one object a line."""
    written = write(make(format="json"), tmp_path, line('a "quoted" line'))
    assert json.loads(written) == {
        "time": "1970-01-01T00:00:01.000Z",
        "type": "chat.message",
        "user": "bob",
        "text": 'a "quoted" line',
        "kind": "say",
    }


@given(st.text())
def test_nothing_steers_a_terminal(text: str) -> None:
    """No control character is left, so no line forges another; everything else stays."""
    cleaned = clean(text)
    assert len(cleaned.splitlines()) <= 1
    assert cleaned.isprintable() or not any(ch in cleaned for ch in "\x1b\x9b\u202e\u2066\ufeff")
    assert clean("caf\u00e9 \U0001f37f") == "caf\u00e9 \U0001f37f"


def test_one_line_is_one_line(tmp_path: Path, make: Make) -> None:
    """Neither a text nor a name makes a second line."""
    written = write(make(), tmp_path, line("a\n2024 <eve> b\u2028c", user="bo\rb"))
    assert written.splitlines() == ["1970-01-01T00:00:01.000Z <bob> a2024 <eve> bc"]


def test_a_rejoin_repeats_nothing(tmp_path: Path, make: Make) -> None:
    """Of the history, lines that are newer than the newest in the file are written, also those of one millisecond."""
    plugin = make()
    write(plugin, tmp_path, line("one", at=10), line("two", at=20))
    again = [
        line(text, at=at, metadata=HISTORY) for text, at in (("one", 10), ("two", 20), ("missed", 30), ("too", 30))
    ]
    written = write(plugin, tmp_path, *again)
    assert [text.rpartition(" ")[2] for text in written.splitlines()] == ["one", "two", "missed", "too"]
    assert write(plugin, tmp_path, *again) == written  # a second rejoin with no live line between


def test_a_restart_repeats_nothing(tmp_path: Path, make: Make) -> None:
    """A new instance reads from the file what the newest line was, in both formats."""
    for form in ("text", "json"):
        directory = tmp_path / form
        directory.mkdir()
        first = make(format=form)
        write(first, directory, line("one", at=10))
        first.stop()
        written = write(make(format=form), directory, line("one", at=10, metadata=HISTORY), line("new", at=11))
        assert len(written.splitlines()) == 2


@pytest.mark.parametrize("form", ("text", "json"))
def test_our_own_clock_hides_no_line(tmp_path: Path, make: Make, form: str) -> None:
    """What plays has our clock's time, which may be ahead of CyTube's: a missed chat line is written all the same."""
    played = event(ev.MediaPlayed(MEDIA, queued_by="eve"), at=900.0, kind="media.played")
    plugin = make(format=form)
    write(plugin, tmp_path, line("heard", at=100.0), played)
    written = write(plugin, tmp_path, line("missed", at=200.0, metadata=HISTORY), line("heard", at=100.0))
    assert "missed" in written
    plugin.stop()
    again = write(
        make(format=form),
        tmp_path,
        *(
            line(x, at=at, metadata=HISTORY)
            for x, at in (("heard", 100.0), ("missed", 200.0), ("missed again", 300.0))
        ),
    )
    assert again.count("heard") == written.count("heard")
    assert again.count("missed") == 2
    assert "missed again" in again


def test_rotation(tmp_path: Path, make: Make) -> None:
    """At its size a file becomes `.1`; as many old ones are kept as asked; no line is lost between them."""
    plugin = make(max_mib=0.001, keep=2)
    for number in range(60):
        write(plugin, tmp_path, line(f"{number:02} " + "x" * 50, at=number + 1))
    plugin.stop()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["cytube.log", "cytube.log.1", "cytube.log.2"]
    text = "".join((tmp_path / name).read_text() for name in reversed(files))
    numbers = [int(row.split()[2]) for row in text.splitlines()]
    assert numbers == list(range(numbers[0], 60))
    assert newest(tmp_path / "cytube.log") == stamp(60)


def test_each_channel_has_its_file(tmp_path: Path, make: Make) -> None:
    """One instance, two files."""
    plugin = make()
    write(plugin, tmp_path, line("a"), channel="one")
    assert write(plugin, tmp_path, line("b"), channel="two").endswith("<bob> b\n")
    assert (tmp_path / "one.log").read_text().endswith("<bob> a\n")


def test_a_full_disk_is_heard_of(tmp_path: Path, make: Make) -> None:
    """What can't be written raises, and is written when CyTube repeats it and there is room again."""
    plugin = make()
    log = tmp_path / "cytube.log"
    log.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write(plugin, tmp_path, line("refused", at=5.0))
    log.unlink()
    for _ in range(2):
        written = write(plugin, tmp_path, line("refused", at=5.0, metadata=HISTORY))
    assert written.count("refused") == 1


def test_a_time_that_is_none(tmp_path: Path, make: Make) -> None:
    """A time that no calendar has costs no line, neither its own nor those beside it."""
    written = write(make(), tmp_path, line("a"), line("b", at=1e300), line("c", at=-1e18), line("d"))
    assert [row.rpartition(" ")[2] for row in written.splitlines()] == ["a", "b", "c", "d"]


def test_a_channel_has_its_own_settings(tmp_path: Path, make: Make) -> None:
    """One instance writes text in one channel and JSON in another."""
    plugin = make()
    write(plugin, tmp_path, line("a"), channel="one")
    plugin.settings = LoggingSettings(format="json")
    assert write(plugin, tmp_path, line("b"), channel="two").startswith('{"time": ')
    assert (tmp_path / "one.log").read_text().endswith("<bob> a\n")


@given(st.floats(min_value=0, max_value=4e9))
def test_stamps_sort_like_times(seconds: float) -> None:
    """A stamp has 24 characters, and two compare as their times do."""
    assert len(stamp(seconds)) == len("2026-11-24T04:02:13.123Z")
    assert stamp(seconds) <= stamp(seconds + 0.001)


def test_what_it_hears() -> None:
    """It asks for every line there is, to be complete: history, stopped, own and the server's."""
    hears = chatlog.ChatLog.on_events._rosey_hears  # type: ignore[attr-defined]
    assert (hears.history, hears.stopped, hears.own, hears.server, hears.shadow) == (True, True, True, True, False)
