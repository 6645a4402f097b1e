"""`croupier.stores.spool_writer` in plain Python, into bytearrays; and records to write."""

from __future__ import annotations

from dataclasses import asdict
from random import Random

from croupier.stores.spool import FRAME, HEADER, MAGIC, Record, pack
from croupier.stores.spool_writer import Appender, crc32c

SEGMENT = 4096


class PlainAppender:
    """Segments of `size` bytes, of which there are `most` at once."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.segments: list[bytearray] = []
        self.spares = 0
        self.kept = self.dropped = 0
        self._at = 0

    def give(self) -> None:
        self.spares += 1
        if not self.segments:
            self._turn()

    def append(self, record: Record) -> bool:
        data = pack(record)
        need = (FRAME.size + len(data) + 7) // 8 * 8
        has_room = bool(self.segments) and self._at + need <= self.size
        if need > self.size - HEADER.size or (not has_room and not self.spares):
            self.dropped += 1
            if self.segments:
                self._say(dropped=self.dropped)
            return False
        if not has_room:
            self._turn()
        sealed = self.kept.to_bytes(8, "little") + data
        frame = len(data).to_bytes(4, "little") + crc32c(sealed).to_bytes(4, "little") + sealed
        self.segments[-1][self._at : self._at + len(frame)] = frame
        self._at += need
        self.kept += 1
        return True

    def _turn(self) -> None:
        if self.segments:
            self.segments[-1][40:44] = (1).to_bytes(4, "little")
        self.spares -= 1
        number = len(self.segments)
        constant = HEADER.pack(MAGIC, self.size, number, self.kept, 0, 0, 0)[:32]
        self.segments.append(bytearray(self.size))
        header = HEADER.pack(MAGIC, self.size, number, self.kept, self.dropped, 0, crc32c(constant))
        self.segments[-1][: HEADER.size] = header
        self._at = HEADER.size

    def _say(self, dropped: int) -> None:
        self.segments[-1][32:40] = dropped.to_bytes(8, "little")


def record(rng: Random, most_bytes: int = 300, **changes: object) -> Record:
    """One of any names and bytes."""
    text = "".join(rng.choice("abcäö€😀-_/") for _ in range(rng.randrange(12)))
    made = {
        "kind": rng.randrange(2),
        "flags": rng.randrange(2),
        "item": rng.randrange(2**16),
        "time_us": rng.randrange(1, 2**60),
        "version": rng.randrange(2**63),
        "number": rng.randrange(2**63),
        "took_us": rng.randrange(2**32),
        "request_id": text,
        "tenant": text[::-1],
        "model": f"m{text}",
        "family": text[:4],
        "shadow_of": text[4:],
        "artifact": rng.randbytes(rng.choice([0, 32])),
        "rule": rng.randbytes(rng.randrange(20)),
        "request": rng.randbytes(rng.randrange(most_bytes)),
        "shared": rng.randbytes(rng.randrange(9)),
        "added": rng.randbytes(rng.randrange(most_bytes)),
        "reply": rng.randbytes(rng.randrange(most_bytes)),
    }
    return Record(**{**made, **changes})  # type: ignore[arg-type]


def append(appender: Appender, one: Record) -> bool:
    return appender.append(**asdict(one))
