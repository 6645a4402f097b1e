"""Records that nobody can read, kept for whoever looks into it: raw, on this host, within a bound.

One file a batch, each record behind its length (u32, little-endian). Writing a batch again writes the same
file. Once the folder has as much as it may, records are counted only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from croupier.files import own_folder, write_whole

FOLDER = "undecodable"


class Aside:
    """In `folder`, of `most_bytes` together."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most = folder, most_bytes

    def keep(self, name: str, records: Sequence[bytes]) -> None:
        """Have `records` in the file `name`, those that there is room for.

        Raises:
            OSError: the disk would not take it.
        """
        own_folder(self._folder)
        path = self._folder / name
        room = self._most - sum(one.stat().st_size for one in self._folder.iterdir() if one != path)
        parts = []
        for record in records:
            room -= 4 + len(record)
            if room < 0:
                break
            parts.append(len(record).to_bytes(4, "little") + record)
        if parts:
            write_whole(path, b"".join(parts), is_durable=True)
