"""docs/workers.md is the wire contract: every message, field, subject, code and number in it is the code's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from rosey_core import envelope, events, subjects
from rosey_core.actions import ACTIONS, Action, Outcome
from rosey_core.bus.access import worker_user
from rosey_core.bus.conf import MAX_PAYLOAD
from rosey_core.cause import Cause
from rosey_core.channel.channel import ChannelSnapshot
from rosey_core.channel.facts import Facts
from rosey_core.grants import grant_to_read
from rosey_core.host import child, describe, home, judges, lane, messages, outside, remote, supervisor, unit, workers
from rosey_core.host.orders import Orders
from rosey_core.manifest import API, CommandSpec, Description
from rosey_core.storage import items

DOC = (Path(__file__).parents[1] / "docs" / "workers.md").read_text()

SHAPES: dict[str, type[msgspec.Struct]] = {
    "`worker.json`": Description,
    "A command in `worker.json`": CommandSpec,
    "Orders": Orders,
    "An answer": messages.Answer,
    "An error": messages.Error,
    "`rosey.plugins.NAME.ask.hello`": messages.Hello,
    "`rosey.plugins.NAME.control.start`": messages.Start,
    "A channel in `start`": messages.Room,
    "`rosey.plugins.NAME.control.ping`": messages.Control,
    "`rosey.plugins.NAME.control.forget`": messages.Person,
    "The result of a ping": home.Counts,
    "`rosey.plugins.NAME.hook.CHANNEL.events`": messages.Events,
    "An event": envelope.NormalizedEvent,
    "`metadata` of an event": envelope.Metadata,
    "A snapshot": ChannelSnapshot,
    "`rosey.plugins.NAME.hook.CHANNEL.command`": messages.Commanded,
    "`rosey.plugins.NAME.hook.CHANNEL.query`": messages.Asked,
    "`rosey.plugins.NAME.hook.CHANNEL.judge`": messages.Judged,
    "A verdict": envelope.Verdict,
    "What a durable plugin adds to an action": messages.Caused,
    "`cause` of an action": Cause,
    "The result of an action": Outcome,
    "`rosey.plugins.NAME.ask.query`": messages.Query,
    "`rosey.plugins.NAME.ask.store`": items.Operation,
    "`rosey.plugins.NAME.ask.parked`": messages.Parked,
}
NESTED = (*("User", "Media", "Item", "Emote", "Filter"), *("SavedPlaylist", "Ban", "ChannelRank"))


def sections() -> dict[str, str]:
    """The text below each heading of the third rank."""
    return {part.partition("\n")[0]: part for part in re.split(r"^#{2,3} ", DOC, flags=re.MULTILINE)[1:]}


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without the heads and the lines below them."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {index + step for index, line in enumerate(lines) for step in (-1, 0) if line.startswith("|---")}
    return [[cell.strip() for cell in line.strip("|").split("|")] for i, line in enumerate(lines) if i not in heads]


def fields(kind: type[msgspec.Struct]) -> str:
    """The fields of a Struct as the tables show them."""
    shown = []
    for field in msgspec.structs.fields(kind):
        note = next(
            c.__annotations__[field.name] for c in kind.__mro__ if field.name in vars(c).get("__annotations__", {})
        )
        made = field.default_factory is not msgspec.NODEFAULT
        default = field.default_factory() if made else field.default
        shown.append(f"{field.name}: {note}" + ("" if field.required else f" = {default!r}"))
    return f"`{', '.join(shown)}`".replace("|", "or").replace("'", '"') if shown else ""


def table(kinds: Mapping[str, type[msgspec.Struct]]) -> list[str]:
    """The rows of one of the tables at the end."""
    found = []
    for name, kind in kinds.items():
        needed = kind.grant if issubclass(kind, Action) else grant_to_read(name) if "." in name else ""
        grant = f" `{needed}` |" if needed else " |" if "." in name else ""
        summary = (kind.__doc__ or "").partition("\n")[0]
        found.append(f"| `{name}` |{grant} {fields(kind)} | {summary} |".replace("  ", " "))
    return found


@pytest.mark.parametrize("heading", SHAPES)
def test_fields(heading: str) -> None:
    """A table has the fields of its message, all of them and no other."""
    text = sections()[heading].partition("\n| code |")[0]
    told = [name for row in rows(text) for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(told) == sorted(SHAPES[heading].__struct_fields__)


def test_every_message_has_its_section() -> None:
    """Nothing that is said is untold."""
    said = {
        kind for kind in vars(messages).values() if isinstance(kind, type) and kind.__module__ == messages.__name__
    }
    assert said <= set(SHAPES.values())
    told = {heading.strip("`").removeprefix("rosey.plugins.NAME.") for heading in SHAPES if "NAME" in heading}
    hears = {(way.split(".")[0], way.split(".")[-1]) for way in told if way.startswith(("hook", "control"))}
    ways = remote.Remote("x", "", None, None, None, None)._ways.keys()  # type: ignore[arg-type]  # it only looks
    assert hears | {("control", "stop"), ("control", "tidy"), ("control", "export")} == ways | {("hook", "events")}
    code = Path(workers.__file__).read_text()
    assert {f"ask.{what}" for what in re.findall(r'case "(\w+)":', code)} == {w for w in told if w[:4] == "ask."}


def test_subjects() -> None:
    """What the user may do is what the broker lets it; every other subject is one that the code builds."""
    told = {(way, subject.strip("`")) for way, subject in rows(sections()["The connection"])}
    user = worker_user("NAME", "")
    assert told == {("publish", one) for one in user.publish} | {("subscribe", one) for one in user.subscribe}
    allowed = [
        one.replace(".", r"\.").replace("*", r"[^.]+").replace(">", ".+") for one in user.publish + user.subscribe
    ]
    allowed += [
        re.escape(one) for one in (*subjects.plugin_query("NAME", "EVENT"), subjects.worker("NAME", "reply."))
    ]
    for subject in re.findall(r"rosey\.(?:plugins|events)\.[\w.>*]+", DOC):
        assert re.fullmatch("|".join(allowed), subject), subject


def test_what_the_store_does() -> None:
    """Every operation is named."""
    (row,) = [row for row in rows(sections()["`rosey.plugins.NAME.ask.store`"]) if row[0] == "`do`"]
    kind = msgspec.inspect.type_info(items.Operation).fields[0].type  # type: ignore[attr-defined]  # a Struct's
    assert sorted(re.findall(r"`(\w+)`", row[2])) == sorted(kind.values)


def test_codes() -> None:
    """Every code of an error is one that the other side knows."""
    told = {code for row in rows(sections()["An error"]) for code in re.findall(r"`(\w+)`", row[0])}
    states = set(msgspec.inspect.type_info(Outcome).fields[0].type.values)  # type: ignore[attr-defined]  # a Literal
    assert told - set(messages.Error.__struct_fields__) == {
        "failed",
        "unavailable",
        "not_ready",
        "taken",
    } | states - {"done"}


def test_the_facts_of_a_snapshot() -> None:
    """All of them are named."""
    (row,) = [row for row in rows(sections()["A snapshot"]) if row[0] == "`facts`"]
    assert tuple(re.findall(r"`(\w+)`", row[2])) == Facts.__struct_fields__


def test_orders_have_a_login() -> None:
    """Its fields are named beside it."""
    (row,) = [row for row in rows(sections()["Orders"]) if row[0] == "`login`"]
    kind = msgspec.structs.fields(Orders)[2].type
    assert tuple(re.findall(r"`(\w+)`", row[2])) == kind.__struct_fields__


def test_times_and_numbers() -> None:
    """Each number is the code's."""
    assert [row[1] for row in rows(sections()["Time"])] == [
        f"{home.START_SECONDS:g}",
        f"{home.START_SECONDS + outside.WAY:g}",
        f"{supervisor.PING:g}",
        f"{supervisor.SILENT:g}",
        f"{outside.AGAIN:g}",
        f"{home.COMMAND_SECONDS + outside.WAY:g}",
        f"{home.QUERY_SECONDS + outside.WAY:g}",
        f"{judges.SECONDS:g}",
        f"what `stop` says, and {supervisor.END_SECONDS:g} more until SIGKILL",
    ]
    first, longest = supervisor.BACK_OFF
    for sentence in (
        f"A judge that was late is not asked for {judges.PAUSE:g} s",
        f"late {judges.STRIKES} times in a row is not asked for {judges.REST:g} s",
        f"under way at once, from the worker: {workers.AT_ONCE}.",
        f"A message: {MAX_PAYLOAD >> 20} MiB",
        f"the next 1 to {lane.LIST} events",
        f"up to {lane.LIMIT:,} events",
        f"Every {supervisor.PING:g} s comes a `ping`",
        f"after {first:g} s and then up to {longest:g} s. After {supervisor.TRIES} starts in vain",
        f"ended {outside.DEATHS} times at the same list",
        f"All judges together have {judges.SECONDS:g} s",
        f"the number of this interface: {API}",
        f"1 to {items.KEY} bytes, without NUL",
        f"how many keys at most, up to {items.LIST} |",
        f"at most {items.VALUE:,} bytes as JSON, and all of a plugin's {items.MOST >> 20} MiB",
        f"each counts {items.EACH} bytes beside",
        f"it answers within {items.SECONDS:g} s",
        f"Of one plugin, {items.AT_ONCE} requests are served at a time",
        f"When {unit.PATIENCE:g} s went by without a ping",
        f"does not answer a ping within {outside.ANSWERS:g} s, holds nobody up",
    ):
        assert sentence in " ".join(DOC.split()), sentence
    assert child.spawn.__doc__ is not None
    assert "comes behind it" in child.spawn.__doc__


def test_the_example(tmp_path: Path) -> None:
    """The description in it is one."""
    path = tmp_path / "worker.json"
    path.write_text(re.findall(r"```json\n(.*?)```", DOC, re.DOTALL)[0])
    assert describe.read("tally", str(path)).queries == ("count",)


@pytest.mark.parametrize(
    ("heading", "expected"),
    (
        ("Actions", table(ACTIONS)),
        ("Events", table(events.EVENT_TYPES | {"raw.NAME": events.Raw})),
        ("Shapes inside", table({name: getattr(events, name) for name in NESTED})),
    ),
)
def test_tables(heading: str, expected: list[str]) -> None:
    """Each action, event and shape has its row, with its fields as they are."""
    told = [line for line in sections()[heading].splitlines() if line.startswith("| `")]
    assert told == expected
