"""Events are played when their time has come, and each tells how it went."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from support.version_manager_fake import FakeManager

from croupier_bench.events import EventFailed, Events, label, play
from croupier_bench.result import Happened
from croupier_bench.scenario import Event
from protos.versions.v1 import versions_pb2 as pb


def command(*argv, at=0.0, **fields):
    return Event(at=at, kind="command", argv=argv, **fields)


def python(program, **fields):
    return command(sys.executable, "-c", program, **fields)


def ended(events):
    """Until as many have ended as there are."""
    while len(events.so_far()) < len(events._events):
        threading.Event().wait(0.005)
    return events.so_far()


@pytest.fixture
def sleeper():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield child
    child.kill()
    child.wait()


# When


def test_each_is_played_at_its_time_in_the_order_of_their_times():
    played = []
    events = Events(
        [command("b", at=0.02), command("a", at=0.0)], lambda event: played.append(event.argv[0]) or ""
    )
    began = time.monotonic()
    events.start(began)
    assert [one.label for one in ended(events)] == ["a", "b"]
    assert played == ["a", "b"]
    assert time.monotonic() - began >= 0.02


def test_one_that_takes_long_keeps_no_other_waiting():
    go_on = threading.Event()
    slow, quick = command("slow"), command("quick", at=0.001)

    def act(event):
        if event is slow:
            go_on.wait()
        return event.argv[0]

    events = Events([slow, quick], act)
    events.start(time.monotonic())
    while not events.so_far():
        threading.Event().wait(0.005)
    assert events.so_far() == [Happened(0.001, "quick", True, "quick")]
    go_on.set()
    assert [one.detail for one in events.end()] == ["slow", "quick"]


def test_the_end_of_a_run_begins_no_more_and_says_what_was_not_over(monkeypatch):
    monkeypatch.setattr("croupier_bench.events._PATIENCE", 0.01)
    begun, go_on = threading.Event(), threading.Event()

    def act(_event):
        begun.set()
        go_on.wait()
        return ""

    events = Events([command("now"), command("later", at=1e6)], act)
    events.start(time.monotonic())
    begun.wait()
    now, later = events.end()
    go_on.set()
    assert (now.ok, now.detail) == (False, "not over when the run was")
    assert (later.ok, later.detail) == (False, "the run was over before its time")


def test_without_any_there_is_nothing_to_wait_for():
    events = Events([])
    events.start(time.monotonic())
    assert events.end() == []


# How it went


def test_one_that_fails_is_said_and_ends_the_run_only_if_it_is_required():
    def act(event):
        raise EventFailed(f"no {event.argv[0]}")

    events = Events([command("a")], act)
    events.start(time.monotonic())
    assert ended(events) == [Happened(0.0, "a", False, "no a")]
    assert events.required_failed is None

    events = Events([command("a"), command("b", required=True, label="deploy")], act)
    events.start(time.monotonic())
    ended(events)
    assert events.required_failed == "deploy failed: no b"


def test_a_bug_in_one_is_told_as_well():
    events = Events([command("a")], lambda event: 1 // 0)
    events.start(time.monotonic())
    assert "division" in ended(events)[0].detail


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Event(0, "release", tenant="acme", model="churn", version=2), "release acme/churn version 2"),
        (Event(0, "map", verb="cells drain", arguments=("cell-1",)), "cells drain cell-1"),
        (Event(0, "kill", unit="cell-1"), "KILL cell-1"),
        (Event(0, "kill", pid_file="/run/x.pid", signal="TERM"), "TERM /run/x.pid"),
        (command("echo", "a b"), "echo 'a b'"),
        (command("echo", label="mine"), "mine"),
    ],
)
def test_one_without_a_label_is_called_by_what_it_does(event, words):
    assert label(event) == words


# What each does


def test_a_command_is_run_and_its_last_words_are_kept():
    assert play(python("print('a'); print('b')")) == "a b"
    with pytest.raises(EventFailed, match="exit code 3: oh"):
        play(python("import sys; print('oh', file=sys.stderr); sys.exit(3)"))
    with pytest.raises(EventFailed, match="no-such-program cannot be run: No such file"):
        play(command("no-such-program"))
    assert len(play(python("print('x' * 10_000)"))) < 500


def test_what_a_command_leaves_behind_is_not_waited_for():
    """It holds what would be a pipe."""
    child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(2)'])"
    began = time.monotonic()
    play(python(child))
    assert time.monotonic() - began < 2


def test_a_command_that_takes_too_long_ends_with_all_that_it_started(tmp_path):
    file = tmp_path / "pid"
    program = (
        "import subprocess, sys, time; "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        f"open({str(file)!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    with pytest.raises(EventFailed, match="not over after 1 s"):
        play(python(program, timeout=1.0))
    pid = int(file.read_text())
    while _runs(pid):
        threading.Event().wait(0.005)


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_process_of_a_file_is_sent_a_signal(sleeper, tmp_path):
    file = tmp_path / "server.pid"
    file.write_text(f"{sleeper.pid}\n")
    assert play(Event(0, "kill", pid_file=str(file), signal="TERM")) == f"SIGTERM to process {sleeper.pid}"
    assert sleeper.wait() == -signal.SIGTERM
    with pytest.raises(EventFailed, match="No such process"):
        play(Event(0, "kill", pid_file=str(file)))


@pytest.mark.parametrize("words", ["", "all", "-1", "0", "1"])
def test_a_file_that_names_no_process_kills_nobody(tmp_path, words):
    file = tmp_path / "pid"
    file.write_text(words)
    with pytest.raises(EventFailed, match="process"):
        play(Event(0, "kill", pid_file=str(file)))


def _stack(folder, pid, started):
    rows = [{"name": "cell-1", "pid": pid, "started": started, "address": "127.0.0.1:1"}]
    (folder / "stack.json").write_text(json.dumps({"pid": 1, "started": 1, "processes": rows}))


def _started(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[19])


def test_a_unit_of_a_local_stack_is_killed(sleeper, tmp_path, monkeypatch):
    _stack(tmp_path, sleeper.pid, _started(sleeper.pid))
    monkeypatch.setenv("CROUPIER_HOME", str(tmp_path))
    with pytest.raises(EventFailed, match="has no cell-9, but cell-1"):
        play(Event(0, "kill", unit="cell-9"))
    assert play(Event(0, "kill", unit="cell-1")) == f"SIGKILL to process {sleeper.pid}"
    assert sleeper.wait() == -signal.SIGKILL
    with pytest.raises(EventFailed, match="cell-1 does not run"):
        play(Event(0, "kill", unit="cell-1"))


def test_another_process_that_has_the_number_now_is_left_alone(tmp_path):
    _stack(tmp_path, os.getpid(), _started(os.getpid()) - 1)
    with pytest.raises(EventFailed, match="does not run"):
        play(Event(0, "kill", unit="cell-1", folder=str(tmp_path)))


def test_without_a_stack_it_is_said_how_to_start_one(tmp_path):
    with pytest.raises(EventFailed, match="croupierctl local up"):
        play(Event(0, "kill", unit="cell-1", folder=str(tmp_path)))
    (tmp_path / "stack.json").write_text("{")
    with pytest.raises(EventFailed, match="does not say"):
        play(Event(0, "kill", unit="cell-1", folder=str(tmp_path)))


def test_the_map_is_changed_by_the_command_line():
    with FakeManager() as manager:
        words = play(Event(0, "map", verb="cells ls", arguments=("--json",), manager=manager.target))
        assert words == "[]"
        with pytest.raises(EventFailed, match="exit code 1: error: "):
            play(Event(0, "map", verb="models show", arguments=("acme", "no-such"), manager=manager.target))


def test_a_release_moves_all_traffic_and_leaves_the_labels():
    with FakeManager() as manager:
        release = pb.Release(
            number=4, splits=[pb.Split(version=1, basis_points=10_000)], labels={"stable": 1}
        )
        manager.models["acme", "churn"] = pb.Model(
            tenant="acme",
            name="churn",
            versions=[pb.Version(number=1), pb.Version(number=2)],
            release=release,
        )
        said = play(Event(0, "release", tenant="acme", model="churn", version=2, manager=manager.target))
        found = manager.models["acme", "churn"].release
    assert said.startswith(f"release {found.number}, after ")
    assert [(split.version, split.basis_points) for split in found.splits] == [(2, 10_000)]
    assert dict(found.labels) == {"stable": 1}
