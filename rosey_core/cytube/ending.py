"""Why a connection to CyTube ended, and what to do about it: a table, with no state and no clock.

Owns the reading of CyTube's texts and of network errors. `session` carries out what is said here, and `gate`
knows how long the waits are. CyTube's texts are those of CyTube 3.86, seen on a running server or in
`src/`; a moderator may type any of them as the reason of a kick, and is then taken at his word.

What is final ends the session until somebody changes something: the configuration, the account, the ban.
Everything else is tried again for ever.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

import msgspec


class Again(Enum):
    """When to try again."""

    NEVER = "never"
    NOW = "now"
    SOON = "soon"
    """After a back-off with full jitter."""
    LIMITED = "limited"
    """CyTube counts connections, and we had too many: 10 seconds for each attempt, at least."""
    KICKED = "kicked"
    """As the owner wants it after a moderator's kick (`rejoin_after_kick`), doubling up to an hour."""


class Ending(msgspec.Struct, frozen=True):
    """The end of one attempt to be in the room.

    Attributes:
        kind: which event tells it: `lost`, `kicked` or `refused`.
        reason: for people; it holds no secret.
        again: when to try again.
        least: seconds to wait at least.
    """

    kind: Literal["lost", "kicked", "refused"]
    reason: str
    again: Again = Again.SOON
    least: float = 0.0

    @property
    def final(self) -> bool:
        """Whether the session stops here."""
        return self.again is Again.NEVER


class Ended(Exception):  # noqa: N818  it is no error: every connection ends
    """Carries an `Ending` out of whatever was going on."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.reason)
        self.ending = ending


_MOST_WORDS = 200

_Rule = tuple[str, Again, float, str]
"""What the text begins with; when to try again; seconds at least; what to tell beside CyTube's own words."""

_ANOTHER_COPY = "another copy of this bot is running: stop one, then start this one again"
_BANNED = "the bot is banned here: ask a moderator to lift the ban, then restart"

KICKS: tuple[_Rule, ...] = (
    ("Duplicate login", Again.NEVER, 0, _ANOTHER_COPY),
    ("You're banned", Again.NEVER, 0, _BANNED),
    ("You are banned from this channel", Again.NEVER, 0, _BANNED),
    ("Channel was banned", Again.NEVER, 0, "the site closed this room"),
    ("Channel could not be loaded: Channel is banned", Again.NEVER, 0, "the site closed this room"),
    ("Invalid channel name", Again.NEVER, 0, "set another `room` in rosey.toml"),
    ("This channel has banned connections from Tor", Again.NEVER, 0, "set another `proxy` in rosey.toml"),
    ("Channel could not be loaded", Again.SOON, 10, ""),
    ("Channel shutting down", Again.SOON, 5, ""),
    ("Channel reloading", Again.SOON, 5, ""),
    ("Channel deleted", Again.SOON, 5, ""),
    ("Rate limit exceeded", Again.LIMITED, 10, ""),
    ("Too many connections from your IP address", Again.LIMITED, 10, ""),
    # A permission that the bot lost a moment ago, or a bug: not at once, or it would go round and round.
    ("Attempted ", Again.KICKED, 300, "the bot tried what its rank does not allow"),
)
"""Kick reasons that CyTube itself gives. Every other one is a moderator's."""

LOGINS: tuple[_Rule, ...] = (
    ("Invalid username/password combination", Again.NEVER, 0, "check `password` in rosey.toml"),
    ("User does not exist", Again.NEVER, 0, "check `username`, or register it on the site"),
    ("Invalid username", Again.NEVER, 0, "check `username` in rosey.toml"),
    ("That username is reserved", Again.NEVER, 0, "set another `username` in rosey.toml"),
    (
        "That username is registered",
        Again.NEVER,
        0,
        "give its `password`, or set a `username` that resembles no registered one",
    ),
    ("That name is already in use", Again.SOON, 10, ""),
    ("Guest logins are restricted", Again.SOON, 60, ""),
)
"""Login errors. Any other is the site's own trouble, such as its database's, and passes."""

