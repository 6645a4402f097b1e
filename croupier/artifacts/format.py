"""The packed artifact: one flat file that says what a model takes, gives and is scored by.

Whoever trains a model packs it; a cell only reads the result, without any training library. A file
is little-endian, and every byte of it is determined by its content, so that one model has one digest:

    offset  size  what
    0       8     magic, "CROUPIER"
    8       2     format version, 1
    10      2     flags: bit 0 accepts_missing (NaN is a legal feature value), bit 1 finite (infinity is
                  none), bit 2 complete (none may be left out, even where NaN is legal); the others are 0
    12      4     N, bytes of names
    16      8     size of the whole file in bytes
    24      2     F, number of features (0 to 32,768)
    26      2     I, number of input tensors (1 to 4,096)
    28      2     O, number of output tensors (1 to 4,096)
    30      2     S, number of sections (1 to 64)
    32      16·S  for each section: u64 offset from the start of the file, u64 length
    …       32·I  for each input:  u8 datatype code, u8 rank (1 to 7), u16 zero, 7 × i32 shape
    …       32·O  for each output: the same; unused places of a shape are 0
    …       N     names as UTF-8, separated by one NUL: the engine, then features, inputs, outputs, sections
    …             zeros up to the next multiple of 64, then the first section

Each section begins where the one before ends, rounded up to a multiple of 64 with zeros between;
the last one ends the file. What a section holds is its engine's business.

A shape begins with -1, the batch. In an input the other dimensions are positive; an output may say
-1 for one that it does not know. When there are features, a row of them fills either one input of
shape (-1, F), or F inputs of shape (-1, 1) that have the features' names in the same order.

`view` trusts nothing: every count, offset, code and name is checked before it is used, and the
caller gets slices of its own buffer, so a corrupt or hostile file costs an error and never more
memory than it has bytes. It is sooner done if its tables were seen lately.

It is long because whoever changes how it is written changes how it is read.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from croupier.artifacts.datatypes import DATATYPES
from croupier.errors import InvalidRequest

MAGIC = b"CROUPIER"
VERSION = 1
ALIGNMENT = 64

MAX_FEATURES = 32_768
MAX_TENSORS = 4_096
MAX_SECTIONS = 64
MAX_RANK = 7
MAX_NAME_LENGTH = 256
MAX_NAMES_BYTES = 4 << 20
# Bytes of tables that are remembered, for 256 of them.
_REMEMBERED = 16 << 10

_ACCEPTS_MISSING, _FINITE, _COMPLETE = 1, 2, 4
_FLAGS = _ACCEPTS_MISSING | _FINITE | _COMPLETE

_HEADER = struct.Struct("<8sHHIQHHHH")
_SECTION = struct.Struct("<QQ")
_TENSOR = struct.Struct("<BBH7i")
HEADER_SIZE = _HEADER.size

# The position of a name is its code in the file: only ever append.
_CODED = (
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
)
_CODES = {name: code for code, name in enumerate(_CODED)}
assert _CODES.keys() == DATATYPES.keys()

_ENGINE = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_CONTROL = re.compile("[\x01-\x1f\x7f]")


class InvalidArtifact(InvalidRequest):
    """Bytes that are no packed artifact, or a description that cannot be packed. The publisher's."""

    reason = "INVALID_ARTIFACT"

    def __init__(self, message: str) -> None:
        super().__init__(message, field="artifact")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output: `datatype` is an Open Inference Protocol name, `shape` begins with -1."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A checked view of a packed artifact; `sections` are read-only slices of the viewed buffer.

    `accepts_missing`: NaN is a legal feature value. `finite`: an infinite one is not. `complete`: no named
    feature may be left out, for the model is not known to have seen missing values.
    """

    engine: str
    features: tuple[str, ...]
    accepts_missing: bool
    finite: bool
    complete: bool
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    sections: Mapping[str, memoryview]

    def section(self, name: str) -> memoryview:
        """The bytes of section `name`.

        Raises:
            InvalidArtifact: there is none.
        """
        try:
            return self.sections[name]
        except KeyError:
            raise InvalidArtifact(f"a {self.engine} artifact has a section {name!r}; this has none") from None


def digest_of(data: bytes | memoryview) -> bytes:
    """The SHA-256 by which an artifact is known: 32 bytes."""
    return hashlib.sha256(data).digest()


def pack(
    *,
    engine: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    sections: Mapping[str, bytes],
    features: Sequence[str] = (),
    accepts_missing: bool = False,
    finite: bool = False,
    complete: bool = False,
) -> bytes:
    """Pack a model for `engine`; equal arguments give equal bytes. The flags are told at `Artifact`.

    Raises:
        InvalidArtifact: the description breaks a rule of the format.
    """
    _check_counts(len(features), len(inputs), len(outputs), len(sections))
    _check_description(engine, features, inputs, outputs, sections)
    tensors = (*inputs, *outputs)
    names = _encode_names([engine, *features, *(tensor.name for tensor in tensors), *sections])
    table_size = _HEADER.size + _SECTION.size * len(sections) + _TENSOR.size * len(tensors) + len(names)

    offsets: list[int] = []
    size = table_size
    for content in sections.values():
        offsets.append(_aligned(size))
        size = offsets[-1] + len(content)

    packed = bytearray(size)
    _HEADER.pack_into(
        packed,
        0,
        MAGIC,
        VERSION,
        _ACCEPTS_MISSING * accepts_missing | _FINITE * finite | _COMPLETE * complete,
        len(names),
        size,
        len(features),
        len(inputs),
        len(outputs),
        len(sections),
    )
    rows = [
        _SECTION.pack(offset, len(content))
        for offset, content in zip(offsets, sections.values(), strict=True)
    ]
    packed[_HEADER.size : table_size] = b"".join([*rows, *map(_encode_tensor, tensors), names])
    for offset, content in zip(offsets, sections.values(), strict=True):
        packed[offset : offset + len(content)] = content
    return bytes(packed)


def check_header(begin: bytes | memoryview, length: int) -> None:
    """Check the first `HEADER_SIZE` bytes of what is to have `length`, while the others are still to come.

    Raises:
        InvalidArtifact: `view` would refuse it for these alone.
    """
    _read_header(memoryview(begin), length)


def view(data: bytes | memoryview) -> Artifact:
    """Check a packed artifact and describe it, without copying its sections.

    Raises:
        InvalidArtifact: saying what is wrong; no bytes at all raise anything else.
    """
    whole = memoryview(data).cast("B").toreadonly()
    flags, names_size, *counts = _read_header(whole, len(whole))
    _, input_count, output_count, section_count = counts
    tensors_at = _HEADER.size + _SECTION.size * section_count
    names_at = tensors_at + _TENSOR.size * (input_count + output_count)
    end = names_at + names_size
    if end > len(whole):
        raise InvalidArtifact("the tables do not fit into the file")

    # A fleet's models have few different tables: an equal one was checked before.
    describe = _described_before if end - tensors_at <= _REMEMBERED else _describe
    told = describe(bytes(whole[tensors_at:end]), names_size, *counts)
    spans = _SECTION.iter_unpack(whole[_HEADER.size : tensors_at])
    sections = dict(zip(told.sections, _cut(whole, end, spans), strict=True))
    accepts_missing, finite, complete = (
        bool(flags & flag) for flag in (_ACCEPTS_MISSING, _FINITE, _COMPLETE)
    )
    return Artifact(
        told.engine, told.features, accepts_missing, finite, complete, told.inputs, told.outputs, sections
    )


@dataclass(frozen=True, slots=True)
class _Description:
    engine: str
    features: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    sections: tuple[str, ...]


def _describe(
    tables: bytes, names_size: int, features: int, inputs: int, outputs: int, sections: int
) -> _Description:
    """What the tables of tensors and names say, checked."""
    whole = memoryview(tables)
    names_at = len(tables) - names_size
    names = _decode_names(whole[names_at:], 1 + features + inputs + outputs + sections)
    inputs_from = 1 + features
    sections_from = len(names) - sections
    tensors = [
        _decode_tensor(name, *record)
        for name, record in zip(
            names[inputs_from:sections_from], _TENSOR.iter_unpack(whole[:names_at]), strict=True
        )
    ]
    told = _Description(
        names[0],
        tuple(names[1:inputs_from]),
        tuple(tensors[:inputs]),
        tuple(tensors[inputs:]),
        tuple(names[sections_from:]),
    )
    _check_description(told.engine, told.features, told.inputs, told.outputs, told.sections)
    return told


_described_before = lru_cache(maxsize=256)(_describe)


def _read_header(begin: memoryview, length: int) -> tuple[int, int, int, int, int, int]:
    """Flags, bytes of names, and the four counts, of a file that has `length` bytes."""
    if len(begin) < _HEADER.size:
        raise InvalidArtifact(f"{length} bytes are too few for an artifact")
    magic, version, flags, names_size, size, *counts = _HEADER.unpack_from(begin)
    if magic != MAGIC:
        raise InvalidArtifact("this is no packed artifact: the magic is missing")
    if version != VERSION:
        raise InvalidArtifact(f"format version {version} is unknown here; this reads version {VERSION}")
    if size != length:
        raise InvalidArtifact(f"the file should have {size} bytes and has {length}")
    if flags & ~_FLAGS:
        raise InvalidArtifact(f"unknown flags: {flags:#06x}")
    _check_counts(*counts)
    features, inputs, outputs, sections = counts
    return flags, names_size, features, inputs, outputs, sections


def _check_counts(features: int, inputs: int, outputs: int, sections: int) -> None:
    for what, count, least, most in (
        ("features", features, 0, MAX_FEATURES),
        ("inputs", inputs, 1, MAX_TENSORS),
        ("outputs", outputs, 1, MAX_TENSORS),
        ("sections", sections, 1, MAX_SECTIONS),
    ):
        if not least <= count <= most:
            raise InvalidArtifact(f"{count} {what}: there may be {least} to {most}")


def _check_description(
    engine: str,
    features: Sequence[str],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    sections: Iterable[str],
) -> None:
    if not _ENGINE.fullmatch(engine):
        raise InvalidArtifact("the engine's name is not a lower-case word")
    _check_names("feature", features)
    _check_names("input", [tensor.name for tensor in inputs])
    _check_names("output", [tensor.name for tensor in outputs])
    _check_names("section", list(sections))
    for tensor in inputs:
        _check_tensor(tensor)
        if min(tensor.shape[1:], default=1) < 1:
            raise InvalidArtifact(f"input {tensor.name!r} has a dimension beside the batch that is not fixed")
    for tensor in outputs:
        _check_tensor(tensor)
    if features:
        _check_features_fit(features, inputs)


def _check_names(what: str, names: Sequence[str]) -> None:
    if "" in names:
        raise InvalidArtifact(f"a name of a {what} is empty")
    if max(map(len, names), default=0) > MAX_NAME_LENGTH:
        raise InvalidArtifact(f"a name of a {what} is longer than {MAX_NAME_LENGTH} characters")
    if len(set(names)) != len(names):
        raise InvalidArtifact(f"two names of a {what} are the same")


def _check_tensor(tensor: Tensor) -> None:
    shape = tensor.shape
    if tensor.datatype not in _CODES:
        raise InvalidArtifact(f"tensor {tensor.name!r} has the unknown datatype {tensor.datatype!r}")
    if not 1 <= len(shape) <= MAX_RANK:
        raise InvalidArtifact(f"tensor {tensor.name!r} has rank {len(shape)}: it may be 1 to {MAX_RANK}")
    if shape[0] != -1:
        raise InvalidArtifact(f"tensor {tensor.name!r} has a fixed first dimension: it is the batch, -1")
    if 0 in shape or min(shape) < -1 or max(shape) >= 2**31:
        raise InvalidArtifact(f"tensor {tensor.name!r} has an impossible shape")


def _check_features_fit(features: Sequence[str], inputs: Sequence[Tensor]) -> None:
    """A row of features fills one wide input or as many inputs one wide; see the module's text."""
    if len(inputs) == 1 and inputs[0].shape == (-1, len(features)):
        return
    one_each = all(tensor.shape == (-1, 1) for tensor in inputs)
    if not one_each or [tensor.name for tensor in inputs] != list(features):
        raise InvalidArtifact(
            f"{len(features)} features fill one input of shape (-1, {len(features)}) "
            "or inputs of shape (-1, 1) named like them; these inputs are neither"
        )


