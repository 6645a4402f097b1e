import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import processes
from bench.processes import Cores, Stat, Usage
from croupierctl.stack_process import Process, StackFailed

# proc(5): 52 fields; utime, stime, cutime and cstime are 7, 5, 3 and 2.
LINE = "4242 ({name}) S 17 4242 4242 0 -1 4194560 1200 0 1 0 7 5 3 2 20 0 1 0 12345 1 2 3" + " 0" * 28


@pytest.mark.parametrize("name", ["nginx", "a b", "x) S 99 (y", "((", ""])
def test_a_stat_line_whatever_the_process_is_called(name: str) -> None:
    assert Stat(pid=4242, parent=17, ticks=5) == processes.parse_stat(LINE.format(name=name))


def test_our_own_stat_line() -> None:
    stat = processes.parse_stat(Path("/proc/self/stat").read_text())
    assert (os.getpid(), os.getppid()) == (stat.pid, stat.parent)


def test_a_family_is_the_process_and_all_below_it() -> None:
    stats = [Stat(5, 9, 1), Stat(9, 1, 1), Stat(3, 5, 1), Stat(8, 1, 1), Stat(1, 0, 1)]
    assert {9, 5, 3} == {stat.pid for stat in processes.family(9, stats)}
    assert processes.family(77, stats) == []


def test_the_time_of_children_that_have_ended_counts() -> None:
    spin = "import time\nwhile time.process_time() < 0.1: pass"
    run = f"subprocess.run([sys.executable, '-c', {spin!r}])"
    code = f"import subprocess, sys; {run}; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        seconds = processes.cpu_seconds(parent.pid)
        parent.communicate(b"\n")
    # It did spin for so long, give or take a tick.
    assert seconds >= 0.08


def test_a_process_has_a_clock_finer_than_a_tick() -> None:
    before = time.process_time()
    seen = Stat(os.getpid(), os.getppid(), ticks=0).cpu_seconds
    assert before <= seen <= time.process_time()
    with subprocess.Popen(["true"]) as ended:
        pass
    assert Stat(ended.pid, os.getpid(), ticks=0).cpu_seconds == 0.0


def test_a_child_is_pinned_and_we_are_not() -> None:
    before = os.sched_getaffinity(0)
    core = max(before)
    with processes.pinned(core):
        code = "import os; print(os.sched_getaffinity(0))"
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert str({core}) == said.strip()
    assert before == os.sched_getaffinity(0)


def test_a_process_is_confined_for_a_while() -> None:
    everywhere = os.sched_getaffinity(0)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        with processes.confined(other.pid, max(everywhere)):
            assert os.sched_getaffinity(other.pid) == {max(everywhere)}
        assert os.sched_getaffinity(other.pid) == everywhere


def test_a_child_may_open_more_files_than_a_shell_lets_us() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
    try:
        with processes.many_files():
            said = subprocess.run(["sh", "-c", "ulimit -Sn"], capture_output=True, text=True, check=True)
        assert int(said.stdout) > 300
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (300, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_cores_are_ours() -> None:
    assert Cores(min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))) == processes.cores()


def test_a_process_that_ended_is_not_waited_for(tmp_path: Path) -> None:
    process = Process("false", ["false"], tmp_path / "log", processes.free_address())
    process.start()
    with pytest.raises(StackFailed, match="false did not start"):
        processes.wait_connectable(process)
    process.stop()


def test_what_others_had_is_what_neither_idled_nor_was_ours() -> None:
    before, after = Usage(at=10.0, busy=100.0, ours=5.0), Usage(at=20.0, busy=115.0, ours=17.0)
    assert after.others_share(before, cores=2) == pytest.approx(0.15)
    # Ticks are coarse: a little less than nothing is nothing.
    assert Usage(20.0, 105.0, 10.1).others_share(before, cores=2) == 0.0


def test_time_at_work_is_neither_idle_nor_waiting_for_disks() -> None:
    text = "cpu  1 2 4 1000 5000 8 16 32 9 9\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
    assert processes.parse_busy(text) * os.sysconf("SC_CLK_TCK") == pytest.approx(63)
    assert processes.usage().busy > 0


def test_parts_are_of_several_processes() -> None:
    found = processes.cpu_seconds_of({"us": [os.getpid()], "twice": [os.getpid()] * 2, "nobody": []})
    assert 0 < found["us"] < found["twice"]
    assert found["nobody"] == 0.0
