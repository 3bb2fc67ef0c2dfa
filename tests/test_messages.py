"""What the daemon makes of a worker's answers, whoever wrote the worker."""

from __future__ import annotations

import pytest

from rosey_core.errors import NotReady, PluginError, Unavailable
from rosey_core.host import messages
from rosey_core.host.home import Counts, Failure
from rosey_core.host.messages import counts_of, result_of


@pytest.mark.parametrize("answer", (b'{"ok": true}', b'{"ok": true, "result": null}', b'{"ok": true, "result": {}}'))
def test_a_worker_need_not_count(answer: bytes) -> None:
    """Any good answer to a ping is one."""
    assert counts_of(answer) == Counts()


def test_counts() -> None:
    """What it counted is what the status shows; what it counts beside is its own."""
    assert counts_of(b'{"ok": true, "result": {"calls": 3, "dreams": 4}}') == Counts(calls=3)


@pytest.mark.parametrize("answer", (b'{"ok": true, "result": {"calls": "many"}}', b'{"ok": true, "result": 1}', b"x"))
def test_counts_that_are_none(answer: bytes) -> None:
    """They are the plugin's fault, and nobody else's."""
    with pytest.raises(PluginError):
        counts_of(answer)


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    (
        (b"", Unavailable, "nobody listens there"),
        (b"[]", PluginError, "the answer is none: "),
        (b'{"ok": false}', PluginError, "no reason given"),
        (b'{"ok": false, "error": {"code": "new", "message": "so"}}', PluginError, "so"),
        (b'{"ok": false, "error": {"code": "unavailable", "message": "later"}}', Unavailable, "later"),
        (b'{"ok": false, "error": {"code": "not_ready", "message": "no disk", "retry": 5}}', NotReady, "no disk"),
    ),
)
def test_answers_that_are_no_results(answer: bytes, error: type[Exception], text: str) -> None:
    """Each is the exception that the plugin would have raised inside."""
    with pytest.raises(error, match=text) as caught:
        result_of(answer)
    assert type(caught.value) is error


def test_a_retry_that_is_none() -> None:
    """A worker that wants to be tried again after no time at all is at fault."""
    with pytest.raises(PluginError):
        result_of(b'{"ok": false, "error": {"code": "not_ready", "message": "now", "retry": 0}}')


def test_the_answer_of_a_durable_worker() -> None:
    """How far it came is never the whole list: one failed, whatever a foreign worker says."""
    told = messages.failed(Failure(2, "no", retry=3.0))
    assert messages.failure_of(told, 5) == Failure(2, "no", 3.0)
    assert messages.failure_of(messages.failed(Failure(5, "no")), 5) == Failure(4, "no")
    assert messages.failure_of(messages.good(), 5) is None
    assert messages.failure_of(b"nonsense", 5) is not None
    with pytest.raises(Unavailable):
        messages.failure_of(b"", 5)
