"""Events of an etcd that is not there, in the layout of a version manager."""

from __future__ import annotations

from collections.abc import Mapping

from croupier.stores.etcd import Changed, KeyValue, Listed
from sharding.generation import Generation, Seat
from version_manager.map.chunks import Chunk, cut
from version_manager.map.keys import Keys
from version_manager.map.records import Active, encode
from version_manager.model.fleet import Cell
from version_manager.model.release import WHOLE, Release, Split, Version

KEYS = Keys()


def version(number: int = 1, digest: int | None = None) -> Version:
    return Version(number, bytes([number if digest is None else digest]) * 32, 10, "onnx")


def whole(version: int, number: int = 1, **labels: int) -> Release:
    return Release(number, (Split(version, WHOLE),), labels)


def generation(number: int, *cells: str, seed: int = 7) -> Generation:
    return Generation(number, seed, 1, tuple(Seat(cell, "a") for cell in cells or ("cell-1",)))


def cell(name: str = "cell-1", port: int = 9000) -> Cell:
    return Cell(name, "a", f"127.0.0.1:{port}")


def model_keys(tenant: str, name: str, number: int = 1) -> dict[str, bytes]:
    """A model with one version, released."""
    return {
        KEYS.version(tenant, name, number): encode(version(number)),
        KEYS.release(tenant, name): encode(whole(number)),
    }


def shard_keys(active: int, previous: int = 0, **archive: Generation) -> dict[str, bytes]:
    numbers = [number for number in (active, previous) if number]
    content = {KEYS.generation(number): encode(generation(number)) for number in numbers}
    return content | {KEYS.active: encode(Active(active, previous))}


def chunk_keys(found: Generation, chunk_bytes: int = 64) -> dict[str, bytes]:
    """A generation in chunks, and its head."""
    whole = cut(encode(found), chunk_bytes)
    chunks = {
        KEYS.chunk(found.number, place): encode(Chunk(text)) for place, text in enumerate(whole.texts, 1)
    }
    return {KEYS.generation(found.number): encode(whole.head)} | chunks


class FakeEtcd:
    """Content with revisions; each change returns the event that a follower would get."""

    def __init__(self, content: Mapping[str, bytes] = {}, *, cluster_id: int = 1, revision: int = 10) -> None:
        self.cluster_id = cluster_id
        self.revision = revision
        self.content = {key: self._pair(key, value) for key, value in content.items()}

    def listed(self) -> Listed:
        return Listed(tuple(self.content.values()), self.revision, self.cluster_id)

    def put(self, content: Mapping[str, bytes]) -> Changed:
        """All of `content` in one revision."""
        return self.change(content)

    def delete(self, *keys: str) -> Changed:
        """All of `keys` in one revision."""
        return self.change({}, *keys)

    def change(self, content: Mapping[str, bytes], *deletes: str, lease: int = 0) -> Changed:
        self.revision += 1
        pairs = {key: self._pair(key, value, lease) for key, value in content.items()}
        self.content.update(pairs)
        for key in deletes:
            del self.content[key]
        return Changed(tuple(pairs.values()), tuple((key, self.revision) for key in deletes), self.revision)

    def _pair(self, key: str, value: bytes, lease: int = 0) -> KeyValue:
        return KeyValue(key, value, self.revision, self.revision, lease)
