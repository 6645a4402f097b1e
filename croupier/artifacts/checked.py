"""What an artifact was compared with before it was published: its section `checked`, `comparison` as JSON."""

from __future__ import annotations

import json

from croupier.artifacts.comparison import Comparison, InvalidComparison, from_told
from croupier.artifacts.format import Artifact, InvalidArtifact
from croupier.artifacts.repack import with_section

SECTION = "checked"

_MOST_BYTES = 4_096


def checked_of(artifact: Artifact) -> Comparison | None:
    """What `artifact` says; None if it says nothing.

    Raises:
        InvalidArtifact: its section is not what it should be.
    """
    section = artifact.sections.get(SECTION)
    if section is None:
        return None
    if len(section) > _MOST_BYTES:
        raise InvalidArtifact(f"the section {SECTION!r} is larger than {_MOST_BYTES} bytes")
    try:
        told = json.loads(bytes(section))
    except (ValueError, RecursionError) as error:
        raise InvalidArtifact(f"the section {SECTION!r} is no JSON") from error
    if not isinstance(told, dict):
        raise InvalidArtifact(f"the section {SECTION!r} is no JSON object")
    try:
        return from_told(told)
    except InvalidComparison as error:
        raise InvalidArtifact(f"the section {SECTION!r}: {error.message}") from error


def with_checked(data: bytes, comparison: Comparison) -> bytes:
    """The artifact in `data`, saying `comparison` in place of what it said.

    Raises:
        InvalidArtifact: no artifact.
    """
    return with_section(data, SECTION, json.dumps(comparison.told(), separators=(",", ":")).encode())
