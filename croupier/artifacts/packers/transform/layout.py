"""A transform to the bytes of its block, which ends a section `forest` or `linear`."""

from __future__ import annotations

import struct

import numpy as np

from croupier.artifacts.engines import NATIVE
from croupier.artifacts.format import ALIGNMENT, MAX_FEATURES, InvalidArtifact
from croupier.artifacts.packers.transform.description import Feature, Kind, Step, Transform

VERSION = 1
_HEADER = struct.Struct("<HH 9I")
STEP = np.dtype(
    [
        ("kind", "<u2"),
        ("flags", "<u2"),
        ("source", "<u4"),
        ("column", "<u4"),
        ("first", "<u4"),
        ("count", "<u4"),
        ("other", "<u4"),
        ("fill", "<f8"),
        ("a", "<f8"),
        ("b", "<f8"),
    ]
)
_MISSING, _INFINITE, _TEXT, _REFUSES_UNKNOWN, _MAY_OVERFLOW = 1, 2, 4, 8, 16
_CLIPS, _GOES_ON = 1, 2
_NO_COLUMN = 0xFFFF_FFFF
_MAXSTEPS = 65_536
# Where every native section has its flags, one of which says that a transform follows.
_FLAGS_AT = 4


def attach(engine: str, section: bytes, transform: Transform) -> bytes:
    """The engine's section with the block behind it."""
    joined = bytearray(section)
    (flags,) = struct.unpack_from("<I", joined, _FLAGS_AT)
    struct.pack_into("<I", joined, _FLAGS_AT, flags | NATIVE[engine].transform)
    joined += bytes(-len(joined) % ALIGNMENT)
    return bytes(joined + encode(transform))


def encode(transform: Transform) -> bytes:
    """The block's bytes.

    Raises:
        InvalidArtifact: the transform is beyond what the block can hold.
    """
    for what, count, most in (
        ("features", len(transform.features), MAX_FEATURES),
        ("columns", transform.columns, MAX_FEATURES),
        ("steps", len(transform.steps), _MAXSTEPS),
    ):
        if not 1 <= count <= most:
            raise InvalidArtifact(f"a pipeline of {count} {what}: there may be 1 to {most}")
    steps, numbers = _steps(transform)
    dictionaries, entries, texts = _dictionaries(transform.features)
    header = _HEADER.pack(
        VERSION,
        0,
        0,
        len(transform.features),
        transform.columns,
        len(steps),
        len(dictionaries) - 1,
        len(numbers),
        len(entries),
        len(texts),
        0,
    )
    parts = [
        header,
        bytes(map(_policy, transform.features)),
        steps.tobytes(),
        np.array(numbers, "<f8").tobytes(),
        np.array(dictionaries, "<u4").tobytes(),
        np.array(entries, "<u4").tobytes(),
        texts,
    ]
    joined = bytearray()
    for part in parts:
        joined += bytes(-len(joined) % 8)
        joined += part
    return bytes(joined)


def _policy(feature: Feature) -> int:
    return (
        _MISSING * feature.accepts_missing
        | _INFINITE * feature.accepts_infinite
        | _TEXT * (feature.texts is not None)
        | _REFUSES_UNKNOWN * feature.refuses_unknown
        | _MAY_OVERFLOW * feature.may_overflow
    )


def _steps(transform: Transform) -> tuple[np.ndarray[tuple[int], np.dtype[np.void]], list[float]]:
    """The steps, and the numbers of all of them in turn."""
    found = np.zeros(len(transform.steps), STEP)
    numbers: list[float] = []
    for place, step in enumerate(transform.steps):
        own = [*(step.clip or ()), *step.categories, *step.values]
        found[place] = (
            step.kind,
            _CLIPS * (step.clip is not None) | _GOES_ON * step.goes_on,
            step.source,
            step.column,
            len(numbers) if own else 0,
            len(step.categories),
            _other(step),
            step.fill,
            step.a,
            step.b,
        )
        numbers += own
    return found, numbers


def _other(step: Step) -> int:
    if step.kind is not Kind.ONE_HOT:
        return 0
    return _NO_COLUMN if step.other is None else step.other


def _dictionaries(
    features: tuple[Feature, ...],
) -> tuple[list[tuple[int, int]], list[tuple[int, int]], bytes]:
    """Dictionaries, their entries, and all texts in turn."""
    dictionaries: list[tuple[int, int]] = []
    entries: list[tuple[int, int]] = []
    joined = bytearray()
    for place, feature in enumerate(features):
        if feature.texts is None:
            continue
        dictionaries.append((place, len(entries)))
        for text in feature.texts:
            entries.append((len(joined), len(text)))
            joined += text
    return [*dictionaries, (0, len(entries))], entries, bytes(joined)
