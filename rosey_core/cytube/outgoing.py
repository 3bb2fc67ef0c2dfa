"""The one table of actions: how CyTube spells each, the right it needs there, and what confirms or refuses it.

What goes out as a line stands in `spoken`, what plays in `programme`, a room's settings in `upkeep`; here are
users, polls, votes, and the table of all. Each row is as seen on a running CyTube 3.86, or read in its source.
What it does not answer is marked `silent` and ends as `unknown`.
"""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from rosey_core import actions as do
from rosey_core import events as ev
from rosey_core.actions import Action, Outcome
from rosey_core.cytube.lines import units
from rosey_core.cytube.programme import PROGRAMME
from rosey_core.cytube.rule import Room, Rule, done, nameless, one, same
from rosey_core.cytube.spoken import SPOKEN
from rosey_core.cytube.upkeep import UPKEEP

# --- users -------------------------------------------------------------------------------------------------


def _rank(action: do.SetRank, me: str, data: ev.Data) -> Outcome | None:  # noqa: ARG001  the form of `confirm`
    match data:
        case ev.UserRankChanged() if same(data.name, action.user) and data.rank == action.rank:
            return Outcome("done")
        case ev.ErrorMessage(kind="channelRankFail"):
            return Outcome("refused", data.text)
        case _:
            return None


def _unrankable(action: do.SetRank, room: Room) -> str:
    if same(action.user, room.me):
        return "the bot can't change its own rank"
    if action.rank < room.my_rank or action.rank == room.my_rank == 4:
        return ""
    return f"a rank has to be below the bot's own ({room.my_rank:g})"


def _unleadable(action: do.SetLeader, room: Room) -> str:
    """CyTube looks for the very capitals, and takes the leader away also when it finds nobody."""
    if not action.user:
        return ""
    user = room.users.get(action.user)
    if user is None:
        return f"{action.user} is not in the room"
    return "" if user.name == action.user else f"CyTube wants the name in its own capitals, {user.name}"


_USERS: tuple[Rule[Any], ...] = (
    Rule(
        action=do.UnbanUser,
        frames=lambda a: one("unban", {"id": a.id, "name": a.user}),
        confirm=lambda a, _, data: done(isinstance(data, ev.ChannelBanRemoved) and data.id == a.id),
        needs=("ban",),
        kind="user",
    ),
    Rule(
        action=do.SetRank,
        frames=lambda a: one("setChannelRank", {"name": a.user, "rank": a.rank}),
        confirm=_rank,
        rank=3,
        invalid=lambda a: nameless(a.user) or ("" if a.rank >= 1 else "a rank has to be 1 or more"),
        unfit=_unrankable,
        kind="user",
    ),
    Rule(
        action=do.SetLeader,
        frames=lambda a: one("assignLeader", {"name": a.user}),
        confirm=lambda a, _, data: done(isinstance(data, ev.UserLeaderChanged) and same(data.name, a.user)),
        needs=("leaderctl",),
        kicks=True,
        invalid=lambda a: nameless(a.user) if a.user else "",
        unfit=_unleadable,
        kind="user",
        errors="^Unable to assign leader",
    ),
)

# --- polls and votes ---------------------------------------------------------------------------------------


def _bad_poll(action: do.OpenPoll) -> str:
    """CyTube closes the open poll before it looks at the new one, so all of its checks are made here."""
    if units(action.title) > 255:
        return "a poll's title has at most 255 characters"
    if not 1 <= len(action.options) <= 50:
        return f"a poll has 1 to 50 options, not {len(action.options)}"
    if not all(1 <= units(option) <= 255 for option in action.options):
        return "each option of a poll has 1 to 255 characters"
    if action.timeout is not None and not 1 <= action.timeout <= 86400:
        return "a poll's timeout is 1 to 86400 seconds"
    return ""


def _poll_payload(action: do.OpenPoll) -> dict[str, Any]:
    payload: dict[str, Any] = {"title": action.title, "opts": list(action.options), "obscured": action.hidden}
    if action.timeout is not None:
        payload["timeout"] = action.timeout
    if action.keep_votes:
        payload["retainVotes"] = True
    return payload


def _polled(action: do.OpenPoll, me: str, data: ev.Data) -> Outcome | None:  # noqa: ARG001  the form
    if type(data) is ev.PollOpened and same(data.initiator, me):
        return Outcome("done", result={"options": list(data.options), "timestamp_ms": data.timestamp_ms})
    return None


def _voted(action: do.Vote, me: str, data: ev.Data) -> Outcome | None:  # noqa: ARG001  the form
    """CyTube tells the counts after each vote, also after one for an option that there is not."""
    if not isinstance(data, ev.PollUpdated):
        return None
    if not 0 <= action.option < len(data.options):
        return Outcome("refused", f"the poll has no option {action.option}: they count from 0")
    return Outcome("done")


_POLLS: tuple[Rule[Any], ...] = (
    Rule(
        action=do.OpenPoll,
        frames=lambda a: one("newPoll", _poll_payload(a)),
        confirm=_polled,
        needs=("pollctl",),
        invalid=_bad_poll,
        kind="poll",
        ack=True,
        errors=r"^Poll|^Error creating poll",
    ),
    Rule(
        action=do.Vote,
        frames=lambda a: one("vote", {"option": a.option}),
        confirm=_voted,
        needs=("pollvote",),
        kind="poll",
    ),
    Rule(
        action=do.ClosePoll,
        frames=lambda _: one("closePoll"),
        confirm=lambda _, __, data: done(isinstance(data, ev.PollClosed)),
        needs=("pollctl",),
        kind="poll",
    ),
    Rule(
        action=do.VoteSkipNow,
        frames=lambda _: one("voteskip"),
        # Told to those with `viewvoteskip`; a vote that decides it is told as 0 of 0.
        confirm=lambda _, __, data: done(isinstance(data, ev.VoteSkip)),
        needs=("voteskip",),
        unfit=lambda _, room: (
            "voting to skip is turned off in this room" if room.options.get("allow_voteskip") is False else ""
        ),
        kind="vote",
    ),
)

RULES: dict[type[Action], Rule[Any]] = {
    rule.action: rule for rule in (*SPOKEN, *PROGRAMME, *_USERS, *_POLLS, *UPKEEP)
}
"""Every kind of action, and its rule."""


def complaint(answer: object) -> str | None:
    """The error in an acknowledgement, of which CyTube gives one for `newPoll` alone; `None` when it took it.

    Args:
        answer: `[{}]` or `[{"error": {"message": "..."}}]`, decoded or not, with or without the list.
    """
    if isinstance(answer, bytes):
        with contextlib.suppress(msgspec.DecodeError):
            answer = msgspec.json.decode(answer)
    if isinstance(answer, list | tuple):
        answer = answer[0] if answer else {}
    error = answer.get("error") if isinstance(answer, dict) else None
    if not error:
        return None
    message = error.get("message") if isinstance(error, dict) else error
    return str(message or "CyTube gave no reason")
