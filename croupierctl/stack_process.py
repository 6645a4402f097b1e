"""One process of the local stack: start it, wait until it is ready, end it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import sample

from croupier.errors import FailedPrecondition

# Below those of connections (ip_local_port_range), which are taken and let go all the time.
_PORTS = range(15_000, 32_000)
_PORT_ATTEMPTS = 100
_READY = re.compile(rb" on (\S+) ready$", re.MULTILINE)


class StackFailed(FailedPrecondition):
    """A process of the stack did not come up. The operator's: its log says why."""


def free_port() -> int:
    """A loopback TCP port that nobody listens on now, and that the kernel gives to no connection meanwhile.

    Raises:
        StackFailed: there is none to be found.
    """
    for port in sample(_PORTS, k=_PORT_ATTEMPTS):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise StackFailed("no port is free")


@dataclass(slots=True)
class Process:
    """One process of the stack. `address` is known once it is ready."""

    name: str
    argv: Sequence[str]
    log: Path
    address: str = ""
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("wb") as log:
            # A group of its own: Ctrl-C reaches the stack alone, which stops its processes in order. But no
            # session: Linux shares processors by session first (sched(7), autogroup), and whoever attacks or
            # loads a stack could not give way to it.
            self.child = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Wait for the line that tells the address.

        Raises:
            StackFailed: the process ended, or said nothing for `timeout` seconds.
        """
        give_up = time.monotonic() + timeout
        while time.monotonic() < give_up:
            if found := _READY.search(self.log.read_bytes()):
                self.address = found[1].decode()
                return
            if not self.is_running:
                break
            time.sleep(0.02)
        raise StackFailed(f"{self.name} did not start; its log is {self.log}:\n{self.last_lines()}")

    @property
    def is_running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    @property
    def exit_code(self) -> int:
        """Of a process that has ended: minus the signal's number if one ended it."""
        return self.child.returncode if self.child else 0

    @property
    def pid(self) -> int:
        return self.child.pid if self.child else 0

    def signal(self, number: signal.Signals) -> None:
        if self.child is not None and self.is_running:
            self.child.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.signal(signal.SIGKILL)
        if self.child is not None:
            self.child.wait()

    def stop(self, timeout: float = 20.0) -> int:
        """SIGTERM, then SIGKILL after `timeout` seconds; returns the exit code."""
        if self.child is None:
            return 0
        self.signal(signal.SIGTERM)
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.child.returncode

    def last_lines(self, count: int = 5) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


def wait_connectable(process: Process, timeout: float = 20.0) -> None:
    """Wait for a server that says nothing when it is ready.

    Raises:
        StackFailed: nothing listens after `timeout` seconds.
    """
    host, _, port = process.address.rpartition(":")
    give_up = time.monotonic() + timeout
    while time.monotonic() < give_up and process.is_running:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise StackFailed(f"{process.name} did not start; its log is {process.log}:\n{process.last_lines()}")
