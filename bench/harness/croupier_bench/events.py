"""What happens at given times of a run: a release, a change of the shard map, a kill, any command.

One thread waits for the times, and each event is played in a thread of its own: neither the load, which other
processes are, nor the next event waits for one that takes long. What is not played in this process is not
imported in it either: the shard map is changed by `croupierctl`, as an operator would.

An event that fails is said, and the run goes on, unless the scenario requires it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croupier import settings
from croupier_bench.result import Happened

if TYPE_CHECKING:
    from croupier_bench.scenario import Event

# How long what has begun is waited for once the run is over.
_PATIENCE = 1.0
# Of what a command printed, the end.
_SAID_BYTES = 400
_STACK = "stack.json"
# All traffic, in basis points.
_WHOLE = 10_000


class EventFailed(RuntimeError):
    """An event that could not be played. Whoever wrote the scenario has to look, or what it is played on."""


class Events:
    """Plays `events`; `act` plays one of them and returns what there is to say about it."""

    def __init__(self, events: Sequence[Event], act: Callable[[Event], str] | None = None) -> None:
        self._events = sorted(events, key=lambda event: event.at)
        self._act = act or play
        self._happened: dict[int, Happened] = {}
        self._required_failed: str | None = None
        self._begun: dict[int, threading.Thread] = {}
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._keeper: threading.Thread | None = None
        if act is None and any(event.kind == "release" for event in events):
            # Before the load, which would feel it.
            import croupier.grpcio.manager  # noqa: F401

    def start(self, began: float) -> None:
        """Begin to wait; `began` is the second 0 of the scenario, as `time.monotonic` has it."""
        if self._events:
            self._keeper = threading.Thread(target=self._keep, args=(began,), daemon=True)
            self._keeper.start()

    def so_far(self) -> list[Happened]:
        """Those that have ended, in the order of the scenario's times."""
        with self._lock:
            return [self._happened[number] for number in sorted(self._happened)]

    @property
    def required_failed(self) -> str | None:
        """Why the run need not go on."""
        return self._required_failed

    def end(self) -> list[Happened]:
        """Begin no more of them, and say of each how it went."""
        self._is_over.set()
        if self._keeper is not None:
            self._keeper.join()
        give_up = time.monotonic() + _PATIENCE
        for thread in self._begun.values():
            thread.join(max(0.0, give_up - time.monotonic()))
        with self._lock:
            return [
                self._happened.get(number) or self._unfinished(number) for number in range(len(self._events))
            ]

    def _keep(self, began: float) -> None:
        for number, event in enumerate(self._events):
            if self._is_over.wait(max(0.0, began + event.at - time.monotonic())):
                return
            self._begun[number] = threading.Thread(target=self._play, args=(number,), daemon=True)
            self._begun[number].start()

    def _play(self, number: int) -> None:
        event = self._events[number]
        try:
            is_right, detail = True, self._act(event)
        except Exception as error:  # noqa: BLE001 - whatever it was is told with the event
            is_right, detail = False, str(error) or type(error).__name__
        with self._lock:
            self._happened[number] = Happened(event.at, label(event), is_right, detail)
            if event.required and not is_right and self._required_failed is None:
                self._required_failed = f"{label(event)} failed: {detail}"

    def _unfinished(self, number: int) -> Happened:
        event = self._events[number]
        why = "not over when the run was" if number in self._begun else "the run was over before its time"
        return Happened(event.at, label(event), ok=False, detail=why)


def label(event: Event) -> str:
    """What an event is called: its own label, or what it does."""
    if event.label:
        return event.label
    if event.kind == "release":
        return f"release {event.tenant}/{event.model} version {event.version}"
    if event.kind == "map":
        return " ".join([event.verb, *event.arguments])
    if event.kind == "kill":
        return f"{event.signal} {event.unit or event.pid_file}"
    return shlex.join(event.argv)


def play(event: Event) -> str:
    """Play one, here and now; what there is to say about it.

    Raises:
        EventFailed: saying why.
        CroupierError: what a version manager answered.
    """
    if event.kind == "release":
        return asyncio.run(_release(event))
    if event.kind == "kill":
        return _kill(event)
    if event.kind == "map":
        croupierctl = [sys.executable, "-P", "-m", "croupierctl", "--manager", event.manager]
        return _run([*croupierctl, *shlex.split(event.verb), *event.arguments], event.timeout)
    return _run(event.argv, event.timeout)


async def _release(event: Event) -> str:
    from croupier.grpcio.manager import VersionManagerClient
    from protos.versions.v1 import versions_pb2 as pb

    async with VersionManagerClient(event.manager) as manager:
        found = await manager.get_model(event.tenant, event.model)
        request = pb.SetReleaseRequest(
            tenant=event.tenant,
            name=event.model,
            splits=[pb.Split(version=event.version, basis_points=_WHOLE)],
            labels=found.release.labels,
            expected_number=found.release.number,
        )
        began = time.monotonic()
        released = await manager.set_release(request, event.timeout)
    return f"release {released.number}, after {time.monotonic() - began:.2f} s"


def _kill(event: Event) -> str:
    pid = _pid_of_unit(event) if event.unit else _pid_in(Path(event.pid_file))
    try:
        os.kill(pid, signal.Signals[f"SIG{event.signal}"])
    except OSError as error:
        raise EventFailed(f"process {pid}: {error.strerror}") from error
    return f"SIG{event.signal} to process {pid}"


def _pid_in(path: Path) -> int:
    try:
        pid = int(path.read_text())
    except (OSError, ValueError) as error:
        raise EventFailed(f"{path} has no process: {error}") from error
    # Others would be groups, or all processes that there are.
    if pid <= 1:
        raise EventFailed(f"{path} says {pid}, which is no process to be sent a signal")
    return pid


def _pid_of_unit(event: Event) -> int:
    """Of a local stack, as it wrote down. A number may be another process's by now, which its start tells."""
    folder = Path(event.folder) if event.folder else settings.home()
    try:
        rows = json.loads((folder / _STACK).read_bytes())["processes"]
        units = {row["name"]: (int(row["pid"]), int(row["started"])) for row in rows}
    except FileNotFoundError:
        raise EventFailed(f"no local stack runs in {folder}: croupierctl local up") from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise EventFailed(f"{folder / _STACK} does not say which processes there are") from error
    if event.unit not in units:
        raise EventFailed(f"the stack in {folder} has no {event.unit}, but {', '.join(sorted(units))}")
    pid, started = units[event.unit]
    if _started(pid) != started:
        raise EventFailed(f"{event.unit} does not run")
    return pid


def _started(pid: int) -> int:
    """When a process started, in clock ticks since the machine did (proc(5)); 0: there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def _run(argv: Sequence[str], timeout: float) -> str:
    """Run a command to its end; the last of its words.

    What it prints goes into a file: a pipe would be open for as long as what it leaves behind runs.
    """
    with tempfile.TemporaryFile() as said:
        try:
            child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said, process_group=0
            )
        except OSError as error:
            raise EventFailed(f"{argv[0]} cannot be run: {error.strerror}") from error
        try:
            code = child.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise EventFailed(f"it was not over after {timeout:g} s") from None
        said.seek(max(0, said.seek(0, os.SEEK_END) - _SAID_BYTES))
        words = " ".join(said.read().decode(errors="replace").split())
    if code:
        raise EventFailed(f"exit code {code}: {words}" if words else f"exit code {code}")
    return words
