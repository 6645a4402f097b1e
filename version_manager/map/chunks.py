"""A shard map that is too large for one value in etcd: a head that names its chunks, and the chunks.

    shards/generations/12       {"schema":4,"chunks":["<sha256>","<sha256>"],"size":700123}
    shards/generations/12/1     {"schema":4,"text":"{\\"schema\\":4,\\"seed\\":…"}
    shards/generations/12/2     {"schema":4,"text":"…}"}

The texts in their order are what would stand under the generation's own key. It is read as a whole or not at
all, and whatever is wrong with a chunk is known by its digest. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta, Struct

from version_manager.map import schema
from version_manager.map.forms import Form
from version_manager.map.keys import ChunkKey, GenerationKey

MAX_BYTES = 2**23
# Escaped it takes less than twice as much, which etcd takes in one request.
CHUNK_BYTES = 2**19
# More than MAX_BYTES take, which are cut between characters.
_MOST_CHUNKS = 32

_Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


@dataclass(frozen=True, slots=True)
class Head:
    """`chunks` are the SHA-256 of the texts, in hexadecimal, and `size` is how many bytes they have."""

    chunks: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """`is_loose`: it is under a lease, since whoever writes it has not written the head yet."""

    text: str
    is_loose: bool = False


@dataclass(frozen=True, slots=True)
class Chunked:
    """A head with the texts that it names."""

    head: Head
    texts: tuple[str, ...]

    @property
    def text(self) -> str:
        return "".join(self.texts)


class HeadForm(Form, frozen=True, forbid_unknown_fields=True):
    chunks: Annotated[
        tuple[_Digest, ...], Meta(min_length=1, max_length=_MOST_CHUNKS, extra={schema.SINCE: 4})
    ]
    size: Annotated[int, Meta(ge=1, le=MAX_BYTES, extra={schema.SINCE: 4})]

    @classmethod
    def of(cls, record: Head) -> Self:
        return cls(record.chunks, record.size)

    def record(self, key: GenerationKey) -> Head:
        return Head(self.chunks, self.size)


class ChunkForm(Form, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, Meta(extra={schema.SINCE: 4})]

    @classmethod
    def of(cls, record: Chunk) -> Self:
        return cls(record.text)

    def record(self, key: ChunkKey) -> Chunk:
        return Chunk(self.text)


class _Any(Struct):
    chunks: Any = None


def is_head(value: bytes) -> bool:
    """Whether `value` means to be a head, right or wrong."""
    try:
        return msgspec.json.decode(value, type=_Any).chunks is not None
    except (ValueError, RecursionError):
        return False


def cut(value: bytes, chunk_bytes: int = CHUNK_BYTES) -> Chunked:
    """`value`, which is UTF-8, in chunks of so many bytes at most, and 4 at least."""
    texts = tuple(_cut(value, chunk_bytes))
    return Chunked(Head(tuple(map(digest, texts)), len(value)), texts)


def _cut(value: bytes, chunk_bytes: int) -> Iterator[str]:
    start = 0
    while start < len(value):
        end = min(start + chunk_bytes, len(value))
        # Not within a character.
        while end < len(value) and value[end] & 0xC0 == 0x80:
            end -= 1
        yield value[start:end].decode()
        start = end


def digest(text: str) -> str:
    """Text in JSON may have halves of characters, which are nobody's chunk."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def faults(head: Head | None, chunks: Mapping[int, Chunk], number: int, *, is_whole: bool) -> dict[int, str]:
    """What is wrong with the chunks of generation `number`, by their places, which count from 1.

    `is_whole`: it stands under its own key, and has none.
    """
    found: dict[int, str] = {}
    wanted = head.chunks if head else ()
    for place, known in enumerate(wanted, 1):
        chunk = chunks.get(place)
        if chunk is None:
            found[place] = f"it is missing: generation {number} has {len(wanted)} chunks"
        elif digest(chunk.text) != known:
            found[place] = f"it is not the chunk that generation {number} has: its SHA-256 is not {known}"
    for place, chunk in chunks.items():
        if place > len(wanted) and not chunk.is_loose:
            has = f"has {len(wanted)} chunks" if head else "has none" if is_whole else "is not there"
            found[place] = f"it belongs to nothing: generation {number} {has}"
    return found
