"""How a model wants its requests batched: a section of its artifact that its publisher may add.

    offset  size  what
    0       4     microseconds that a request may wait for company (0 to 1,000,000)
    4       4     rows of one scoring call at most; 0: as many as the cell allows

It is for engines whose calls are dear and whose rows are cheaper together, such as `onnx`. Without it
nobody waits.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from croupier.artifacts.format import Artifact, InvalidArtifact
from croupier.artifacts.repack import with_section

SECTION = "batching"
MAX_DELAY_SECONDS = 1.0

_LAYOUT = struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class Batching:
    """`max_rows` is 0 where the model sets no bound of its own."""

    delay_seconds: float = 0.0
    max_rows: int = 0


NO_DELAY = Batching()


def batching_of(artifact: Artifact) -> Batching:
    """What `artifact` says; `NO_DELAY` if it says nothing.

    Raises:
        InvalidArtifact: a section of another size, or a delay that is too long.
    """
    section = artifact.sections.get(SECTION)
    if section is None:
        return NO_DELAY
    if len(section) != _LAYOUT.size:
        raise InvalidArtifact(f"the section {SECTION!r} has {len(section)} bytes in place of {_LAYOUT.size}")
    microseconds, rows = _LAYOUT.unpack(section)
    return _checked(Batching(microseconds / 1e6, rows))


def with_batching(data: bytes, batching: Batching) -> bytes:
    """The artifact in `data`, saying `batching` in place of what it said.

    Raises:
        InvalidArtifact: no artifact, or a delay that is too long.
    """
    _checked(batching)
    if batching == NO_DELAY:
        return with_section(data, SECTION, None)
    return with_section(data, SECTION, _LAYOUT.pack(round(batching.delay_seconds * 1e6), batching.max_rows))


def _checked(batching: Batching) -> Batching:
    if not 0 <= batching.delay_seconds <= MAX_DELAY_SECONDS or not 0 <= batching.max_rows < 2**32:
        raise InvalidArtifact(
            f"a request waits for company for {MAX_DELAY_SECONDS} s at most, and never less than 0"
        )
    return batching
