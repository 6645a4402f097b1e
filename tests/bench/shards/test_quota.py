import os
from pathlib import Path

from bench.shards import quota


def test_without_groups_that_can_be_made_nothing_is_held(tmp_path: Path) -> None:
    with quota.held({"me": os.getpid()}, 0.5, root=tmp_path / "missing") as is_held:
        assert not is_held


def test_the_words_of_either_version(tmp_path: Path) -> None:
    assert quota._bandwidth(tmp_path, 0.05) == {"cpu.max": "1000 20000"}
    (tmp_path / "cpu.cfs_quota_us").touch()
    assert quota._bandwidth(tmp_path, 0.05) == {"cpu.cfs_period_us": "20000", "cpu.cfs_quota_us": "1000"}
