"""What nobody can read is kept, within a bound."""

from pathlib import Path

from logger.aside import Aside


def test_records_are_kept_behind_their_lengths(tmp_path: Path) -> None:
    Aside(tmp_path / "a", 100).keep("1", [b"abc", b""])
    assert (tmp_path / "a" / "1").read_bytes() == b"\x03\0\0\0abc\0\0\0\0"


def test_the_same_batch_is_the_same_file(tmp_path: Path) -> None:
    aside = Aside(tmp_path, 10)
    for _ in range(3):
        aside.keep("1", [b"abcdef"])
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_there_is_no_more_than_the_bound(tmp_path: Path) -> None:
    aside = Aside(tmp_path, 30)
    for name in "123456":
        aside.keep(name, [b"abcdef", b"ghijkl"])
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 30
