"""A stack as a whole; that it serves is shown by `tests/system`. Its processes are shells here."""

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest

from croupier.stores.features import open_store
from croupierctl.stack import Stack
from croupierctl.stack_process import Process, StackFailed
from croupierctl.stack_state import read_state, write_state


def test_what_others_lean_on_is_stopped_last_and_the_newest_of_it_first(tmp_path, shell):
    stack = Stack(tmp_path)
    order = tmp_path / "order"
    for name in ("etcd", "version-manager", "version-manager-1", "cell-0", "router"):
        script = (
            f"trap 'echo {name} >> {order}; exit' TERM; echo it on {name} ready; while :; do sleep 0.01; done"
        )
        stack.processes[name] = shell(script, name)
    for process in stack.processes.values():
        process.wait_ready()
    assert stack.manager == "version-manager,version-manager-1"
    assert (stack.router, stack.process("etcd").address) == ("router", "etcd")
    write_state(tmp_path, stack.processes.values())
    stack.stop()
    stopped = order.read_text().split()
    assert set(stopped[:2]) == {"cell-0", "router"}
    assert stopped[2:] == ["version-manager-1", "version-manager", "etcd"]
    assert read_state(tmp_path) == (0, [])
    assert not any(process.is_running for process in stack.processes.values())


def test_what_ends_is_started_again_where_it_was(tmp_path, shell):
    stack = Stack(tmp_path)
    stack.processes["cell-0"] = shell("echo it on 127.0.0.1:7 ready; exec sleep 60", "cell-0")
    stack.process("cell-0").wait_ready()
    before = stack.process("cell-0").pid
    stack.process("cell-0").kill()
    stack.restart("cell-0")
    assert stack.process("cell-0").is_running
    assert (stack.process("cell-0").address, stack.process("cell-0").pid != before) == ("127.0.0.1:7", True)
    stack.stop()


def test_a_stack_that_does_not_come_up_is_stopped_and_says_who_failed(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    etcd = tmp_path / "bin" / "etcd"
    etcd.write_text("#!/bin/sh\necho no room on the disk >&2\nexit 1\n")
    etcd.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    stack = Stack(tmp_path / "stack")
    with pytest.raises(StackFailed, match=r"(?s)etcd did not start; its log is .*no room on the disk"), stack:
        pass
    assert list(stack.processes) == ["etcd"]
    assert not stack.process("etcd").is_running
    assert read_state(tmp_path / "stack") == (0, [])


def test_cells_are_spread_over_the_zones_in_turn(tmp_path):
    stack = Stack(tmp_path, zones=3, cell_module="cell.supervisor", cell_capacity=5)
    stack.processes["version-manager"] = Process("version-manager", [], tmp_path / "log", "127.0.0.1:8400")
    lines = [stack._cell_argv(number) for number in range(4)]
    assert [line[line.index("--zone") + 1] for line in lines] == ["zone-a", "zone-b", "zone-c", "zone-a"]
    assert [line[line.index("--id") + 1] for line in lines] == ["cell-0", "cell-1", "cell-2", "cell-3"]
    assert lines[0][1:3] == ["-m", "cell.supervisor"]
    assert "127.0.0.1:8400" in lines[0]
    assert len({line[line.index("--cache-dir") + 1] for line in lines}) == 4


def test_routers_read_features_in_the_stacks_folder_or_where_they_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(Process, "start", lambda _: None)
    monkeypatch.setattr(Process, "wait_ready", lambda *_: None)

    def read_by_router(stack):
        stack.processes["version-manager"] = Process("version-manager", [], tmp_path / "log", "there:1")
        argv = stack.start_router("router", stack.snapshot).argv
        return argv[argv.index("--features-store") + 1]

    monkeypatch.chdir(tmp_path)
    own = read_by_router(Stack(Path("what? 100% ours")))
    assert own == f"lmdb:{quote(str(tmp_path))}/what%3F%20100%25%20ours/features"
    asyncio.run(open_store(own).close())
    assert (tmp_path / "what? 100% ours" / "features" / "data.mdb").exists()
    assert read_by_router(Stack(tmp_path, features_store="redis://there:2")) == "redis://there:2"


def test_a_router_is_told_more_than_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(Process, "start", lambda _: None)
    monkeypatch.setattr(Process, "wait_ready", lambda *_: None)
    stack = Stack(tmp_path)
    stack.processes["version-manager"] = Process("version-manager", [], tmp_path / "log", "there:1")
    plain = stack.start_router("router", stack.snapshot).argv
    told = stack.start_router("router", stack.snapshot, options=("--metrics-listen", "there:2")).argv
    assert "--metrics-listen" not in plain
    assert list(told[-2:]) == ["--metrics-listen", "there:2"]
