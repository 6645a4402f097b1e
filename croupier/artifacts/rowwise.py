"""That a model's rows are independent of each other: a section of an `onnx` artifact.

    offset  size  what
    0       4     1: each row of every output is computed from the same row of the inputs alone

Its packer writes it where the model's operators say so and a trial agrees (`packers/rowwise`). Only then may
a cell score rows of several requests in one call, or the rows of one in several. Without it, and with
another number, which is a later release's, every request is scored by itself.
"""

from __future__ import annotations

import struct

from croupier.artifacts.format import Artifact, InvalidArtifact

SECTION = "rowwise"
INDEPENDENT = struct.pack("<I", 1)


def is_rowwise(artifact: Artifact) -> bool:
    """Whether `artifact` says that its rows are independent.

    Raises:
        InvalidArtifact: a section of another size.
    """
    section = artifact.sections.get(SECTION)
    if section is None:
        return False
    if len(section) != len(INDEPENDENT):
        raise InvalidArtifact(
            f"the section {SECTION!r} has {len(section)} bytes in place of {len(INDEPENDENT)}"
        )
    return bytes(section) == INDEPENDENT
