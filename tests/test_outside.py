"""The daemon's end of a worker: what counts as a life of it."""

from __future__ import annotations

from rosey_core.host.messages import Hello
from rosey_core.host.outside import Outside
from rosey_core.manifest import Description


async def _nobody(*_: object, **__: object) -> bytes:
    return b""


async def test_a_hello_that_comes_twice() -> None:
    """Its answer may be lost, so it is said again: the life that it began goes on. Another one begins another."""
    home = Outside(Description("x", "", 1), frozenset(), {}, {}, _nobody)
    home.hello(Hello("first", 1))
    session = home.session
    assert session is not None
    home.hello(Hello("first", 1))
    assert home.session is session
    assert not session.ended.is_set()
    home.hello(Hello("second", 1))
    assert session.ended.is_set()
    assert home.session is not session
