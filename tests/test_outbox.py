"""The outbox: its bounds, and that every message is sent, or in a gap that comes before what follows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rosey_core.bus.outbox import OTHERS, Gap, Outbox

ALL = (1_000, 1 << 20)


def put(box: Outbox, *numbers: int, channel: str = "a") -> None:
    """Put messages with these numbers."""
    for number in numbers:
        box.put(b"%s %d" % (channel.encode(), number), channel, number)


def test_order() -> None:
    """What waits comes out once and in order, in batches of the size asked for."""
    box = Outbox()
    put(box, 1, 2, 3, 4, 5)
    assert box.batch(2, 1_000) == [b"a 1", b"a 2"]
    assert box.batch(9, 4) == [b"a 3", b"a 4"]
    assert (len(box), box.passed, box.put_in) == (1, 4, 5)
    assert box.batch(*ALL) == [b"a 5"]
    assert box.batch(*ALL) == []
    assert box.gaps() == []


def test_too_many_wait() -> None:
    """When too many wait the oldest go, and become a gap that is certain."""
    box = Outbox(max_messages=3)
    put(box, 1, 2, 3, 4, 5)
    assert box.gaps() == [("a", Gap(2, 1, 2, certain=True))]
    assert box.batch(*ALL) == [b"a 3", b"a 4", b"a 5"]
    assert box.dropped == 2


def test_too_many_bytes_wait() -> None:
    """Bytes are bounded too, but one message may always wait."""
    box = Outbox(max_bytes=10)
    box.put(b"x" * 100, "a", 1)
    assert (len(box), box.dropped) == (1, 0)
    box.put(b"y" * 6, "b", 1)
    box.put(b"z" * 6, "b", 2)
    assert box.gaps() == [("a", Gap(1, 1, 1, certain=True)), ("b", Gap(1, 1, 1, certain=True))]
    assert box.batch(*ALL) == [b"z" * 6]


def test_confirmed_is_out_of_doubt() -> None:
    """A connection that breaks makes a gap of what was taken and not confirmed, and of nothing else."""
    box = Outbox()
    put(box, 1, 2, 3, 4)
    box.batch(2, 1_000)
    first = box.mark()
    box.batch(1, 1_000)
    doubts = [box.in_doubt]
    box.mark()
    doubts.append(box.in_doubt)
    assert doubts == [True, False]
    box.confirm(first)
    box.broken()
    assert box.gaps() == [("a", Gap(1, 3, 3, certain=False))]
    assert box.batch(*ALL) == [b"a 4"]


def test_announcement_in_doubt() -> None:
    """An announced gap comes again, whole, when the connection breaks before it is confirmed."""
    box = Outbox(max_messages=1)
    put(box, 1, 2, 3)
    assert box.gaps() == [("a", Gap(2, 1, 2, certain=True))]
    box.broken()
    assert box.gaps() == [("a", Gap(2, 1, 2, certain=True))]
    box.batch(*ALL)
    box.broken()
    assert box.gaps() == [("a", Gap(3, 1, 3, certain=False))]
    box.confirm(box.mark())
    box.broken()
    assert box.gaps() == []


def test_without_a_channel() -> None:
    """Messages without a channel or a number make no gap; their loss is counted."""
    box = Outbox(max_messages=1)
    box.put(b"one", "", 0)
    box.put(b"two", "a", 0)
    box.put(b"three", "", 0)
    assert box.dropped == 2
    box.batch(*ALL)
    box.broken()
    assert box.gaps() == []


@given(st.lists(st.sampled_from(("put", "put", "put", "take", "mark", "confirm", "arrive", "break")), max_size=80))
def test_nothing_is_lost_silently(steps: list[str]) -> None:
    """Whatever happens, each number arrived once or is in a gap, and gaps arrive before what is later.

    The network here keeps what was sent until it "arrives" as a whole, and forgets the rest when it breaks.
    """
    box = Outbox(max_messages=4)
    wire: list[int | Gap] = []
    heard: list[int | Gap] = []
    number = marked = confirmed = 0

    def send() -> None:
        wire.extend(gap for _, gap in box.gaps())
        wire.extend(int(command.split()[1]) for command in box.batch(2, 1_000))

    def arrive() -> None:
        nonlocal confirmed
        heard.extend(wire)
        wire.clear()
        confirmed = marked

    for step in steps:
        if step == "put":
            number += 1
            put(box, number)
        elif step == "take":
            send()
        elif step == "mark":
            marked = box.mark()
        elif step == "arrive":
            arrive()
        elif step == "confirm":
            box.confirm(confirmed)
        else:
            wire.clear()
            box.broken()
            confirmed = marked = box.mark()
    for _ in range(number + 1):
        send()
    arrive()

    arrived = [item for item in heard if isinstance(item, int)]
    assert arrived == sorted(set(arrived))
    gaps = [item for item in heard if isinstance(item, Gap)]
    missing = set(range(1, number + 1)) - set(arrived)
    for one in missing:
        assert any(gap.first <= one <= gap.last for gap in gaps)
        later = next((place for place, item in enumerate(heard) if isinstance(item, int) and item > one), len(heard))
        assert any(gap.first <= one <= gap.last for gap in heard[:later] if isinstance(gap, Gap))
    for gap in gaps:
        within = {one for one in missing if gap.first <= one <= gap.last}
        assert len(within) == gap.count if gap.certain else gap.count >= 1


def test_what_belongs_to_no_channel_displaces_nothing() -> None:
    """However much of it comes, it is refused before chat is lost; when some of it left, more may come."""
    box = Outbox(max_messages=20_000, max_bytes=1_000)
    put(box, 1, 2, 3)
    taken = sum(box.put(b"x", "", 0) for _ in range(10_000))
    assert taken == 501 - 3 * len(b"a 1")
    assert box.dropped == 10_000 - taken
    many = Outbox()
    assert sum(many.put(b"x", "", 0) for _ in range(10_000)) == OTHERS
    put(many, 1, 2, 3)
    many.batch(10, 1_000)
    assert [many.put(b"x", "", 0) for _ in range(11)] == [True] * 10 + [False]
    assert not box.gaps()
    assert not many.gaps()
