"""Lines of nats-server's log, as its versions write them; that a broker counts them is in `test_broker`."""

from __future__ import annotations

from pathlib import Path

import pytest

from rosey_core.bus import violations
from rosey_core.bus.violations import Violations, refusals

HEAD = "[7] 2026/11/24 14:30:02.721048 [ERR] 127.0.0.1:41192 - cid:1"
NEW = f'{HEAD} - "v2.16.0:python3:x" - "ROSEY/user:dice" - Publish Violation - Subject "rosey.commands.x"\n'
REFUSED = ("dice", 'NATS refused it to publish to "rosey.commands.x"')


@pytest.mark.parametrize(
    ("line", "found"),
    (
        (NEW, [REFUSED]),
        (f'{HEAD} - Publish Violation - User "dice", Subject "rosey.commands.x"\n', [REFUSED]),
        (f'{HEAD} - "ROSEY/user:dice" - Publish Violation - Subject "rosey.commands.x"\n', [REFUSED]),
        (
            f'{HEAD} - "n" - "ROSEY/user:a-b" - Subscription Violation - Subject "x.>", Queue: "q", SID 4\n',
            [("a-b", 'NATS refused it to subscribe to "x.>"')],
        ),
        (
            f'{HEAD} - Subscription Violation - User "dice", Subject "\\"x\\\\", SID 1\n',
            [("dice", 'NATS refused it to subscribe to "\\"x\\\\"')],
        ),
        (NEW.replace("ROSEY/", "ROSEY_a-b/").replace("dice", "a-b"), [("a-b", REFUSED[1])]),
        (f'{HEAD} - Publish Violation - Subject "x"\n', []),
        ("[7] 2026/11/24 14:30:02.710072 [INF] Server is ready\n", []),
    ),
)
def test_lines(line: str, found: list[tuple[str, str]]) -> None:
    """Both forms name the user and what it was; other lines are nothing."""
    assert list(refusals(line)) == found


@pytest.mark.parametrize(
    "name",
    (
        '\\" - \\"ROSEY/user:echo\\" - Publish Violation - Subject \\"y\\"',
        'x\\n[7] a b [ERR] c - cid:1 - Publish Violation - User \\"echo\\", Subject \\"y\\"',
    ),
)
def test_nobody_speaks_for_another(name: str) -> None:
    """What a client calls itself can't put a try on another's record."""
    line = NEW.replace("v2.16.0:python3:x", f"v2.16.0:python3:{name}")
    assert list(refusals(line)) == [REFUSED]


def test_from_now_on(tmp_path: Path) -> None:
    """What stands there already is not counted, nothing is counted twice, and a new file is read from its top."""
    path = tmp_path / "log"
    assert Violations(path).look() == []
    path.write_text(NEW)
    log = Violations(path)
    assert log.look() == []
    with path.open("a") as file:
        file.write(NEW + NEW[:50])
        file.flush()
        assert log.look() == [REFUSED]
        assert log.look() == []
        file.write(NEW[50:])
    assert log.look() == [REFUSED]
    path.rename(tmp_path / "log.1")
    assert log.look() == []
    path.write_text(NEW + NEW)
    assert log.look() == [REFUSED, REFUSED]


def test_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look reads no more than so much, and the newest."""
    monkeypatch.setattr(violations, "MOST", 3 * len(NEW) + 10)
    path = tmp_path / "log"
    log = Violations(path)
    path.write_text(NEW * 100)
    assert log.look() == [REFUSED] * 3
    assert log.look() == []
