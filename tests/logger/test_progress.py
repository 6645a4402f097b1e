"""What is on the disk comes back, or a logger does not begin."""

from pathlib import Path

import pytest

from croupier.errors import DataLoss
from croupier.sealed import write_sealed
from croupier.stores.spool_reader import Place, Range
from logger.progress import FILE, Batch, Progress, Totals

BATCH = Batch(3, (Range("a", 1, 64, 900, 4, 1, 2),), ("x", "y"), {"a": Place(1, 900, 9, 2)})


def test_it_comes_back(tmp_path: Path) -> None:
    made = Progress("me", 3, {"b": Place(2)}, None, Totals(1, 2, 3, 4))
    for progress in (made, made.begun(BATCH), made.begun(BATCH).done(Totals(9))):
        progress.save(tmp_path)
        assert Progress.load(tmp_path) == progress


def test_a_batch_that_is_done_moves_its_writers() -> None:
    progress = Progress("me", 3, {"b": Place(2)}).begun(BATCH).done(Totals(9))
    assert progress == Progress("me", 4, {"b": Place(2), "a": Place(1, 900, 9, 2)}, None, Totals(9))
    assert progress.without("a").places == {"b": Place(2)}


def test_each_beginning_is_called_otherwise(tmp_path: Path) -> None:
    assert Progress.load(tmp_path).logger != Progress.load(tmp_path).logger


def test_a_damaged_one_is_no_beginning(tmp_path: Path) -> None:
    Progress("me").save(tmp_path)
    data = bytearray((tmp_path / FILE).read_bytes())
    data[-1] ^= 1
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(DataLoss):
        Progress.load(tmp_path)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"batch":{},"places":{},"totals":{}}', b"x"])
def test_nor_is_one_of_something_else(body: bytes, tmp_path: Path) -> None:
    write_sealed(tmp_path / FILE, b"croupier log progress 1\n", [body])
    with pytest.raises(DataLoss, match="not what a logger writes"):
        Progress.load(tmp_path)
