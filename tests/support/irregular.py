"""What somebody may put where a file should be: to open one of these can wait for ever."""

from __future__ import annotations

import os
import socket
from pathlib import Path

KINDS = ["fifo", "link to a fifo", "link to a device", "socket"]


def put(kind: str, path: Path) -> None:
    """Have something of a kind at `path`, in place of what is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link to a fifo":
        beside = path.with_name(f"{path.name}.fifo")
        os.mkfifo(beside)
        path.symlink_to(beside)
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    else:
        # By a short way, for a socket's path has 107 bytes at most.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
