"""Finding everything that does not fit a Struct."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from rosey_core.config import ChannelConfig, NatsConfig
from rosey_core.settings.mismatch import mismatches

ANY = st.one_of(
    st.text(max_size=3),
    st.integers(),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["embedded", "external", {"env": "X"}, {}, {"x": 1}, [], ["a"], [1]]),
)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from([*ChannelConfig.__struct_fields__, "other"]), ANY, max_size=4),
    st.dictionaries(st.sampled_from([*NatsConfig.__struct_fields__, "other"]), ANY, max_size=3),
)
def test_every_mismatch_is_found(channel: dict[str, object], nats: dict[str, object]) -> None:
    """Tables that msgspec refuses have at least one problem, tables that it takes have none."""
    for table, kind in ((channel, ChannelConfig), (nats, NatsConfig)):
        problems = list(mismatches(table, kind))
        try:
            msgspec.convert(table, kind)
        except msgspec.ValidationError:
            assert problems
        else:
            assert not problems
