"""Taking secrets and control characters out of texts."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from rosey_core.redact import Redaction, visible, visible_in_json


def test_what_is_no_secret() -> None:
    """Short texts are not taken for secrets; one of several lines is known by each long line; a URL's form too."""
    redact = Redaction()
    assert redact("nothing known") == "nothing known"
    redact.add("abc")
    redact.add("")
    assert redact("abcabc") == "abcabc"
    redact.add("first-long-line\nab\nsecond-long-line\n")
    assert redact("x first-long-line, ab, second-long-line") == "x [secret], ab, [secret]"
    redact.add("p@ss word/1")
    assert redact("http://me:p%40ss%20word%2F1@x") == "http://me:[secret]@x"
    redact.add("p@ss word/1 and more")
    assert redact("p@ss word/1 and more") == "[secret]"


@given(st.text())
def test_visible(text: str) -> None:
    """No character that a terminal obeys is left; layout only where it is asked for; JSON stays the same JSON."""
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", visible(text))
    assert visible(text, layout=True).count("\n") == text.count("\n")
    line = visible_in_json(json.dumps(text, ensure_ascii=False))
    assert json.loads(line) == text
    assert not re.search("[\x7f-\x9f\u200b-\u200f\u202a-\u202e]", line)
