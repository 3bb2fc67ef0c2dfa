"""What a plugin may import."""

from __future__ import annotations

from rosey_core import api

PUBLIC = {
    *("Action", "Channel", "CommandCall", "Context", "Manifest", "Metadata", "NormalizedEvent", "NotReady"),
    *("Outcome", "PluginError", "Receipt", "RoseyError", "Secret", "Settings", "Store", "Unavailable", "Verdict"),
    *("actions", "command", "events", "hookimpl", "media", "mentions", "query"),
}


def test_exports() -> None:
    """The list changes only on purpose: other people's plugins stand on it."""
    assert sorted(api.__all__) == sorted(PUBLIC)
    assert all(hasattr(api, name) for name in PUBLIC)


def test_everything_is_explained() -> None:
    """Each public name has a docstring."""
    for name in PUBLIC:
        assert getattr(api, name).__doc__, name
