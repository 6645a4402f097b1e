"""Where a cell's artifacts come from: a folder that its readers read, or a store that has to be asked.

What a store answers arrives as a descriptor of a file in memory, which a reader's thread reads as it would
any other: so there is one way from a file to a model, and the event loop never touches an artifact's bytes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, TypeAlias

from croupier.errors import CroupierError, Unavailable
from croupier.stores.objects import key_of
from croupier.stores.objects_file import meaning_of


class Store(Protocol):
    """A store that has to be asked."""

    def failure(self, error: OSError, digest: bytes) -> CroupierError:
        """What it means that what it gave cannot be read."""
        ...

    async def fetch(self, digest: bytes) -> int:
        """A descriptor of what the store has, which is the caller's to close.

        Raises:
            NotFound, DataLoss, Unavailable, StoreRefused: as `ObjectStore.get`.
        """
        ...


class Folder:
    """An object store in a folder of this machine, or of a file server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._prefix = os.fsencode(folder) + b"/"

    def path(self, digest: bytes) -> bytes:
        """Where the artifact lies if it is there."""
        return self._prefix + key_of(digest).encode()

    def failure(self, error: OSError, digest: bytes) -> CroupierError:
        """What it means that a file of this folder cannot be read."""
        return meaning_of(error, digest.hex(), self._folder)


Source: TypeAlias = Folder | Store


def unreadable(error: OSError) -> CroupierError:
    """What a store said, and nobody could read."""
    return Unavailable(f"what the object store has cannot be read: {error}")


def in_memory(data: bytes) -> int:
    """A file that has `data` and no name."""
    file = os.memfd_create("artifact", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(file), "wb") as stream:
            stream.write(data)
        # Whoever has the descriptor reads from the beginning.
        os.lseek(file, 0, os.SEEK_SET)
    except BaseException:
        os.close(file)
        raise
    return file
