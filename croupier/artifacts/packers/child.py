"""What the throwaway process of `process.py` runs: one file is packed."""

from __future__ import annotations

from typing import NoReturn

from croupier.artifacts.apart import Task, serve
from croupier.artifacts.packers.files import FileKind, pack_file


def main() -> NoReturn:
    """Serve one task, and end the process."""
    serve(_packed, refused="the file cannot be read")


def _packed(task: Task, parts: list[bytes]) -> bytes:
    return pack_file(
        parts[0],
        FileKind(task["kind"]),
        features=task["features"],
        accepts_missing=task["accepts_missing"],
        complete=task["complete"],
    )