def _encode_names(names: Sequence[str]) -> bytes:
    text = "\0".join(names)
    if text.count("\0") != len(names) - 1 or _CONTROL.search(text):
        raise InvalidArtifact("a name has a control character")
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise InvalidArtifact("a name is not valid Unicode") from None
    if len(encoded) > MAX_NAMES_BYTES:
        raise InvalidArtifact(f"the names are longer than {MAX_NAMES_BYTES} bytes together")
    return encoded


def _decode_names(encoded: memoryview, count: int) -> list[str]:
    if len(encoded) > MAX_NAMES_BYTES:
        raise InvalidArtifact(f"the names are longer than {MAX_NAMES_BYTES} bytes together")
    try:
        text = str(encoded, "utf-8")
    except UnicodeDecodeError:
        raise InvalidArtifact("the names are not valid UTF-8") from None
    if _CONTROL.search(text):
        raise InvalidArtifact("a name has a control character")
    names = text.split("\0")
    if len(names) != count:
        raise InvalidArtifact(f"there are {len(names)} names where {count} are due")
    return names


def _encode_tensor(tensor: Tensor) -> bytes:
    rank = len(tensor.shape)
    return _TENSOR.pack(_CODES[tensor.datatype], rank, 0, *tensor.shape, *(0,) * (MAX_RANK - rank))


