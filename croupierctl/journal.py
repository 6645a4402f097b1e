"""What `models publish-many` has done of a list, beside it: whoever was stopped goes on from there.

    {"list": [size, time], "manager": "…", "how": {…}}      what the journal is of
    {"row": 7, "file": [size, time], "version": 3, …}        done, while the file is as it was
    {"row": 8, "error": "…", "reason": "…"}                  not done, and why

It saves work and decides nothing: to publish again what is published changes nothing. So a line that was
lost, or cut off by a crash, costs its row's packing; and a journal of another list, of other options or of
another deployment is begun anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from croupier.errors import CroupierError, FailedPrecondition
from croupier.files import OWNER_ONLY, open_regular, read_regular
from croupierctl.manifest import Row

_SUFFIX = ".publishing"
_MOST_WORDS = 1_000


class NoJournal(FailedPrecondition):
    """What is done cannot be kept beside the list. Whose the folder is has to let it be written."""

    reason = "NO_JOURNAL"


class Journal:
    """Of the list at `path`, as it is now, published by `manager` in the way that `how` says."""

    def __init__(self, path: Path, manager: str, how: Mapping[str, Any]) -> None:
        self.path = path.with_name(path.name + _SUFFIX)
        self._head = {"list": stamp(path), "manager": manager, "how": dict(how)}
        self._done: dict[int, tuple[list[int], int]] = {}
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        """Raises NoJournal."""
        goes_on = self._read()
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if goes_on else os.O_TRUNC)
        try:
            self._file = os.fdopen(open_regular(self.path, flags, OWNER_ONLY), "a")
        except OSError as error:
            raise NoJournal(f"{self.path} cannot be written: {error}") from error
        # Behind a line that was cut off.
        self._file.write("\n" if goes_on else json.dumps(self._head) + "\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()

    def version_of(self, row: Row) -> int:
        """The version that `row` became; 0: it is not done."""
        seen, version = self._done.get(row.number, ([], 0))
        return version if seen and seen == stamp(row.file) else 0

    def done(self, row: Row, seen: list[int], version: int, release: int) -> None:
        """`seen` is what `stamp` said of its file before that was read."""
        self._say({"row": row.number, "file": seen, "version": version, "release": release})

    def failed(self, row: Row, error: CroupierError) -> None:
        self._say({"row": row.number, "error": error.message[:_MOST_WORDS], "reason": error.reason})

    def flush(self) -> None:
        """Have what was said outlive this process."""
        assert self._file is not None
        self._file.flush()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def _say(self, line: Mapping[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(line) + "\n")

    def _read(self) -> bool:
        """Read what is done; whether the journal is one of the same."""
        try:
            head, *lines = read_regular(self.path).split(b"\n")
            if json.loads(head) != self._head:
                return False
        except (OSError, ValueError):
            return False
        for line in lines:
            try:
                said = json.loads(line)
                if "version" in said:
                    self._done[int(said["row"])] = said["file"], int(said["version"])
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
        return True


def stamp(path: Path) -> list[int]:
    """What tells a file from what it was before; empty without one."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return []
    return [found.st_size, found.st_mtime_ns]
