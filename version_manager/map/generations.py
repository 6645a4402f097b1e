"""The generations that etcd has, each whole: those under one key as they decode, those in chunks joined.

What is wrong with a chunk changes nothing: the last good generation stays. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sharding.generation import Generation
from version_manager.map.chunks import Chunk, Chunked, Head, faults
from version_manager.map.keys import BadRecord, ChunkKey, GenerationKey, Key, Keys
from version_manager.map.problems import MOST_WORDS, Misfits, Problem
from version_manager.map.records import Record, decode


class Generations:
    """`known` has those of every number that etcd has, as far as they make sense."""

    def __init__(self, keys: Keys, misfits: Misfits) -> None:
        self._keys = keys
        self._misfits = misfits
        self.known: dict[int, Generation] = {}
        self._heads: dict[int, Head] = {}
        self._chunks: dict[int, dict[int, Chunk]] = {}
        # The last good ones.
        self._chunked: dict[int, Chunked] = {}

    def enter(self, said: Mapping[Key, Record | None], problems: list[Problem]) -> bool:
        """Note what is said of generations; returns whether anything is."""
        numbers: dict[int, None] = {}
        for key, record in said.items():
            match key:
                case GenerationKey():
                    self._enter_head(key.number, record)
                case ChunkKey():
                    self._enter_chunk(key, record)
                case _:
                    continue
            numbers[key.number] = None
        for number in numbers:
            self._join(number, problems)
        return bool(numbers)

    def keep_chunked(self, numbers: Collection[int]) -> Mapping[int, Chunked]:
        """Forget the chunks of all generations but `numbers`; returns those of these."""
        self._chunked = {number: one for number, one in self._chunked.items() if number in numbers}
        return self._chunked

    def _enter_head(self, number: int, record: Record | None) -> None:
        match record:
            case Head():
                self._heads[number] = record
            case Generation():
                self.known[number] = record
                self._heads.pop(number, None)
                self._chunked.pop(number, None)
            case _:
                self.known.pop(number, None)
                self._heads.pop(number, None)
                self._misfits.clear(self._keys.generation(number))

    def _enter_chunk(self, key: ChunkKey, record: Record | None) -> None:
        if isinstance(record, Chunk):
            self._chunks.setdefault(key.number, {})[key.place] = record
        else:
            self._chunks.get(key.number, {}).pop(key.place, None)

    def _join(self, number: int, problems: list[Problem]) -> None:
        """Make a generation of its head and its chunks, if all are right; else the last good one stays."""
        head, chunks = self._heads.get(number), self._chunks.get(number, {})
        if not chunks:
            self._chunks.pop(number, None)
        found = faults(head, chunks, number, is_whole=head is None and number in self.known)
        own = self._keys.chunks(number)
        wrong = {self._keys.chunk(number, place): words for place, words in found.items()}
        for key in [key for key in self._misfits.by_key if key.startswith(own) and key not in wrong]:
            self._misfits.clear(key)
        for key, words in wrong.items():
            self._misfits.blame(Problem(key, "chunk", words, "text"), problems)
        if head is None:
            return
        key = self._keys.generation(number)
        try:
            if found:
                self._check_same(number, head)
                return
            whole = Chunked(head, tuple(chunks[place].text for place in range(1, len(head.chunks) + 1)))
            generation = _generation(number, whole)
        except BadRecord as error:
            words, where = error.message[:MOST_WORDS], error.field[:MOST_WORDS]
            self._misfits.blame(Problem(key, "generation", words, where), problems)
        else:
            self._misfits.clear(key)
            self.known[number], self._chunked[number] = generation, whole

    def _check_same(self, number: int, head: Head) -> None:
        """Raises BadRecord: what is wrong with its chunks may be the head's fault."""
        known = self._chunked.get(number)
        if known is not None and known.head != head:
            raise BadRecord("it had other chunks, and does not fit those that are there", field="chunks")
        self._misfits.clear(self._keys.generation(number))


def _generation(number: int, whole: Chunked) -> Generation:
    """Raises BadRecord."""
    value = whole.text.encode("utf-8", "surrogatepass")
    if len(value) != whole.head.size:
        raise BadRecord(f"its chunks have {len(value)} bytes, and not {whole.head.size}", field="size")
    record = decode(GenerationKey(number), value)
    if not isinstance(record, Generation):
        raise BadRecord("its chunks hold the head of others", field="chunks")
    return record
