"""The table of ends: what is final, what is tried again, and when."""

from __future__ import annotations

import pytest

from rosey_core.cytube import ending
from rosey_core.cytube.ending import Again

NEVER, NOW, SOON, LIMITED, KICKED = Again.NEVER, Again.NOW, Again.SOON, Again.LIMITED, Again.KICKED


@pytest.mark.parametrize(
    ("reason", "again", "least"),
    (
        ("Duplicate login", NEVER, 0),
        ("You're banned!", NEVER, 0),
        ("You are banned from this channel.", NEVER, 0),
        ("Channel was banned: spam", NEVER, 0),
        ("Channel could not be loaded: Channel is banned: spam", NEVER, 0),
        ("Channel could not be loaded: the database is away", SOON, 10),
        ("Invalid channel name", NEVER, 0),
        ("This channel has banned connections from Tor.", NEVER, 0),
        ("Channel shutting down", SOON, 5),
        ("Channel reloading", SOON, 5),
        ("Channel deleted", SOON, 5),
        ("Rate limit exceeded", LIMITED, 10),
        ("Too many connections from your IP address", LIMITED, 10),
        ("Attempted setMotd without permission", KICKED, 300),
        ("anonymous user", KICKED, 0),
        ("be nice", KICKED, 0),
        ("", KICKED, 0),
    ),
)
def test_kicks(reason: str, again: Again, least: float) -> None:
    """Each kick of CyTube's own, and a moderator's."""
    end = ending.after_kick(reason)
    assert (end.kind, end.again, end.least) == ("kicked", again, least)
    assert end.final == (again is NEVER)
    assert reason in end.reason


@pytest.mark.parametrize(
    ("error", "again", "least"),
    (
        ("Invalid username/password combination", NEVER, 0),
        ("User does not exist", NEVER, 0),
        ('Invalid username "bad name!"', NEVER, 0),
        ("Invalid username.  Usernames must be 1-20 characters long and consist only of", NEVER, 0),
        ("That username is reserved.", NEVER, 0),
        ("That username is registered.", NEVER, 0),
        ("That name is already in use on this channel.", SOON, 10),
        ("Guest logins are restricted to one per IP address per 60 seconds.", SOON, 60),
        ("ER_CON_COUNT_ERROR", SOON, 10),
        ("", SOON, 10),
    ),
)
def test_login_errors(error: str, again: Again, least: float) -> None:
    """A wrong name or password is final; what time or the site's owner heals is not."""
    end = ending.after_login_error(error)
    assert (end.kind, end.again, end.least) == ("refused", again, least)
    assert error in end.reason


@pytest.mark.parametrize(
    ("message", "again", "least"),
    (
        ("Rate limit exceeded", LIMITED, 10),
        ("You are banned from the server", NEVER, 0),
        ("Could not determine IP address", SOON, 10),
        ("", SOON, 10),
    ),
)
def test_refusals(message: str, again: Again, least: float) -> None:
    """What `44` says."""
    end = ending.after_refusal(message)
    assert (end.kind, end.again, end.least) == ("refused", again, least)
    assert message in end.reason


def test_join_errors() -> None:
    """An error while joining ends it when CyTube will say nothing more, and is only told otherwise."""
    moved = ending.after_join_error("Channel 'x' is hosted on another server.  Try refreshing the page")
    assert moved is not None
    assert (moved.kind, moved.again) == ("lost", SOON)
    anonymous = ending.after_join_error(
        "This channel has blocked anonymous users. Please provide a user name to join."
    )
    assert anonymous is not None
    assert (anonymous.kind, anonymous.again) == ("refused", NEVER)
    assert "username" in anonymous.reason
    assert ending.after_join_error("Unexpected error for message") is None


def test_room_passwords() -> None:
    """A missing and a wrong room password are final, and say which it is."""
    assert "wrong" in ending.after_password(given=True).reason
    assert "wants a password" in ending.after_password(given=False).reason
    assert ending.after_password(given=True).final
    assert ending.after_password(given=False).final


@pytest.mark.parametrize("code", (None, 1000, 1001, 1005, 1006, 1009, 1012))
def test_closes_pass(code: int | None) -> None:
    """However a connection is closed, it is tried again."""
    end = ending.after_close(code)
    assert (end.kind, end.again) == ("lost", SOON)


def test_too_big_a_frame_names_the_setting() -> None:
    """A frame over the limit says which setting to raise."""
    end = ending.after_overlong(16)
    assert "more than 16 MiB" in end.reason
    assert "max_frame_mib" in end.reason
    assert (end.kind, end.again) == ("lost", SOON)


def test_the_rest_passes() -> None:
    """A move is followed at once; silence and slowness are tried again."""
    assert ending.after_moved().again is NOW
    assert ending.after_silence(145).again is SOON
    assert ending.after_timeout("logging in", 15).again is SOON
    assert ending.after_disconnect().again is SOON


def test_long_words_are_cut() -> None:
    """A moderator's essay does not fill the log."""
    assert len(ending.after_kick("x" * 5000).reason) < 400
