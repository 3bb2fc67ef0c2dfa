"""The simulated CyTube against the real one: what clients were told in the recorded sessions, they are told here.

Each scene puts the frames that recorded clients sent to a `Site`, at the recorded times of a clock moved by hand, and
compares every event that each of them heard, in order, with the recording. What clients did that were not recorded
stands in the scene. Left out of the comparison: times of day, addresses, the numbers of items and bans (only who is
who counts), the room's log, and `usercount`, whose delay depends on who came before the recording.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rosey_core.testing.lookup import Media
from rosey_core.testing.payloads import NOT_ACKED
from rosey_core.testing.room import Room
from rosey_core.testing.site import Refused, Site
from rosey_core.testing.timers import ManualTimers
from rosey_core.testing.users import Event, User

TRACES = Path(__file__).parent / "traces"
HIDDEN = "********"

LOGIN_SECONDS = 0.06  # what the recorded server needed to check a password
RANKS: dict[str, float] = {"TestBot": 2, "alice": 5, "carol": 3}
ACCOUNTS = ("TestBot", "alice", "bob", "carol", "dave")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FRAME = re.compile(r"42(\d*)(\[.*)", re.DOTALL)

Told = tuple[str, Any]


class Recorder:
    """A link that keeps what comes."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def send(self, event: Event) -> None:
        """Keep an event."""
        self.told.append((event.name, json.loads(json.dumps(event.args[0])) if event.args else "(nothing)"))

    def end(self) -> None:
        """Keep the end of the session."""
        self.told.append(("41", "(end)"))

    def hang_up(self) -> None:
        """The trace of it has lost its end."""


class Client:
    """A client of a scene, recorded or not."""

    def __init__(self, site: Site, ip: str) -> None:
        self.site = site
        self.ip = ip
        self.link = Recorder()
        self.user: User | None = None

    def connect(self) -> None:
        """Ask for a session."""
        try:
            self.user = self.site.connect(self.link, self.ip)
        except Refused as refusal:
            self.link.told.append(("44", str(refusal)))
        else:
            self.site.greet(self.user)

    def send(self, name: str, *args: Any, acked: bool = False) -> None:
        """Send an event."""
        assert self.user is not None
        reply = self.site.receive(self.user, name, args, acked=acked)
        if reply is not NOT_ACKED:
            self.link.told.append(("ack", reply))

    def leave(self) -> None:
        """Close the connection."""
        if self.user is not None:
            self.site.gone(self.user)


class Other(NamedTuple):
    """Something done by a client that was not recorded; `comes` and `goes` are events of ours."""

    at: float
    name: str
    event: str
    payload: Any = None


class Scene(NamedTuple):
    """Traces of one moment.

    Attributes:
        starts: when each trace began, in seconds of the scene.
        others: what clients did that were not recorded.
        prepare: brings site and room into the state that the recording began with.
        secrets: for a trace, what stood in place of its first hidden passwords, where it was not the right one.
        rules: of the site.
        shuffled: a playlist was shuffled, so only what stands first and what there is can be compared.
        pace: how fast time passes for clients; the recorded server's ticks were a little late.
    """

    starts: dict[str, float]
    others: tuple[Other, ...] = ()
    prepare: Callable[[Site, Room], object] = lambda _site, _room: None
    secrets: dict[str, tuple[str, ...]] = {}  # noqa: RUF012  never changed
    rules: dict[str, Any] = {}  # noqa: RUF012  never changed
    shuffled: bool = False
    pace: float = 1


def records(trace: str) -> list[dict[str, Any]]:
    """The lines of a trace."""
    return [json.loads(line) for line in (TRACES / f"{trace}.jsonl").read_text().splitlines()]


def recorded(trace: str) -> list[Told]:
    """What the client of a trace was told."""
    told: list[Told] = []
    for record in records(trace):
        frame = record["frame"]
        if record["dir"] != "in":
            continue
        if frame == "41":
            told.append(("41", "(end)"))
        elif frame.startswith("44"):
            told.append(("44", json.loads(frame[2:])["message"]))
        elif frame.startswith("42["):
            name, *args = json.loads(frame[2:])
            told.append((name, args[0] if args else "(nothing)"))
        elif frame.startswith("43"):
            told.append(("ack", json.loads(frame[frame.index("[") :])[0]))
    return told


