import os
from pathlib import Path

from bench.shards import quota


def test_without_groups_that_can_be_made_nothing_is_held(tmp_path: Path) -> None:
    with quota.held({"me": os.getpid()}, 0.5, root=tmp_path / "missing") as is_held:
        assert not is_held


def test_who_goes_first_is_in_a_group_of_much_weight_until_the_end(tmp_path: Path) -> None:
    group = tmp_path / "group"
    for groups in (quota.preferred, quota.going_first):
        with groups({"me": os.getpid()}, root=tmp_path / "missing") as is_first:
            assert not is_first
    group.mkdir()
    assert quota._weight(group, 8) == {"cpu.weight": "800"}
    (group / "cpu.shares").touch()
    assert quota._weight(group, 8) == {"cpu.shares": "8192"}


def test_the_words_of_either_version(tmp_path: Path) -> None:
    assert quota._bandwidth(tmp_path, 0.05) == {"cpu.max": "1000 20000"}
    (tmp_path / "cpu.cfs_quota_us").touch()
    assert quota._bandwidth(tmp_path, 0.05) == {"cpu.cfs_period_us": "20000", "cpu.cfs_quota_us": "1000"}