def _decode_tensor(name: str, code: int, rank: int, zero: int, *shape: int) -> Tensor:
    if code >= len(_CODED):
        raise InvalidArtifact(f"tensor {name!r} has the unknown datatype code {code}")
    if zero or any(shape[rank:]):
        raise InvalidArtifact(f"tensor {name!r} has bytes that should be zero")
    if rank > MAX_RANK:
        raise InvalidArtifact(f"tensor {name!r} has rank {rank}: it may be 1 to {MAX_RANK}")
    return Tensor(name, _CODED[code], shape[:rank])


def _cut(whole: memoryview, end: int, spans: Iterable[tuple[int, ...]]) -> list[memoryview]:
    """The sections; `end` is where the tables end."""
    sections: list[memoryview] = []
    for offset, length in spans:
        if offset != _aligned(end):
            raise InvalidArtifact(f"a section lies at {offset} where {_aligned(end)} is due")
        if offset + length > len(whole):
            raise InvalidArtifact("a section does not fit into the file")
        if any(whole[end:offset]):
            raise InvalidArtifact("the bytes between two sections are not zero")
        end = offset + length
        sections.append(whole[offset:end])
    if end != len(whole):
        raise InvalidArtifact(f"{len(whole) - end} bytes follow the last section")
    return sections


def _aligned(size: int) -> int:
    """The next multiple of 64."""
    return -(-size // ALIGNMENT) * ALIGNMENT