REFUSALS: tuple[_Rule, ...] = (
    ("Rate limit exceeded", Again.LIMITED, 10, ""),
    ("You are banned from the server", Again.NEVER, 0, "the site banned this address: ask its administrator"),
)
"""What `44` says. Any other is a fault of the site's set-up, and may pass."""

JOIN_ERRORS: tuple[_Rule, ...] = (
    (
        "This channel has blocked anonymous users",
        Again.NEVER,
        0,
        "set a `username` in rosey.toml",
    ),
)


def _look_up(rules: tuple[_Rule, ...], text: str) -> tuple[Again, float, str] | None:
    for begins, again, least, advice in rules:
        if text.startswith(begins):
            return again, least, advice
    return None


def _with(words: str, advice: str) -> str:
    if len(words) > _MOST_WORDS:
        words = f"{words[:_MOST_WORDS]}..."
    return f"{words} ({advice})" if advice else words


def after_kick(reason: str) -> Ending:
    """A `kick`; `reason` is CyTube's or a moderator's text, empty when there was none."""
    again, least, advice = _look_up(KICKS, reason) or (Again.KICKED, 0.0, "")
    return Ending("kicked", _with(reason or "kicked, with no reason given", advice), again, least)


def after_login_error(error: str) -> Ending:
    """A login that CyTube did not take; `error` is its text."""
    again, least, advice = _look_up(LOGINS, error) or (Again.SOON, 10.0, "")
    return Ending("refused", _with(f"login: {error or 'refused, with no reason given'}", advice), again, least)


def after_refusal(message: str) -> Ending:
    """A `44`: CyTube did not want the connection."""
    again, least, advice = _look_up(REFUSALS, message) or (Again.SOON, 10.0, "")
    return Ending("refused", _with(message or "refused, with no reason given", advice), again, least)


def after_join_error(text: str) -> Ending | None:
    """An `errorMsg` while joining; None when the join may still succeed."""
    if "is hosted on another server" in text:
        return Ending("lost", "the room is on another of the site's servers")
    found = _look_up(JOIN_ERRORS, text)
    return Ending("refused", _with(text, found[2]), found[0], found[1]) if found else None


def after_password(*, given: bool) -> Ending:
    """The room wants a password: we gave a wrong one, or none."""
    if given:
        return Ending("refused", "the room's password is wrong: check `room_password` in rosey.toml", Again.NEVER)
    return Ending("refused", "the room wants a password: set `room_password` in rosey.toml", Again.NEVER)


def after_disconnect() -> Ending:
    """A `41` with no kick before it."""
    return Ending("lost", "CyTube ended the session, with no reason given")


def after_close(code: int | None) -> Ending:
    """The websocket is closed. 1005 and 1006 are what a restart, a crash or the network looks like."""
    if code in {None, 1005, 1006}:
        return Ending("lost", "the connection broke off")
    return Ending("lost", f"the connection was closed with code {code}")


def after_overlong(limit_mib: int) -> Ending:
    """A frame was longer than the owner's limit. The next one may be shorter: a playlist is emptied, too."""
    return Ending(
        "lost",
        f"CyTube sent a frame of more than {limit_mib} MiB: raise `max_frame_mib` in rosey.toml",
        least=10,
    )


def after_moved() -> Ending:
    """A `partitionChange`: the room moves to another server of the site, now."""
    return Ending("lost", "the room moves to another of the site's servers", Again.NOW)


def after_silence(seconds: float) -> Ending:
    """Nothing came for too long, not even a ping."""
    return Ending("lost", f"no sign of life from CyTube for {seconds:.0f} seconds")


def after_timeout(step: str, seconds: float) -> Ending:
    """A step on the way into the room took too long."""
    return Ending("lost", f"{step}: no answer within {seconds:g} seconds")