def play(scene: Scene) -> dict[str, list[Told]]:
    """Play a scene. Returns what the client of each trace was told."""
    timers = ManualTimers()
    timers.advance(1008.5)
    site = Site(timers, **scene.rules)
    for name in ACCOUNTS:
        site.add_account(name, HIDDEN)
    first = min(scene.starts, key=lambda trace: scene.starts[trace])
    room = site.room(room_name(first))
    for name, rank in RANKS.items():
        room.moderation.keep_rank(name, rank)
    seed(room, recorded(first))
    videos = [media for media in site.lookup.known.values() if isinstance(media, Media)]
    site.save_playlist("TestBot", "ytlist", videos)
    scene.prepare(site, room)
    clients: dict[str, Client] = {}
    timeline: list[tuple[float, int, Callable[[], None]]] = []
    for name in present(recorded(first)):
        timeline.append((-1, len(timeline), doing(site, clients, Other(0, name, "comes"))))
    for other in scene.others:
        timeline.append((other.at, len(timeline), doing(site, clients, other)))
    for trace, start in scene.starts.items():
        for at, call in frames(trace, site, clients, iter(scene.secrets.get(trace, ()))):
            timeline.append((start + at, len(timeline), call))
    for at, _, call in sorted(timeline, key=lambda item: item[:2]):
        timers.advance(1010 + at * scene.pace)
        call()
    return {trace: clients[trace].link.told for trace in scene.starts}


def frames(
    trace: str, site: Site, clients: dict[str, Client], secrets: Iterator[str]
) -> Iterator[tuple[float, Callable[[], None]]]:
    """What the client of a trace did, and when."""
    client: Client | None = None
    for record in records(trace):
        at, frame = record["t"], record["frame"]
        if record.get("event") == "open":
            client = clients[trace] = Client(site, record.get("xff", "127.0.0.1"))
        assert client is not None
        if record.get("event") == "close":
            yield at, client.leave
            return  # what a client sent later went nowhere
        elif record["dir"] == "out" and frame == "40":
            yield at, client.connect
        elif record["dir"] == "out" and frame == "41":
            yield at, client.leave
        elif record["dir"] == "out" and (match := FRAME.fullmatch(frame)):
            name, *args = json.loads(re.sub(re.escape(HIDDEN), lambda _: next(secrets, HIDDEN), match[2]))
            slow = LOGIN_SECONDS if name == "login" and args and "pw" in args[0] else 0
            yield (
                at + slow,
                lambda client=client, name=name, args=args, acked=bool(match[1]): client.send(  # type: ignore[misc]  # mypy can't type a default in a lambda
                    name, *args, acked=acked
                ),
            )


def doing(site: Site, clients: dict[str, Client], other: Other) -> Callable[[], None]:
    """What a client does that was not recorded."""

    def do() -> None:
        if other.event == "comes":
            client = clients[other.name] = Client(site, f"192.168.0.{len(clients) + 1}")
            client.connect()
            registered = site.account(other.name) is not None
            client.send("joinChannel", {"name": next(iter(site.rooms)), "pw": HIDDEN})
            client.send("login", {"name": other.name} | ({"pw": HIDDEN} if registered else {}))
        elif other.event == "goes":
            clients[other.name].leave()
        else:
            clients[other.name].send(other.event, *([] if other.payload is None else [other.payload]))

    return do


def room_name(trace: str) -> str:
    """The room that the client of a trace entered."""
    for record in records(trace):
        if record["dir"] == "out" and record["frame"].startswith('42["joinChannel",{"name":"'):
            return str(json.loads(record["frame"][2:])[1]["name"]).lower()
    return "testroom"


