from collections.abc import Mapping

import pytest

from cell.memory.capacity import tightest_limit

MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000 kB\n"
MACHINE = 16_000_000 * 1024
V1 = "/sys/fs/cgroup/memory"


def limit(files: Mapping[str, str]) -> int:
    return tightest_limit({"/proc/meminfo": MEMINFO, **files}.get)[0]


def test_the_machine_when_no_group_says() -> None:
    assert limit({}) == MACHINE


def test_version_2() -> None:
    files = {"/proc/self/cgroup": "0::/app\n", "/sys/fs/cgroup/app/memory.max": "1000000\n"}
    assert limit(files) == 1_000_000


def test_a_group_above_may_be_tighter() -> None:
    files = {
        "/proc/self/cgroup": "0::/slice/app\n",
        "/sys/fs/cgroup/slice/app/memory.max": "max\n",
        "/sys/fs/cgroup/slice/memory.max": "2000000\n",
    }
    assert limit(files) == 2_000_000


def test_in_a_container_only_the_root_is_there() -> None:
    files = {"/proc/self/cgroup": "0::/host/path\n", "/sys/fs/cgroup/memory.max": "3000000\n"}
    assert limit(files) == 3_000_000


def test_version_1_among_other_controllers() -> None:
    files = {
        "/proc/self/cgroup": "12:cpu,cpuacct:/x\n5:hugetlb,memory:/app\n0::/\n",
        f"{V1}/app/memory.limit_in_bytes": "4000000\n",
        f"{V1}/memory.limit_in_bytes": "9223372036854771712\n",
    }
    assert limit(files) == 4_000_000


@pytest.mark.parametrize("text", ["max", "9223372036854771712", "", "rubbish"])
def test_no_limit_in_words(text: str) -> None:
    assert limit({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": text}) == MACHINE


def test_a_machine_that_says_nothing() -> None:
    assert tightest_limit(lambda _: None)[0] == 2**30


def test_the_group_that_limits_is_named() -> None:
    files = {
        "/proc/meminfo": MEMINFO,
        "/proc/self/cgroup": "0::/slice/app\n",
        "/sys/fs/cgroup/slice/app/memory.max": "3000000\n",
        "/sys/fs/cgroup/slice/memory.max": "2000000\n",
    }
    assert tightest_limit(files.get) == (2_000_000, "/sys/fs/cgroup/slice")
    assert tightest_limit({"/proc/meminfo": MEMINFO}.get) == (MACHINE, "")


def test_this_machine_has_memory() -> None:
    assert tightest_limit()[0] > 2**20
