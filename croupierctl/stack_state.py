"""What the command that holds a local stack writes down, for the other commands."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from croupier.errors import FailedPrecondition
from croupier.files import write_whole
from croupierctl.stack_process import Process

_FILE = "stack.json"


def write_state(folder: Path, processes: Iterable[Process]) -> None:
    """Write down the processes, and this one, which holds them."""
    rows = [
        {"name": p.name, "pid": p.pid, "started": started_at(p.pid), "address": p.address} for p in processes
    ]
    state = {"pid": os.getpid(), "started": started_at(os.getpid()), "processes": rows}
    write_whole(folder / _FILE, json.dumps(state, indent=2).encode())


def forget_state(folder: Path) -> None:
    (folder / _FILE).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """A process of a stack that another command started."""

    name: str
    pid: int
    address: str
    is_running: bool


def read_state(folder: Path) -> tuple[int, list[RunningProcess]]:
    """The pid of the command that holds the stack in `folder`, and its processes; (0, []) when none.

    A file that a killed command left behind may name a pid that is another process's by now, which
    `local down` must not end: so a process is known by its start as well.

    Raises:
        FailedPrecondition: the file is not one that `write_state` wrote.
    """
    path = folder / _FILE
    try:
        state = json.loads(path.read_bytes())
        processes = [
            RunningProcess(row["name"], row["pid"], row["address"], _still_runs(row))
            for row in state["processes"]
        ]
        return (state["pid"] if _still_runs(state) else 0), processes
    except FileNotFoundError:
        return 0, []
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise FailedPrecondition(f"{path} does not say which stack runs: remove it if none does") from error


def _still_runs(written: dict[str, Any]) -> bool:
    started = started_at(written["pid"])
    return started != 0 and started == written.get("started")


def is_alive(pid: int) -> bool:
    return started_at(pid) != 0


def started_at(pid: int) -> int:
    """When process `pid` started, in clock ticks since the machine did (proc(5)); 0 when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])
