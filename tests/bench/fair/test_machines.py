"""Who has which core while a fleet's router and its callers stand for machines of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from bench import processes
from bench.fair import machines
from bench.shards import quota


@contextmanager
def waiting() -> Iterator[int]:
    """A process that does nothing until the end."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        assert process.stdin is not None
        process.stdin.close()
        process.kill()


@pytest.mark.parametrize("share", [None, 0.1])
def test_router_and_load_have_a_core_each(share: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, list[str]]] = []

    @contextmanager
    def groups(pids: dict[str, int], times: int, share: float | None, root: Any) -> Iterator[bool]:
        told.append((str(times), sorted(pids)))
        yield True

    monkeypatch.setattr(quota, "_groups", groups)
    with ExitStack() as stack:
        pids = {name: stack.enter_context(waiting()) for name in ("router", "cell-0", "load")}
        named = {name: SimpleNamespace(pid=pid) for name, pid in pids.items() if name != "load"}
        fleet: Any = SimpleNamespace(processes=named, process=lambda name: named[name])
        cores, usable = processes.cores(), os.sched_getaffinity(0)
        with machines.apart(fleet, pids["load"], share) as is_apart:
            assert is_apart
            assert os.sched_getaffinity(pids["router"]) == {cores.proxy}
            assert os.sched_getaffinity(pids["load"]) == {cores.load}
            assert os.sched_getaffinity(pids["cell-0"]) == (usable if share is None else {cores.load})
        assert os.sched_getaffinity(pids["router"]) == os.sched_getaffinity(pids["load"]) == usable
    assert told == [(str(quota._HELD), ["cell-0"]), (str(quota._FIRST), ["load", "router"])]
