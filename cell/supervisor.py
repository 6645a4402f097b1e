"""The program `croupier-cell`: a small parent that has a cell running again when a signal ended it.

    start ──▶ reserve the port ──▶ child serves ──┬─ ended with a status      so does the parent
                                      ▲           ├─ told to stop             the parent waits, then ends
                                      │ pause     └─ ended by a signal ──┐
                                      └──────────────────────────────────┘

A crash costs those who wait for the cell what it takes to come back, so the parent does beforehand what can
be done: beside the child a *spare* stands by, a process that has imported everything, which is most of a
cell's start, and waits for a word. It is made a moment after the child, so as not to be in its way.

**The address stays.** Where the port is free to choose, the parent chooses it and holds it with a socket that
does not listen: nobody else is given it meanwhile, and connections to it are refused at once. That is what a
router wants: it asks the next cell of the hand, instead of waiting for one that is not back yet.

**Crash loops.** A child that lived for a while is replaced at once, and so is the first that did not; then
pauses double up to a longest one.

The parent imports the standard library and `croupier.settings`, holds no model and does nothing that could
crash. If it is killed all the same, the kernel kills its children, so that no orphan keeps the address and
the folder. Children leave no cores: writing gigabytes of models takes longer than everything else here.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from croupier import settings
from croupier.backoff import Backoff
from croupier.settings import option

PROGRAM = "croupier-cell"

SPARE_AFTER = 0.5
_GO = b"g"
_STOPS = {signal.SIGTERM, signal.SIGINT}
_AWAITED = {signal.SIGCHLD, *_STOPS}
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class SupervisorSettings:
    """What the parent reads of a cell's settings."""

    listen: str = option("127.0.0.1:0", "")
    supervise: bool = option(True, "")


class Restarts:
    """Seconds before a restart: none after a life of `settled` or a first failure, else more each time."""

    def __init__(self, backoff: Backoff = Backoff(first=0.1, longest=5.0), *, settled: float = 10.0) -> None:
        self._backoff = backoff
        self._settled = settled
        self._failures = 0

    def after(self, lived: float) -> float:
        """The pause after a child that lived for so many seconds."""
        self._failures = 0 if lived >= self._settled else self._failures + 1
        return self._backoff.after(self._failures - 1)


class _Child:
    """A process that has begun with its imports and waits for `go`."""

    def __init__(self, command: Sequence[str], prepare: Callable[[], None]) -> None:
        read_end, self._write_end = os.pipe()
        try:
            self.process = subprocess.Popen(  # noqa: S603 (our own)
                _standing_by(command, read_end), pass_fds=(read_end,), preexec_fn=prepare
            )
        finally:
            os.close(read_end)

    def go(self) -> None:
        # It may have ended already, which its exit tells.
        with suppress(BrokenPipeError):
            os.write(self._write_end, _GO)
        os.close(self._write_end)

    def dismiss(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._write_end)


