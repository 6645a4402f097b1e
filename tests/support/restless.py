"""What a supervised process does in tests: it listens, and comes to the end that it is told.

`supervised(folder, ends)` runs a supervisor of it; each life takes the next of `ends`:

    stay    until SIGTERM, then exit code 0
    exit    exit code 3
    crash   SIGSEGV
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.paths import with_tests


@dataclass
class Supervised:
    """The parent, and what its children said."""

    parent: subprocess.Popen[bytes]
    folder: Path

    def lives(self) -> list[tuple[int, str]]:
        """Pid and address of each child that has lived."""
        told = sorted(self.folder.glob("life-*"), key=lambda path: int(path.name.partition("-")[2]))
        lines = [path.read_text().split() for path in told]
        return [(int(pid), address) for pid, address in lines]

    def wait_lives(self, count: int, timeout: float = 30.0) -> list[tuple[int, str]]:
        give_up = time.monotonic() + timeout
        while len(lives := self.lives()) < count:
            assert time.monotonic() < give_up, f"{len(lives)} of {count} lives"
            time.sleep(0.005)
        return lives

    def said(self) -> list[str]:
        """What the parent, which has ended, said of itself."""
        assert self.parent.stderr is not None
        return self.parent.stderr.read().decode().splitlines()

    def children(self) -> set[int]:
        """Pids of the children now, the spare among them."""
        path = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children")
        return set(map(int, path.read_text().split()))


@contextmanager
def supervised(
    folder: Path, *ends: str, listen: str = "127.0.0.1:0", spare_after: float = 0.0
) -> Iterator[Supervised]:
    (folder / "ends").write_text(" ".join(ends))
    script = (
        "import sys; from cell.supervisor import supervise; told = sys.argv[1:];"
        "sys.exit(supervise('support.restless', told[2:], told[1], spare_after=float(told[0])))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(spare_after), listen, str(folder)],
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": with_tests()},
    )
    try:
        yield Supervised(parent, folder)
    finally:
        parent.kill()
        parent.communicate()


def main() -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    folder, address = Path(sys.argv[1]), sys.argv[-1]
    number = len(list(folder.glob("life-*")))
    host, _, port = address.rpartition(":")
    with socket.create_server((host, int(port))):
        unfinished = folder / "unfinished"
        unfinished.write_text(f"{os.getpid()} {address}")
        unfinished.rename(folder / f"life-{number}")
        ends = (folder / "ends").read_text().split()
        match ends[min(number, len(ends) - 1)]:
            case "exit":
                return 3
            case "crash":
                signal.raise_signal(signal.SIGSEGV)
            case _:
                signal.sigwait([signal.SIGTERM])
    return 0
