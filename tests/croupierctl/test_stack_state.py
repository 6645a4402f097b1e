"""What commands tell each other of a stack: whom they may show as running, and whom they may end."""

import json
import os
import signal

import pytest

from croupier.errors import FailedPrecondition
from croupierctl.stack_process import Process
from croupierctl.stack_state import (
    RunningProcess,
    forget_state,
    is_alive,
    read_state,
    started_at,
    write_state,
)


def write_down(folder, started):
    state = {"pid": os.getpid(), "started": started, "processes": []}
    row = {"name": "router", "pid": os.getpid(), "started": started, "address": "127.0.0.1:1"}
    (folder / "stack.json").write_text(json.dumps(state | {"processes": [row]}))


def test_a_running_stack_is_found(tmp_path):
    write_down(tmp_path, started_at(os.getpid()))
    holder, (process,) = read_state(tmp_path)
    assert holder == os.getpid()
    assert process.is_running


def test_another_process_with_the_pid_of_a_dead_stack_is_not_taken_for_it(tmp_path):
    write_down(tmp_path, started_at(os.getpid()) - 1)
    holder, (process,) = read_state(tmp_path)
    assert holder == 0
    assert not process.is_running


def test_no_stack_was_ever_there(tmp_path):
    assert read_state(tmp_path) == (0, [])
    assert started_at(2**22 + 1) == 0


def test_what_is_written_is_read_until_it_is_forgotten(tmp_path, shell):
    running, ended = shell(name="etcd"), shell("exit 1", name="router")
    ended.child.wait()
    running.address = "127.0.0.1:1"
    write_state(tmp_path, [running, ended])
    holder, (first, second) = read_state(tmp_path)
    assert holder == os.getpid()
    assert first == RunningProcess("etcd", running.pid, "127.0.0.1:1", is_running=True)
    assert second == RunningProcess("router", ended.pid, "", is_running=False)
    forget_state(tmp_path)
    forget_state(tmp_path)
    assert read_state(tmp_path) == (0, [])


def test_a_file_of_a_release_before_names_nobody_who_runs(tmp_path):
    (tmp_path / "stack.json").write_text(json.dumps({"pid": os.getpid(), "processes": []}))
    assert read_state(tmp_path) == (0, [])


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"7", b"\xff", b'{"pid": 1}', b'{"pid": 1, "processes": [7]}', b"[" * 10_000],
)
def test_a_file_that_is_none_of_ours_is_an_error_in_words(tmp_path, content):
    (tmp_path / "stack.json").write_bytes(content)
    with pytest.raises(FailedPrecondition, match=r"stack\.json does not say which stack runs"):
        read_state(tmp_path)


def test_who_has_ended_and_was_not_waited_for_is_not_alive(shell):
    process = shell()
    assert is_alive(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(process.pid)
    process.child.wait()
    assert not is_alive(process.pid)


def test_a_name_like_what_proc_says_shifts_nothing(tmp_path):
    odd = tmp_path / "a) Z 1 ("
    odd.symlink_to("/bin/sleep")
    process = Process("cell-1", [str(odd), "60"], tmp_path / "log")
    process.start()
    try:
        assert started_at(process.pid) >= started_at(os.getpid()) > 0
    finally:
        process.kill()