class Supervisor:
    """Keeps `main` of a module running; `command` is the module's name and the arguments."""

    def __init__(self, command: Sequence[str], restarts: Restarts, *, spare_after: float) -> None:
        self._command = command
        self._restarts = restarts
        self._spare_after = spare_after
        self._spare: _Child | None = None
        self._stopping = False

    def run(self) -> int:
        """Run until the child ends in peace or this process is told to stop; returns the exit code."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
        try:
            while True:
                began = time.monotonic()
                code = self._live(self._take_child())
                if self._stopping and code == -signal.SIGTERM:
                    # It was told before it could listen.
                    return 0
                if self._stopping or code >= 0:
                    _say(f"stopping: the cell ended {how_it_ended(code)}")
                    return code if code >= 0 else 128 - code
                pause = self._restarts.after(time.monotonic() - began)
                _say(f"the cell ended {how_it_ended(code)}; it starts again in {pause:g} s")
                if self._is_stopped_within(pause):
                    return 0
        finally:
            self._dismiss_spare()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _take_child(self) -> subprocess.Popen[bytes]:
        spare, self._spare = self._spare, None
        if spare is not None and spare.process.poll() is not None:
            spare.dismiss()
            spare = None
        child = spare or self._start()
        child.go()
        return child.process

    def _start(self) -> _Child:
        return _Child(self._command, _prepare(os.getpid()))

    def _live(self, child: subprocess.Popen[bytes]) -> int:
        """The exit code of `child` once it has ended, minus the signal's number if that ended it."""
        make_spare_at = time.monotonic() + self._spare_after
        while (code := child.poll()) is None:
            if self._spare is None and not self._stopping:
                received = _wait_for_signal(max(0.0, make_spare_at - time.monotonic()))
                if received is None:
                    self._spare = self._start()
            else:
                received = _wait_for_signal(None)
            if received in _STOPS:
                _say(f"{received.name}: the cell is told to stop")
                self._stopping = True
                self._dismiss_spare()
                child.terminate()
        return code

    def _is_stopped_within(self, pause: float) -> bool:
        until = time.monotonic() + pause
        # Once at least: a stop may have come with the crash.
        while (received := _wait_for_signal(max(0.0, until - time.monotonic()))) is not None:
            if received in _STOPS:
                _say(f"stopping: {received.name}")
                return True
        return False

    def _dismiss_spare(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.dismiss()


def reserve(listen: str) -> tuple[str, socket.socket | None]:
    """`listen` with a port instead of 0 and the socket that holds it, or as it is if there is none to choose.

    Raises:
        OSError: it is not an address of this machine.
    """
    host, _, port = listen.rpartition(":")
    if listen.startswith("unix:") or port != "0":
        return listen, None
    family, kind, _, _, where = socket.getaddrinfo(
        host.strip("[]"), 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    held = socket.socket(family, kind)
    try:
        # Or nobody could listen on it.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(where)
    except BaseException:
        held.close()
        raise
    return f"{host}:{held.getsockname()[1]}", held


def stand_by(pipe: int, module: str, argv: Sequence[str]) -> int:
    """In a child: import `module`, wait for the parent's word, then run its `main`."""
    main = importlib.import_module(module).main
    if os.read(pipe, 1) != _GO:
        return 0
    os.close(pipe)
    sys.argv = [module, *argv]
    code: int = main()
    return code


def main() -> int:
    """The program `croupier-cell`."""
    known = settings.load_known(SupervisorSettings, PROGRAM)
    argv = sys.argv[1:]
    if not known.supervise or {"-h", "--help"} & set(argv):
        return int(importlib.import_module("cell.app").main())
    return supervise("cell.app", argv, known.listen)


def supervise(module: str, argv: Sequence[str], listen: str, *, spare_after: float = SPARE_AFTER) -> int:
    """Keep a process that runs `main` of `module` with `argv` going; returns the exit code."""
    try:
        address, held = reserve(listen)
    except OSError as error:
        print(f"error: cannot serve on {listen}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    command = [module, *argv, "--listen", address]
    try:
        return Supervisor(command, Restarts(), spare_after=spare_after).run()
    finally:
        if held is not None:
            held.close()


def how_it_ended(code: int) -> str:
    """How a process ended, by its exit code: one below 0 is that of a signal."""
    if code >= 0:
        return f"with exit code {code}"
    # Real-time signals have numbers only.
    return "by " + next((known.name for known in signal.Signals if known == -code), f"signal {-code}")


def _standing_by(command: Sequence[str], pipe: int) -> list[str]:
    module, *argv = command
    script = "import sys; from cell.supervisor import stand_by; sys.exit(stand_by({}, {!r}, sys.argv[1:]))"
    return [sys.executable, "-P", "-c", script.format(pipe, module), *argv]


def _prepare(parent: int) -> Callable[[], None]:
    """What a child does before it becomes another program."""
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)
        # Ctrl-C reaches the parent too, which passes it on as SIGTERM.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        if os.getppid() != parent:
            # It was killed before the kernel knew.
            os._exit(1)

    return prepare


def _wait_for_signal(timeout: float | None) -> signal.Signals | None:
    """The next signal for this process; None after `timeout` seconds without."""
    if timeout is None:
        return signal.Signals(signal.sigwaitinfo(_AWAITED).si_signo)
    info = signal.sigtimedwait(_AWAITED, timeout)
    return None if info is None else signal.Signals(info.si_signo)


def _say(words: str) -> None:
    print(f"{PROGRAM}: {words}", file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
