"""A real parent with real children, small ones; `tests/system` has a cell in it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.restless import supervised
from support.waiting import wait_until

from cell.supervisor import Restarts, how_it_ended, reserve
from croupier.backoff import Backoff


def test_pauses_double_in_a_crash_loop_and_have_a_bound() -> None:
    restarts = Restarts(Backoff(first=0.1, longest=1.0), settled=10.0)
    assert [restarts.after(0.5) for _ in range(8)] == [0.0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    assert restarts.after(10.0) == 0.0
    assert [restarts.after(9.9) for _ in range(2)] == [0.0, 0.1]
    for _ in range(2000):
        assert restarts.after(0.0) <= 1.0


def test_a_reserved_port_refuses_until_somebody_listens_there_again_and_again() -> None:
    address, held = reserve("127.0.0.1:0")
    assert held is not None
    with held:
        where = held.getsockname()
        assert address == f"127.0.0.1:{where[1]}"
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(where)
            with socket.create_server(where) as server, socket.create_connection(where) as client:
                server.accept()[0].close()
                assert client.recv(1) == b""


@pytest.mark.parametrize("listen", ["127.0.0.1:8600", "unix:/tmp/x:0", "[::]:1"])
def test_an_address_that_leaves_no_choice_is_kept(listen: str) -> None:
    assert reserve(listen) == (listen, None)


def test_a_child_that_is_killed_lives_again_at_the_same_address(tmp_path: Path) -> None:
    with supervised(tmp_path, "stay") as running:
        ((first, address),) = running.wait_lives(1)
        os.kill(first, signal.SIGKILL)
        (_, (second, again)) = running.wait_lives(2)
        assert again == address
        assert second != first
        running.parent.terminate()
        assert running.parent.wait(30) == 0
        assert running.said() == [
            "croupier-cell: the cell ended by SIGKILL; it starts again in 0 s",
            "croupier-cell: SIGTERM: the cell is told to stop",
            "croupier-cell: stopping: the cell ended with exit code 0",
        ]
        assert not Path(f"/proc/{second}").exists()


def test_the_next_life_has_stood_by(tmp_path: Path) -> None:
    with supervised(tmp_path, "stay") as running:
        ((first, _),) = running.wait_lives(1)
        wait_until(lambda: len(running.children()) == 2, "there is a spare")
        children = running.children()
        (spare,) = children - {first}
        os.kill(first, signal.SIGSEGV)
        assert running.wait_lives(2)[1][0] == spare


def test_a_spare_that_died_is_not_needed(tmp_path: Path) -> None:
    with supervised(tmp_path, "stay") as running:
        ((first, _),) = running.wait_lives(1)
        wait_until(lambda: len(running.children()) == 2, "there is a spare")
        children = running.children()
        for pid in children - {first}:
            os.kill(pid, signal.SIGKILL)
        os.kill(first, signal.SIGABRT)
        assert running.wait_lives(2)[1][0] not in children


def test_an_exit_code_is_passed_on_and_nothing_starts_again(tmp_path: Path) -> None:
    with supervised(tmp_path, "crash", "exit", spare_after=60.0) as running:
        assert running.parent.wait(30) == 3
        assert len(running.lives()) == 2
        assert running.said()[-1] == "croupier-cell: stopping: the cell ended with exit code 3"


def test_a_crash_loop_can_be_stopped(tmp_path: Path) -> None:
    with supervised(tmp_path, "crash", spare_after=60.0) as running:
        running.wait_lives(3)
        running.parent.send_signal(signal.SIGINT)
        assert running.parent.wait(30) in {0, 128 + signal.SIGSEGV}


def test_no_child_outlives_a_killed_parent(tmp_path: Path) -> None:
    with supervised(tmp_path, "stay") as running:
        ((first, _),) = running.wait_lives(1)
        wait_until(lambda: len(running.children()) == 2, "there is a spare")
        children = running.children()
        assert first in children
        running.parent.kill()
        running.parent.wait()
        wait_until(lambda: not any(map(_is_running, children)), "its children have ended")


def _is_running(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_how_a_process_ended_is_said_in_words() -> None:
    assert how_it_ended(0) == "with exit code 0"
    assert how_it_ended(-signal.SIGSEGV) == "by SIGSEGV"
    assert how_it_ended(-(signal.SIGRTMIN + 1)) == f"by signal {signal.SIGRTMIN + 1}"


def test_an_address_that_is_none_ends_it_at_once(tmp_path: Path) -> None:
    with supervised(tmp_path, "stay", listen="203.0.113.1:0") as running:
        assert running.parent.wait(30) == 1


def test_the_parent_imports_next_to_nothing() -> None:
    heavy = {"numpy", "grpc", "uvloop", "asyncio", "google.protobuf"}
    script = f"import sys, cell.supervisor; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.mark.parametrize("flags", [["--help"], ["--no-supervise", "--help"]])
def test_help_is_the_cells_own(flags: list[str]) -> None:
    command = [sys.executable, "-m", "cell.supervisor", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--supervise" in done.stdout
    assert "--capacity-bytes" in done.stdout
