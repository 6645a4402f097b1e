"""One process of a stack, from its start to its end: real ones, by the shell."""

import os
import signal
import socket
from pathlib import Path

import pytest

from croupierctl.stack_process import Process, StackFailed, free_port, wait_connectable

READY = "echo starting; echo croupier-cell on 127.0.0.1:7 ready"


def test_one_that_was_not_started_is_none(tmp_path):
    process = Process("cell-1", ["true"], tmp_path / "log")
    assert (process.is_running, process.pid, process.exit_code, process.stop()) == (False, 0, 0, 0)
    process.kill()


def test_its_address_is_what_it_says_when_it_is_ready(shell):
    process = shell(f"{READY}; exec sleep 60")
    process.wait_ready()
    assert process.address == "127.0.0.1:7"
    assert process.is_running
    assert process.pid == process.child.pid


@pytest.mark.parametrize(
    "said", ["echo on 127.0.0.1:7 ready soon", "echo 127.0.0.1:7 ready", "printf ' on  ready'"]
)
def test_other_words_are_no_address(shell, said):
    with pytest.raises(StackFailed):
        shell(said).wait_ready()


def test_one_that_ends_instead_is_told_with_the_end_of_its_log(shell, tmp_path):
    process = shell("seq 9; echo what went wrong >&2; exit 3")
    with pytest.raises(StackFailed) as failed:
        process.wait_ready()
    log = tmp_path / "cell-1.log"
    assert failed.value.message == f"cell-1 did not start; its log is {log}:\n6\n7\n8\n9\nwhat went wrong"
    assert process.exit_code == 3


def test_one_that_says_nothing_is_given_up(shell):
    process = shell()
    with pytest.raises(StackFailed, match="cell-1 did not start"):
        process.wait_ready(timeout=0)
    assert process.is_running


def test_it_starts_again_with_a_log_of_its_own(shell):
    process = shell("echo first")
    process.child.wait()
    process.argv = ["sh", "-c", READY]
    process.start()
    process.wait_ready()
    process.child.wait()
    assert process.last_lines() == "starting\ncroupier-cell on 127.0.0.1:7 ready"


def test_its_end_is_its_exit_code_or_the_signals_number(shell):
    polite = shell(f"trap 'exit 5' TERM; {READY}; while :; do sleep 0.01; done")
    polite.wait_ready()
    assert polite.stop() == 5
    killed = shell()
    killed.kill()
    assert killed.exit_code == -signal.SIGKILL
    assert not killed.is_running
    # Nobody is there any more to hear it, and nobody else hears it.
    killed.signal(signal.SIGTERM)
    assert killed.stop() == -signal.SIGKILL


def test_one_that_does_not_end_when_told_is_killed(shell):
    stubborn = shell(f"trap '' TERM; {READY}; while :; do sleep 1; done")
    stubborn.wait_ready()
    assert stubborn.stop(timeout=0.01) == -signal.SIGKILL


def test_an_interrupt_of_the_terminal_does_not_reach_it(shell):
    process = shell()
    assert os.getpgid(process.pid) == process.pid


def test_who_shares_its_session_can_give_way_to_it(shell):
    process = shell()
    assert os.getsid(process.pid) == os.getsid(0)


def test_a_server_that_says_nothing_is_ready_once_it_can_be_reached(shell):
    process = shell()
    with socket.create_server(("127.0.0.1", 0)) as server:
        process.address = f"127.0.0.1:{server.getsockname()[1]}"
        wait_connectable(process)
    with pytest.raises(StackFailed):
        wait_connectable(process, timeout=0)


def test_one_that_has_ended_is_not_waited_for(shell):
    process = shell("echo no data folder; exit 1")
    process.child.wait()
    process.address = "127.0.0.1:1"
    with pytest.raises(StackFailed, match="no data folder"):
        wait_connectable(process)


def test_a_free_port_is_none_that_the_kernel_gives_to_connections() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    port = free_port()
    assert 1024 < port < lowest
    with socket.create_server(("127.0.0.1", port)):
        pass