def present(told: list[Told]) -> list[str]:
    """Who was in the room before the first client came."""
    users: list[dict[str, Any]] = next((payload for name, payload in told if name == "userlist"), [])
    me = [payload["name"] for name, payload in told if name == "login" and payload["success"]]
    return [user["name"] for user in users if user["name"] not in me]


def seed(room: Room, told: list[Told]) -> None:
    """Put a room into the state that the first client found."""
    for name, payload in told:
        if name == "setPermissions":
            room.permissions.nodes = dict(payload)
        elif name == "setPlaylistLocked":
            room.permissions.locked = payload
        elif name == "emoteList":
            room.emotes.emotes = {emote["name"]: emote for emote in payload}
        elif name == "chatMsg":
            room.chat.history.append(payload)
        elif name == "setMotd":
            room.style.motd = payload
        elif name == "channelOpts":
            room.settings.values = dict(payload)
        elif name == "userlist":
            return


def normal(told: list[Told], scene: Scene) -> list[Told]:
    """What counts of what a client was told."""
    numbers: dict[Any, str] = {}

    def number(value: Any) -> Any:
        return numbers.setdefault(value, f"#{len(numbers)}") if isinstance(value, int) else value

    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: walk(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [walk(item) for item in value]
        if key in {"uid", "after", "from"} or (key == "id" and isinstance(value, int)):
            return number(value)
        if key == "id" and UUID.fullmatch(value):
            return "(an id)"
        if key in {"time", "timestamp"} and isinstance(value, (int, float)):
            return "(a time)"
        if key == "ip" and value != "*":
            return "(an address)"
        if key == "currentTime":
            return round(value)
        return value

    def one(name: str, payload: Any) -> Told:
        if name == "playlist" and scene.shuffled:
            payload = payload[:1] + sorted(payload[1:], key=lambda item: str(item["media"]["id"]))
        if name == "setCurrent":
            return name, number(payload)
        if name == "readChanLog":
            return name, payload["success"]
        return name, walk(payload)

    # The clock of what plays ticks between other events, as exactly as the recorded server was busy.
    ticks = [one(name, payload) for name, payload in told if name == "mediaUpdate"]
    return [one(name, payload) for name, payload in told if name not in {"usercount", "mediaUpdate"}] + ticks


def say(at: float, name: str, text: str) -> Other:
    """A line of a client that was not recorded."""
    return Other(at, name, "chatMsg", {"msg": text, "meta": {}})


def with_lists(site: Site, _: Room) -> None:
    """The saved playlists of the recorded account."""
    for name, count, seconds in (("cm-long", 4000, 1), ("long", 4000, 1), ("short", 4000, 1)):
        media = [Media(str(index), "", 0, "yt") for index in range(count - 1)]
        site.save_playlist("TestBot", name, [Media("x", "", seconds, "yt"), *media])


def connected(count: int, ip: str) -> Callable[[Site, Room], None]:
    """Others of the same address who came before."""

    def connect(site: Site, _: Room) -> None:
        for _index in range(count):
            site.connect(Recorder(), ip)

    return connect


def earlier_bans(site: Site, _: Room) -> None:
    """Four bans were made, and one name had been here from another address."""
    for _index in range(4):
        site.next_ban()
    site.visited("203.0.113.13", "dave")


def without_videos(site: Site, _: Room) -> None:
    """The recorded server had no key for the one site of videos; and its shuffle put the same item last."""
    site.random.seed(3)
    site.lookup.known["yt", "dQw4w9WgXcQ"] = (
        "The YouTube API now requires an API key.  Please see the documentation for youtube-v3-key in "
        "config.template.yaml"
    )


EMBED = {
    "id": '<iframe src="https://e.example.com/x"></iframe>',
    "type": "cu",
    "pos": "end",
    "title": "An embed",
    "temp": True,
}

SCENES: dict[str, Scene] = {
    "anonymous": Scene({"01-guest-join-anonymous": 0}),
    "login after joining": Scene({"02-login-registered-bot": 0}),
    "login before joining": Scene({"02b-login-before-join": 0}, prepare=with_lists),
    "wrong logins": Scene({"03-login-bad-password": 0}, secrets={"03-login-bad-password": ("wrong",)}),
    "guests": Scene(
        {"04-guest-login": 0, "04b-guest-login-throttled": 1.499, "04c-guest-name-in-use": 2.192},
        rules={"guest_delay": 60},
    ),
    "guests of one name": Scene({"04d-guest-kicked-by-same-name": 0, "04d-guest-kicked-by-same-name.second": 0.81}),
    "room password": Scene({"05-channel-password": 0}, secrets={"05-channel-password": ("wrong", "wrong")}),
    "wrong room password at the door": Scene(
        {"05b-password-in-joinChannel": 0}, secrets={"05b-password-in-joinChannel": ("wrong",)}
    ),
    "right room password at the door": Scene({"05c-right-password-in-joinChannel": 0}),
    "moderators need no room password": Scene({"05d-moderator-bypasses-password": 0}, prepare=with_lists),
    "login before the room password": Scene({"05e-login-before-password": 0}),
    "chat": Scene(
        {"06-chat": 0, "06-chat.bob": 0.862},
        (say(16.256, "alice", "/clear"), Other(17.45, "alice", "goes")),
        rules={"blacklist": ["blocked.example.net"]},
    ),
    "coming, going, ranks, mutes, a double": Scene(
        {
            "07-users-join-leave-afk-rank": 0,
            "07-users-join-leave-afk-rank.guest": 1.711,
            "07-users-join-leave-afk-rank.bob": 2.502,
            "07b-duplicate-login.second": 9.451,
        },
        (
            Other(1.28, "alice", "comes"),
            say(4.164, "alice", "/rank bob 2"),
            say(4.517, "alice", "/rank bob 1"),
            say(4.869, "alice", "/rank viewer7 2"),
            say(5.223, "alice", "/rank viewer7 1"),
            Other(5.58, "alice", "setChannelRank", {"name": "dave", "rank": 2}),
            Other(5.93, "alice", "setChannelRank", {"name": "dave", "rank": 1}),
            Other(22.42, "alice", "goes"),
        ),
    ),
    "playlist": Scene(
        {"08-playlist": 0, "08-playlist.bob": 0.858},
        (
            Other(12.928, "alice", "queue", EMBED),
            Other(34.29, "alice", "setPermissions", {"seeplaylist": 2}),
            Other(35.295, "alice", "setPermissions", {"seeplaylist": -1}),
            Other(36.253, "alice", "goes"),
        ),
        prepare=without_videos,
        shuffled=True,
    ),
    "items that end": Scene({"08b-playback-advance": 0}, (Other(32.37, "alice", "goes"),), pace=0.99),
    "temporary and lost items, a shadow mute": Scene(
        {
            "08d-settemp-badmove": 0,
            "07c-shadowmute-seen-by-anonymous": 5.522,
            "07c-shadowmute-seen-by-bob": 5.89,
        },
        (
            Other(4.74, "muteduser", "comes"),
            say(5.167, "alice", "/smute muteduser"),
            say(6.763, "muteduser", "who sees this?"),
            say(7.115, "alice", "/unmute muteduser"),
            Other(7.467, "muteduser", "goes"),
        ),
    ),
    "polls": Scene({"09-poll": 0, "09-poll.bob": 0.921}),
    "kicks and bans": Scene(
        {
            "10-kick-ban.mod": 0,
            "10-kick": 1.706,
            "10b-kick-no-reason": 3.565,
            "10f-ipban": 5.416,
            "10g-join-from-banned-ip": 7.476,
            "10h-kickanons": 12.78,
        },
        (Other(1.28, "alice", "comes"), say(15.15, "alice", "/kick TestBot bye")),
        prepare=earlier_bans,
    ),
    "a ban by name": Scene({"10c-nameban": 0}, (say(0.857, "TestBot", "/ban bob"),)),
    "a login of a banned name": Scene(
        {"10d-join-while-banned-then-login": 0}, prepare=lambda _, room: room.moderation.add_ban("bob", "", "alice")
    ),
    "a join of a banned name": Scene(
        {"10e-login-then-join-while-banned": 0}, prepare=lambda _, room: room.moderation.add_ban("bob", "", "alice")
    ),
    "speaking after a kick": Scene(
        {"10i-kicked-client-stays-on-transport": 0}, (say(0.856, "TestBot", "/kick bob stay"),)
    ),
    "a new session on the old transport": Scene(
        {"10j-kicked-client-idle-then-reconnect-namespace": 0}, (say(0.86, "TestBot", "/kick bob idle"),)
    ),
    "floods": Scene(
        {"11-flood-min-antiflood": 0, "11b-flood-channel-antiflood": 3.607},
        (
            Other(1.3, "alice", "comes"),
            Other(3.24, "alice", "setOptions", {"chat_antiflood": True}),
            Other(6.997, "alice", "setOptions", {"chat_antiflood": False}),
            Other(7.351, "alice", "setOptions", {"new_user_chat_delay": 600}),
            Other(8.054, "alice", "setOptions", {"new_user_chat_delay": 0, "new_user_chat_link_delay": 86400}),
            Other(9.109, "alice", "setOptions", {"new_user_chat_link_delay": 0}),
            Other(9.465, "alice", "goes"),
        ),
        prepare=lambda site, _: site.add_account("bob", HIDDEN, age_ms=3_600_000),
    ),
    "what administrators may not": Scene({"12-permission-admin-rank-fail": 0}),
    "what moderators may not": Scene({"12-permission-mod-limits": 0}),
    "what others may not": Scene({"12-permission-silent": 0}),
    "looks, options, filters, emotes, permissions": Scene(
        {"13-motd-css-opts-filters-emotes-perms.bot": 0, "13-motd-css-opts-filters-emotes-perms": 0.917}
    ),
    "an unregistered room": Scene(
        {"15-unregistered-channel": 0, "15-unregistered-channel.guest": 1.06},
        prepare=lambda site, room: site.rooms.pop(room.name),
    ),
    "an announcement": Scene(
        {"16b-connect-with-announcement": 0},
        prepare=lambda site, _: site.announce("Maintenance", "Server <b>restarts</b> soon", "SiteRoot"),
    ),
    "a banned room": Scene(
        {"16c-banned-channel": 0}, prepare=lambda site, room: site.ban_room(room.name, "ext reason")
    ),
    "a name that no room can have": Scene({"16d-invalid-channel-name": 0}),
    "joining twice": Scene({"16e-join-twice-and-junk": 0}),
    "connecting too often": Scene(
        {"17-conn-rate-limit-5": 0}, prepare=connected(5, "192.0.2.170"), rules={"connect_limit": True}
    ),
    "too many connections": Scene(
        {"17b-conn-count-limit": 0}, prepare=connected(10, "192.0.2.171"), rules={"most_connections": 10}
    ),
    "before a restart": Scene({"14-server-graceful-restart": 0}),
    "after a restart": Scene({"14b-after-restart": 0}),
    "away after a while": Scene({"23-auto-afk": 0}, (Other(6.436, "alice", "setOptions", {"afk_timeout": 600}),)),
    "no anonymous users": Scene({"24-block-anonymous": 0}),
    "/me costs two": Scene({"25-me-throttled-after-burst": 0}),
} | {
    f"{event} without the rank": Scene({f"12-permission-kick-{event}": 0})
    for event in (
        "assignLeader",
        "initACP",
        "readChanLog",
        "setChannelCSS",
        "setChannelJS",
        "setMotd",
        "setOptions",
        "setPermissions",
    )
}


@pytest.mark.parametrize("scene", SCENES)
def test_clients_are_told_what_the_real_server_told_them(scene: str) -> None:
    """Every client of a recorded scene hears the same events in the same order with the same payloads."""
    played = play(SCENES[scene])
    for trace, told in played.items():
        assert normal(told, SCENES[scene]) == normal(recorded(trace), SCENES[scene]), trace
