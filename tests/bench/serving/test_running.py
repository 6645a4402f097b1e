import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import processes
from bench.serving import running
from bench.serving.aio import Aio
from bench.serving.models import Models
from bench.serving.running import Bounds, Stopped
from croupierctl.stack_process import Process

BOUNDS = Bounds(4_096.0, 60.0)
CORE = processes.cores().proxy


class Started(Aio):
    """A peer that is whatever command it is given."""

    start_seconds = 1.0

    def __init__(self, *command: str) -> None:
        super().__init__("started", "lightgbm", "")
        self._command = command

    def argv(self, models: Models, home: Path, port: int, count: int) -> Sequence[str]:
        return self._command


def start(peer: Aio, folder: Path, bounds: Bounds = BOUNDS) -> None:
    with running.started(peer, Models(folder / "models"), 1, folder, CORE, bounds):
        pass


def test_a_server_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(Stopped, match="ended at the start: no such thing"):
        start(Started("sh", "-c", "echo no such thing; exit 1"), tmp_path)


def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(Stopped, match="was not ready after 1 s"):
        start(Started("sleep", "1000"), tmp_path)


def test_a_server_that_takes_more_than_it_may_is_stopped(tmp_path: Path) -> None:
    greedy = Started(sys.executable, "-c", "import time; much = b'x' * 100_000_000; time.sleep(1000)")
    greedy.start_seconds = 60.0
    with pytest.raises(Stopped, match="has more than 50 MiB"):
        start(greedy, tmp_path, Bounds(50.0, 60.0))


def test_nothing_is_left_of_a_servers_family(tmp_path: Path) -> None:
    process = Process("family", ["sh", "-c", "sleep 1000 & echo it on here ready; wait"], tmp_path / "log")
    process.start()
    process.wait_ready()
    family = [stat.pid for stat in processes.family(process.pid, processes.stats())]
    assert [running.is_alive(pid) for pid in family] == [True, True]
    running.end(process)
    assert [pid for pid in family if running.is_alive(pid)] == []


def test_memory_is_read_as_the_kernel_tells_it() -> None:
    assert running.parse_pss("Rss:  900 kB\nPss:  512 kB\nPss_Anon: 3 kB\n") == 512
    assert running.parse_pss("") == 0
    assert running.available_mib("MemTotal: 9 kB\nMemAvailable:  2048 kB\n") == 2.0
    assert running.pss_mib(os.getpid()) > 10
