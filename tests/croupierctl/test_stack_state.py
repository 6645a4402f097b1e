import json
import os

from croupierctl.stack_state import read_state, started_at


def write_state(folder, started):
    state = {"pid": os.getpid(), "started": started, "processes": []}
    row = {"name": "router", "pid": os.getpid(), "started": started, "address": "127.0.0.1:1"}
    (folder / "stack.json").write_text(json.dumps(state | {"processes": [row]}))


def test_a_running_stack_is_found(tmp_path):
    write_state(tmp_path, started_at(os.getpid()))
    holder, (process,) = read_state(tmp_path)
    assert holder == os.getpid()
    assert process.is_running


def test_another_process_with_the_pid_of_a_dead_stack_is_not_taken_for_it(tmp_path):
    write_state(tmp_path, started_at(os.getpid()) - 1)
    holder, (process,) = read_state(tmp_path)
    assert holder == 0
    assert not process.is_running


def test_no_stack_was_ever_there(tmp_path):
    assert read_state(tmp_path) == (0, [])
    assert started_at(2**22 + 1) == 0
