"""The rules for what goes out as a line: talk, private messages, and the commands that CyTube has for lines.

CyTube echoes talk to its sender, and that echo is the proof. Its commands have no echo: what they do is told by
other events, or by a `[server]` line to moderators. All as seen on a running CyTube 3.86.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rosey_core.actions import (
    BanAddress,
    BanUser,
    CleanPlaylist,
    ClearChat,
    Drink,
    KickAnonymous,
    KickUser,
    MuteUser,
    Outcome,
    SendMessage,
    SendPm,
    SetAway,
    ShadowMuteUser,
    UnmuteUser,
)
from rosey_core.cytube.lines import LIMIT, MAX_LINES, blank, cut, split, tidy, units
from rosey_core.cytube.rule import LINE, A, Frame, Room, Rule, done, nameless, never, same
from rosey_core.events import (
    ChannelDrinks,
    ChatCleared,
    ChatMessage,
    ChatPm,
    ChatRefused,
    Data,
    UserLeft,
    UserMetaChanged,
)

SERVER = "[server]"
_TIMEOUT = 2.0
"""Seconds: CyTube answers a line at once or not at all."""


def said(frame: Frame) -> str:
    """What a line says, as its echo has it where no filter of the room changed it."""
    text: str = frame[1]["msg"]
    return text.removeprefix("/me ") if frame[0] == "chatMsg" else text


def _chat(*lines: str) -> tuple[Frame, ...]:
    return tuple(("chatMsg", {"msg": line}) for line in lines)


def _reasoned(start: str, reason: str) -> str:
    """A command with its reason, which is cut where CyTube would cut it too."""
    return cut(f"{start} {tidy(reason)}".rstrip(), LIMIT)


def _too_new(data: Data) -> Outcome | None:
    """CyTube's filter against new users, which stands before everything else that a line may be."""
    match data:
        case ChatRefused(reason="new_user" | "new_user_link"):
            what = "links" if data.reason == "new_user_link" else "lines"
            return Outcome("refused", f"the room takes no {what} from accounts as new as the bot's ({data.text})")
        case _:
            return None


def _said(me: str, data: Data) -> Outcome | None:
    if isinstance(data, ChatRefused) and data.reason == "muted":
        return Outcome("refused", data.text or "the bot is muted in this room")
    return done(isinstance(data, ChatMessage) and same(data.username, me)) or _too_new(data)


def _sent(action: SendPm, me: str, data: Data) -> Outcome | None:
    return done(isinstance(data, ChatPm) and same(data.username, me) and same(data.to, action.to))


def _told(data: Data, text: str) -> bool:
    """Whether the server told moderators just that."""
    return isinstance(data, ChatMessage) and data.username == SERVER and same(data.text, text)


def _unsayable(text: str, split_up: Callable[[], list[str]]) -> str:
    if len(text) > MAX_LINES * LIMIT:  # looked at first: to split megabytes holds up everything
        return f"{len(text)} characters are too many at once: at most {MAX_LINES * LIMIT}"
    parts = split_up()
    if not parts:
        return "there is nothing to say: CyTube drops blank lines"
    return f"{len(parts)} lines are too many at once: at most {MAX_LINES}" if len(parts) > MAX_LINES else ""


def _message(action: SendMessage) -> list[str]:
    return split(action.text, lead="/me " if action.me else "")


def _private(action: SendPm) -> list[str]:
    return split(action.text, commands=False)


def _muted(data: Data, user: str) -> UserMetaChanged | None:
    return data if isinstance(data, UserMetaChanged) and same(data.name, user) else None


def _mute(action: MuteUser, me: str, data: Data) -> Outcome | None:
    meta = _muted(data, action.user)
    return done((meta is not None and meta.muted) or _told(data, f"{me} muted {action.user}"))


def _shadow_mute(action: ShadowMuteUser, me: str, data: Data) -> Outcome | None:
    meta = _muted(data, action.user)
    sure = (meta is not None and meta.shadow_muted is True) or _told(data, f"{me} shadowmuted {action.user}")
    return done(sure)


def _unmute(action: UnmuteUser, me: str, data: Data) -> Outcome | None:
    meta = _muted(data, action.user)
    sure = meta is not None and not meta.muted and not meta.shadow_muted
    return done(sure or _told(data, f"{me} unmuted {action.user}"))


def _kick(action: KickUser, me: str, data: Data) -> Outcome | None:
    left = isinstance(data, UserLeft) and same(data.name, action.user)
    return done(left or _told(data, f"{me} kicked {action.user}"))


def _ban_address(action: BanAddress, me: str, data: Data) -> Outcome | None:
    """`TestBot banned [address] (dave)`, one for each address, or `TestBot namebanned dave` when there is none."""
    told = (
        isinstance(data, ChatMessage)
        and data.username == SERVER
        and data.text.startswith(f"{me} banned ")
        and data.text.lower().endswith(f"({action.user.lower()})")
    )
    return done(told or _told(data, f"{me} namebanned {action.user}"))


def _ban_address_line(action: BanAddress) -> str:
    reason = tidy(action.reason)
    if not action.range and reason.partition(" ")[0] in {"range", "wrange"}:
        reason = f"({reason})"  # CyTube would read the reason's first word as an order to ban wider
    return _reasoned(f"/ipban {action.user} {action.range}".rstrip(), reason)


def _drink_line(action: Drink) -> str:
    return f"/d{action.count} {tidy(action.text)}".rstrip()


def _undrinkable(action: Drink) -> str:
    if not -10000 <= action.count <= 10000:
        return "a drink counts from -10000 to 10000"
    if tidy(action.text).startswith("/"):  # CyTube runs it as a command, and trims whatever blank stands before
        return "the text of a drink can't begin with /"
    return "" if units(_drink_line(action)) <= LIMIT else f"a drink's text has to fit into {LIMIT} characters"


