"""What the daemon and a worker say to each other: JSON on the worker's own NATS subjects.

`docs/workers.md` tells the same to those who write a worker with any NATS client. Unknown fields are ignored, so
either side may be newer. Every request of the daemon's carries the worker's session, a text that it chose at its
start: what is meant for an earlier life of it is not answered.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from rosey_core.cause import Cause
from rosey_core.channel.channel import ChannelSnapshot
from rosey_core.envelope import NormalizedEvent, Verdict, decode
from rosey_core.errors import NotReady, PluginError, Taken, Unavailable
from rosey_core.host.commands import CommandCall
from rosey_core.host.home import Counts, Failure


class Hello(msgspec.Struct):
    """`ask.hello`, worker to daemon: it listens."""

    session: str
    api: int
    pid: int = 0


class Room(msgspec.Struct):
    """A channel as a worker is told of it.

    `settings` are the plugin's there. Whoever was granted `channel.state` gets its state behind the event `seen`.
    """

    prefix: str
    settings: dict[str, Any] = {}
    snapshot: ChannelSnapshot | None = None
    seen: int = 0


class Start(msgspec.Struct):
    """`control.start`: make the plugin and call `start`. The answer may be `not_ready`, with `retry` in seconds."""

    session: str
    channels: dict[str, Room]
    settings: dict[str, Any] = {}
    grants: tuple[str, ...] = ()


class Control(msgspec.Struct):
    """`control.stop` (call `stop`, then end), `control.tidy` (end what a start in vain left), `control.ping`.

    The answer to a ping is the plugin's `Counts`, or null.
    """

    session: str
    seconds: float = 0.0


class Person(msgspec.Struct):
    """`control.forget` and `control.export`: delete what is kept about a user, or tell it.

    The answer to `export` is a list, with an entry for each instance of the plugin.
    """

    session: str
    user: str


class Events(msgspec.Struct):
    """`hook.CHANNEL.events`: the next 1 to 256 events. The answer means that they were handled.

    `number` grows with each list of a channel in a session; one that comes again with the same number was handled or
    is under way, and is only answered. A durable plugin that fails at one of the events answers with an error, and
    gets the rest again in other lists; `not_ready` says that it is not the event's fault.

    With a `snapshot` comes the channel's state behind the event `seen`, since events were dropped: whoever keeps a
    copy takes it, and applies the events after that one.
    """

    session: str
    number: int
    events: list[msgspec.Raw]
    snapshot: ChannelSnapshot | None = None
    seen: int = 0


class Asked(msgspec.Struct):
    """`hook.CHANNEL.query`: a query of the plugin."""

    session: str
    name: str
    args: dict[str, Any] = {}


class Judged(msgspec.Struct):
    """`hook.CHANNEL.judge`: the chat lines that wait, at least one.

    The answer is a list with one for each, in order: a verdict, null for no opinion, or why it failed there, as text.
    """

    session: str
    events: list[msgspec.Raw]


class Commanded(msgspec.Struct):
    """`hook.CHANNEL.command`: somebody typed a command of the plugin. The answer is the reply as text, or null."""

    session: str
    user: str
    rank: float
    name: str
    args: tuple[str, ...]
    rest: str
    event: msgspec.Raw

    def call(self, channel: str) -> CommandCall:
        """As the plugin gets it."""
        return CommandCall(self.user, self.rank, self.name, self.args, self.rest, channel, decode(self.event))


class Caused(msgspec.Struct):
    """What a durable plugin adds to the JSON of an action (`do.CHANNEL.ACTION`): which event it answers."""

    cause: Cause | None = None


class Parked(msgspec.Struct):
    """`ask.parked`, worker to daemon: the plugin must not go on, and why."""

    session: str
    reason: str


class Query(msgspec.Struct):
    """`ask.query`, worker to daemon: a query of another plugin."""

    plugin: str
    name: str
    channel: str
    args: dict[str, Any] = {}


class Error(msgspec.Struct, frozen=True):
    """Why not.

    `retry` (seconds) only for `not_ready`. `handled`, only of a list for a durable plugin, is how many of its events
    were handled before the one that failed.
    """

    code: str
    message: str
    retry: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    handled: Annotated[int, msgspec.Meta(ge=0)] = 0


class Answer(msgspec.Struct):
    """The answer to every request."""

    ok: bool
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Error = Error("bug", "no reason given")


encode = msgspec.json.Encoder().encode
_answer = msgspec.json.Decoder(Answer)
_counts = msgspec.json.Decoder(Counts | None)
verdicts_of = msgspec.json.Decoder(list[Verdict | str | None]).decode


def good(result: Any = None) -> bytes:
    """An answer that is a result. Raises TypeError for what JSON can't say."""
    return encode({"ok": True, "result": result})


def bad(error: Exception) -> bytes:
    """An answer that is an exception of a plugin's."""
    code = {NotReady: "not_ready", Unavailable: "unavailable", Taken: "taken"}.get(type(error), "failed")
    more = {"retry": error.retry} if isinstance(error, NotReady) else {}
    return encode({"ok": False, "error": {"code": code, "message": str(error), **more}})


def failed(failure: Failure) -> bytes:
    """An answer to a list that a durable plugin failed at."""
    code, more = ("not_ready", {"retry": failure.retry}) if failure.retry else ("failed", {})
    error = {"code": code, "message": failure.reason, "handled": failure.handled, **more}
    return encode({"ok": False, "error": error})


def failure_of(payload: bytes, events: int) -> Failure | None:
    """What the answer to a list of so many events says. Raises `Unavailable` for no answer."""
    if not payload:
        raise Unavailable("nobody listens there")
    try:
        answer = _answer.decode(payload)
    except msgspec.MsgspecError as error:
        return Failure(0, f"the answer is none: {error}")
    if answer.ok:
        return None
    why = answer.error
    if why.code == "unavailable":
        raise Unavailable(why.message)
    return Failure(min(why.handled, max(0, events - 1)), why.message, why.retry if why.code == "not_ready" else 0.0)


def result_of(payload: bytes) -> Any:
    """The result in an answer.

    Raises:
        NotReady, Unavailable, Taken, PluginError: what the other side said instead, or that it said nothing we can
            read.
    """
    return msgspec.json.decode(raw_result_of(payload))


def counts_of(payload: bytes) -> Counts:
    """The counts in the answer to a ping; a worker need not count. Raises as `result_of`."""
    try:
        return _counts.decode(raw_result_of(payload)) or Counts()
    except msgspec.MsgspecError as error:
        raise PluginError(f"these are no counts: {error}") from None


def raw_result_of(payload: bytes) -> msgspec.Raw:
    """The result in an answer, not decoded. Raises as `result_of`."""
    if not payload:
        raise Unavailable("nobody listens there")
    try:
        answer = _answer.decode(payload)
    except msgspec.MsgspecError as error:
        raise PluginError(f"the answer is none: {error}") from None
    if answer.ok:
        return answer.result
    why = answer.error
    if why.code == "not_ready":
        raise NotReady(why.message, retry=why.retry)
    raise {"unavailable": Unavailable, "taken": Taken}.get(why.code, PluginError)(why.message)


def events_of(message: Events | Judged) -> list[NormalizedEvent]:
    """The events of a list, typed."""
    return [decode(event) for event in message.events]
