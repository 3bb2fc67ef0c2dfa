"""Addresses and aliases are found in what the server writes, and times of day are not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core.cytube.addresses import json_without_addresses, log_without_addresses, without_addresses

IPV4 = st.ip_addresses(v=4).map(str)
IPV6 = st.ip_addresses(v=6).map(str).filter(lambda address: address != "::")
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
CLOAKED4 = st.lists(st.text(BASE64, min_size=3, max_size=3), min_size=4, max_size=4).map(".".join)
CLOAKED6 = st.lists(st.text(BASE64, min_size=4, max_size=4), min_size=4, max_size=4).map(":".join)


@pytest.mark.parametrize(
    "address",
    (
        "192.0.2.77",
        "LVe.xZQ.D0l.Iog",
        "RJa.ULb./0A.o/L",
        "+Av.3jm.ueO.J1v",
        "LVe.xZQ.D0l.*",
        "LVe.xZQ.*.*",
        "192.0.x+Q.D0l",
        "2001:db8::1",
        "::1",
        "::ffff:192.0.2.77",
        "2001:db8:0:1:2:3:4:5",
        "AbC+:dEf/:0123:xyz9",
        "abcd:ef01:2345:6789",
        "2001:db8:Ab+/:xYz0",
        "AbCd:EfGh:IjKl:*",
    ),
)
@pytest.mark.parametrize("around", ("{}", "from {} (dave)", "[{}]", "banned {}, and", "{}.", "http://{}/x", "ip={}"))
def test_every_form_is_found(address: str, around: str) -> None:
    """Real, cloaked, and ranges of both, wherever they stand in a sentence."""
    assert without_addresses(around.format(address)) == around.format("[address]")


@given(IPV4 | IPV6 | CLOAKED4 | CLOAKED6)
def test_any_address_is_found(address: str) -> None:
    """Every address of every kind goes."""
    assert address not in without_addresses(f"[login] Accepted connection from {address}")
    assert "[address]" in without_addresses(f"{address} (bob) disconnected.")


@pytest.mark.parametrize(
    "text",
    (
        "[Mon Nov 23 2026 22:40:13] [init] Loaded channel from database",
        "22:40:13 and 2026-11-23T22:40:13.000Z",
        "version 3.86.0, std::vector, a :: b, 1:2",
        "carol set NoSuchUserAtAll's rank to 2",
        "bob was kicked: blacklisted domain in chat message",
    ),
)
def test_other_text_stays(text: str) -> None:
    """Times, versions and sentences are no addresses."""
    assert without_addresses(text) == text


@pytest.mark.parametrize(
    ("told", "kept"),
    (
        ("bob joined (aliases: bob,robert)", "bob joined"),
        ("bob joined &#40;aliases: bob,robert&#41;", "bob joined"),
        ("guest_one logged in (guest) (aliases: )\nnext", "guest_one logged in (guest)\nnext"),
        ("bob joined (aliases: bob,rob", "bob joined"),
    ),
)
def test_aliases_are_cut_out(told: str, kept: str) -> None:
    """A list of aliases goes whole, with the blank before it."""
    assert without_addresses(told) == kept


def test_broken_first_line_of_the_log_goes() -> None:
    """The log begins anywhere, so half an address or list of aliases may stand at its head."""
    rest = "[Mon Nov 23 2026 22:40:13] [login] LVe.xZQ.D0l.Ni2 (bob) disconnected."
    kept = "[Mon Nov 23 2026 22:40:13] [login] [address] (bob) disconnected."
    assert log_without_addresses(f"xZQ.D0l.Ni2 logged in as bob (aliases: a,b)\n{rest}") == kept
    assert log_without_addresses(rest) == kept
    assert log_without_addresses("ob,robert)") == ""


def test_json_loses_secret_fields() -> None:
    """In JSON of unknown shape, fields named like a secret go, and texts are searched."""
    told = {
        "name": "bob",
        "meta": {"ip": "192.0.2.1", "aliases": ["b"], "afk": False},
        "log": ["from 192.0.2.1", 3, None],
        "Password": "x",
        "192.0.2.1": 1,
    }
    assert json_without_addresses(told) == {
        "name": "bob",
        "meta": {"afk": False},
        "log": ["from [address]", 3, None],
        "[address]": 1,
    }


def test_deep_json_ends() -> None:
    """Nesting deeper than 32 levels is cut off, so that every reader can take it."""
    deep: list[object] = []
    for _ in range(500):
        deep = [deep]
    kept = json_without_addresses(deep)
    depth = 0
    while isinstance(kept, list):
        depth += 1
        kept = kept[0]
    assert depth == 32
    assert kept is None


def test_long_texts_take_no_long_time() -> None:
    """100 KiB that look like the beginning of addresses are searched in moments."""
    start = time.monotonic()
    for head in ("a" * 100_000, "1." * 50_000, "ab:" * 33_000, ":" * 100_000, "abc." * 25_000, "(aliases:" * 11_000):
        without_addresses(head)
    assert time.monotonic() - start < 20