def _drink(action: Drink, me: str, data: Data) -> Outcome | None:
    if blank(action.text) and action.count <= 0:
        # No line then. A count of 0 also comes with each change of media, and says nothing.
        return done(isinstance(data, ChannelDrinks) and data.count != 0)
    return _said(me, data)


def _clean_line(action: CleanPlaylist) -> str:
    return f"{'/clean' if action.by == 'user' else '/cleantitle'} {tidy(action.pattern)}"


def _unclean(action: CleanPlaylist) -> str:
    if not tidy(action.pattern):
        return "an empty pattern would remove the whole playlist; playlist.clear does that"
    return "" if units(_clean_line(action)) <= LIMIT else f"the pattern has to fit into {LIMIT} characters"


def _is_away(action: SetAway, room: Room) -> bool:
    user = room.users.get(room.me)
    return (user is not None and user.afk) == action.away


def _command(
    action: type[A],
    text: Callable[[A], str],
    confirm: Callable[[A, str, Data], Outcome | None],
    node: str = "",
    *,
    invalid: Callable[[A], str] = lambda _: "",
    unfit: Callable[[A, Room], str] = lambda _, __: "",
    already: Callable[[A, Room], bool] = lambda _, __: False,
    errors: str = "",
    silent: bool = False,
    echo: bool = False,
    again: bool = True,
) -> Rule[A]:
    """The rule of one of CyTube's chat commands. All of them need the right to chat, and its spam filter applies."""
    return Rule(
        action=action,
        frames=lambda a: _chat(text(a)),
        confirm=lambda a, me, data: confirm(a, me, data) or _too_new(data),
        needs=("chat", node) if node else ("chat",),
        invalid=invalid,
        unfit=unfit,
        already=already,
        kind=LINE,
        limit="chat",
        # Nothing but an error can answer a silent one, and it comes at once: the next line need not wait long.
        timeout=1.0 if silent else _TIMEOUT,
        errors=errors,
        silent=silent,
        echo=echo,
        again=again,
    )


SPOKEN: tuple[Rule[Any], ...] = (
    Rule(
        action=SendMessage,
        frames=lambda a: _chat(*_message(a)),
        confirm=lambda _, me, data: _said(me, data),
        needs=("chat",),
        invalid=lambda a: _unsayable(a.text, lambda: _message(a)),
        kind=LINE,
        limit="chat",
        cost=lambda a: 2 if a.me else 1,
        timeout=_TIMEOUT,
        echo=True,
    ),
    Rule(
        action=SendPm,
        frames=lambda a: tuple(("pm", {"to": a.to, "msg": part}) for part in _private(a)),
        confirm=_sent,
        invalid=lambda a: nameless(a.to) or _unsayable(a.text, lambda: _private(a)),
        unfit=lambda a, room: "the bot can't send itself a private message" if same(a.to, room.me) else "",
        kind=LINE,
        limit="pm",
        timeout=_TIMEOUT,
        errors=r"\bPMs?\b",
        echo=True,
    ),
    _command(
        ClearChat,
        lambda _: "/clear",
        lambda _, me, data: done(isinstance(data, ChatCleared) and same(data.cleared_by, me)),
        "chatclear",
    ),
    _command(
        MuteUser,
        lambda a: f"/mute {a.user}",
        _mute,
        "mute",
        invalid=lambda a: nameless(a.user),
        errors="^/mute ",
    ),
    _command(
        ShadowMuteUser,
        lambda a: f"/smute {a.user}",
        _shadow_mute,
        "mute",
        invalid=lambda a: nameless(a.user),
        errors="^/smute ",
    ),
    _command(
        UnmuteUser,
        lambda a: f"/unmute {a.user}",
        _unmute,
        "mute",
        invalid=lambda a: nameless(a.user),
        errors="^/unmute |is not muted",
    ),
    _command(
        KickUser,
        lambda a: _reasoned(f"/kick {a.user}", a.reason),
        _kick,
        "kick",
        invalid=lambda a: nameless(a.user),
        unfit=lambda a, room: "" if room.users.get(a.user) else f"{a.user} is not in the room",
        errors=r"\bkick\b",
    ),
    _command(
        KickAnonymous,
        lambda _: "/kickanons",
        lambda _, me, data: done(_told(data, f"{me} kicked anonymous users")),
        "kick",
    ),
    _command(
        BanUser,
        lambda a: _reasoned(f"/ban {a.user}", a.reason),
        lambda a, me, data: done(_told(data, f"{me} namebanned {a.user}")),
        "ban",
        invalid=lambda a: nameless(a.user),
        unfit=lambda a, room: "the bot can't ban itself" if same(a.user, room.me) else "",
        errors=r"\bban|Invalid username",
    ),
    _command(
        BanAddress,
        _ban_address_line,
        _ban_address,
        "ban",
        invalid=lambda a: nameless(a.user),
        unfit=lambda a, room: "the bot can't ban itself" if same(a.user, room.me) else "",
        errors=r"\bban|Invalid username",
    ),
    _command(
        SetAway,
        lambda _: "/afk",
        lambda a, me, data: done(isinstance(data, UserMetaChanged) and same(data.name, me) and data.afk == a.away),
        already=_is_away,
    ),
    # CyTube counts a drink before it looks at the limit of lines: sent again, it would count twice.
    _command(Drink, _drink_line, _drink, "drink", invalid=_undrinkable, echo=True, again=False),
    # It deletes items, but so do others, and a pattern may match none: so nothing ever confirms it.
    _command(
        CleanPlaylist,
        _clean_line,
        never,
        "playlistdelete",
        invalid=_unclean,
        errors="^Invalid target: |^No target given",
        silent=True,
    ),
)
