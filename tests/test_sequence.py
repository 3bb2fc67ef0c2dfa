"""Event numbers grow, also over restarts and kills."""

from __future__ import annotations

from pathlib import Path

import pytest

from rosey_core import sequence
from rosey_core.errors import ConfigError, RoseyError
from rosey_core.sequence import Sequence


def test_grows_over_restarts(tmp_path: Path) -> None:
    """A new run begins behind everything that the last one may have used."""
    first = Sequence(tmp_path / "seq" / "cytube")
    used = [first.take() for _ in range(1000)]
    assert used == list(range(1, 1001))
    assert Sequence(tmp_path / "seq" / "cytube").take() > used[-1]


def test_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers go on over the end of a block, and the next block is on disk before it is used."""
    monkeypatch.setattr(sequence, "BLOCK", 10)
    numbers = Sequence(tmp_path / "s")
    taken = [numbers.take() for _ in range(35)]
    assert taken == list(range(1, 36))
    assert int((tmp_path / "s").read_text()) > 35


def test_a_spoilt_file(tmp_path: Path) -> None:
    """A file that holds something else, or can't be used, is an error of the configuration that says what to do."""
    for text in ("many", "", "-5", "9" * 40, "\u00e9"):
        (tmp_path / "s").write_text(text)
        with pytest.raises(ConfigError, match="should hold a number and holds something else"):
            Sequence(tmp_path / "s")
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        Sequence(tmp_path)
    (tmp_path / "t.new").mkdir()
    with pytest.raises(RoseyError, match="can't be written") as error:
        Sequence(tmp_path / "t")
    assert not isinstance(error.value, ConfigError)  # another start may find room on the disk


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a block can't be reserved the numbers go on, and the fault is there to be shown until it ends."""
    monkeypatch.setattr(sequence, "BLOCK", 2)
    monkeypatch.setattr(sequence, "RETRY", 2)
    numbers = Sequence(tmp_path / "d" / "s")
    (tmp_path / "d" / "s.new").mkdir()
    assert [numbers.take() for _ in range(5)] == [1, 2, 3, 4, 5]
    assert "can't be written" in numbers.fault
    (tmp_path / "d" / "s.new").rmdir()
    assert [numbers.take() for _ in range(5)] == [6, 7, 8, 9, 10]
    assert numbers.fault == ""
