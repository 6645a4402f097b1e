"""Files that a process writes for its next start, with a checksum, so that damage is told from content.

    magic, one line │ SHA-256 of the body, 32 bytes │ body

Whole or not at all, for their owner alone (`croupier/files.py`). The checksum tells of a damaged disk or of a
hand that slipped, not of somebody who may write the file: whoever can, can write the checksum too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from croupier.errors import DataLoss
from croupier.files import read_regular, writing_whole

_DIGEST_BYTES = 32


class CorruptFile(DataLoss):
    """A file that is not what was written. The operator's: look at the disk."""

    reason = "CORRUPT_FILE"


def write_sealed(path: Path, magic: bytes, body: Iterable[bytes]) -> None:
    """Have `body` at `path`, which says by `magic` what it is; makes the folder.

    Raises:
        OSError: the disk would not take it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with writing_whole(path, is_durable=True) as file:
        file.write(magic + bytes(_DIGEST_BYTES))
        for part in body:
            digest.update(part)
            file.write(part)
        file.seek(len(magic))
        file.write(digest.digest())


def read_sealed(path: Path, magic: bytes) -> memoryview:
    """The body of the file at `path`.

    Raises:
        CorruptFile: it is damaged, or something else.
        OSError: there is none, or it cannot be read.
    """
    data = memoryview(read_regular(path))
    start = len(magic) + _DIGEST_BYTES
    if data[: len(magic)] != magic:
        raise CorruptFile(f"{path} is not a {magic.decode().strip()}")
    body = data[start:]
    if hashlib.sha256(body).digest() != data[len(magic) : start]:
        raise CorruptFile(f"{path} does not match its checksum")
    return body
