"""Who holds a local stack, what runs of it, and how it ends; `tests/system` starts a real one."""

import json
import signal

from typer.testing import CliRunner

from croupierctl import local
from croupierctl.app import app
from croupierctl.stack import Stack
from croupierctl.stack_state import started_at


def invoke(folder, *words):
    return CliRunner().invoke(app, ["local", *words, "--folder", str(folder)])


def hold(folder, holder, **processes):
    """Write down a stack that process `holder` holds, of `processes` by name."""

    def row(child):
        return {"pid": child.pid, "started": started_at(child.pid)}

    rows = [{"name": name, "address": f"{name}:1", **row(child)} for name, child in processes.items()]
    (folder / "stack.json").write_text(json.dumps({**row(holder), "processes": rows}))


def test_no_stack_runs(tmp_path):
    shown = invoke(tmp_path, "status")
    assert (shown.exit_code, shown.stderr) == (1, f"no stack runs in {tmp_path}\n")
    ended = invoke(tmp_path, "down")
    assert (ended.exit_code, ended.stderr) == (0, f"no stack runs in {tmp_path}\n")


def test_a_stack_of_which_one_process_ended_is_shown_and_exit_code_1(tmp_path, shell):
    first, second = shell(), shell()
    hold(tmp_path, shell(), etcd=first, router=second)
    shown = invoke(tmp_path, "status", "--json")
    rows = [
        {"process": "etcd", "address": "etcd:1", "pid": first.pid, "state": "running"},
        {"process": "router", "address": "router:1", "pid": second.pid, "state": "running"},
    ]
    assert (shown.exit_code, json.loads(shown.stdout)) == (0, rows)
    second.kill()
    rows[1]["state"] = "ended"
    shown = invoke(tmp_path, "status", "--json")
    assert (shown.exit_code, json.loads(shown.stdout)) == (1, rows)


def test_a_second_stack_in_one_folder_is_refused(tmp_path, shell):
    hold(tmp_path, shell())
    refused = invoke(tmp_path, "up")
    assert refused.exit_code == 1
    assert f"a stack runs in {tmp_path} already; `croupierctl local down` stops it" in refused.stderr


def test_down_ends_the_holder_alone_and_waits_for_it(tmp_path, shell):
    holder, other = shell(), shell()
    hold(tmp_path, holder, router=other)
    assert invoke(tmp_path, "down").stderr == "stopped\n"
    assert holder.child.wait() == -signal.SIGTERM
    assert other.is_running


def test_a_process_that_got_the_holders_number_since_is_left_alone(tmp_path, shell):
    stranger = shell()
    state = {"pid": stranger.pid, "started": started_at(stranger.pid) - 1, "processes": []}
    (tmp_path / "stack.json").write_text(json.dumps(state))
    assert "no stack runs" in invoke(tmp_path, "down").stderr
    assert stranger.is_running


def test_whoever_holds_a_stack_is_told_how_each_process_ended(tmp_path, capsys, shell):
    stack = Stack(tmp_path)
    stack.processes = {
        "cell-0": shell("exit 3", "cell-0"),
        "cell-1": shell("kill -SEGV $$", "cell-1"),
        "router": shell(name="router"),
    }
    for name in ("cell-0", "cell-1"):
        stack.process(name).child.wait()
    local._watch(stack, sleep=lambda _: stack.process("router").kill())
    assert capsys.readouterr().err == (
        f"cell-0 ended with exit code 3; its log is {tmp_path}/cell-0.log\n"
        f"cell-1 ended by SIGSEGV; its log is {tmp_path}/cell-1.log\n"
        f"router ended by SIGKILL; its log is {tmp_path}/router.log\n"
    )


def test_whoever_starts_a_stack_is_told_where_its_stored_features_lie(tmp_path, monkeypatch):
    monkeypatch.setattr(Stack, "start", lambda _: None)
    monkeypatch.setattr(local, "_watch", lambda _: signal.raise_signal(signal.SIGINT))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for words, url in (
            ((), f"lmdb:{tmp_path}/features"),
            (("--features-store", "redis://me:secret@there:6379/1"), "redis://there:6379/1"),
        ):
            told = invoke(tmp_path, "up", *words).stderr
            assert f"Stored features: croupierctl features load GROUP FILE --store {url}\n" in told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_ctrl_c_and_a_stop_end_up_alike(tmp_path, monkeypatch):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            # What it starts is the signal.
            monkeypatch.setattr(Stack, "start", lambda _, number=number: signal.raise_signal(number))
            ended = invoke(tmp_path, "up")
            assert (ended.exit_code, ended.stderr) == (0, "stopped\n")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
