"""How far the log is, on the disk: what was written, and what is being written.

One small file, replaced whole and synced at each step. `places` says up to where each writer's records are
in the store. `batch`, while one is being written, fixes all of it before the first object is put: which
records, by their segments, and what the objects are called. Whoever starts again with a batch in the file
writes the very same objects.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from croupier.errors import DataLoss
from croupier.sealed import read_sealed, write_sealed
from croupier.stores.spool_reader import Place, Range

FILE = "logger.progress"
_MAGIC = b"croupier log progress 1\n"


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that are written together; `places` is where their writers are after it."""

    number: int
    ranges: tuple[Range, ...]
    objects: tuple[str, ...]
    places: Mapping[str, Place]


@dataclass(frozen=True, slots=True)
class Totals:
    """Since the first start: rows in the store, and records that did not come to one."""

    rows: int = 0
    lost: int = 0
    dropped: int = 0
    undecodable: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """`logger` is a word of its own, which names of objects begin with: several hosts write into one log."""

    logger: str
    number: int = 0
    places: Mapping[str, Place] = field(default_factory=dict)
    batch: Batch | None = None
    totals: Totals = field(default_factory=Totals)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What the file in `folder` says; a beginning where there is none.

        Raises:
            DataLoss: it is damaged: what was written cannot be told from what was not.
            OSError: it cannot be read.
        """
        path = folder / FILE
        try:
            data = read_sealed(path, _MAGIC)
        except FileNotFoundError:
            return cls(secrets.token_hex(6))
        try:
            return cls(**_from_json(json.loads(bytes(data))))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataLoss(f"{path} is not what a logger writes") from error

    def save(self, folder: Path) -> None:
        """Raises OSError."""
        write_sealed(folder / FILE, _MAGIC, [json.dumps(asdict(self)).encode()])

    def begun(self, batch: Batch) -> Self:
        """With `batch` being written."""
        return replace(self, batch=batch)

    def done(self, totals: Totals) -> Self:
        """With the batch written."""
        assert self.batch is not None
        places = {**self.places, **self.batch.places}
        return replace(self, number=self.batch.number + 1, places=places, batch=None, totals=totals)

    def without(self, incarnation: str) -> Self:
        """Without a writer of whom nothing is left."""
        places = {name: place for name, place in self.places.items() if name != incarnation}
        return replace(self, places=places)


def _from_json(found: dict[str, Any]) -> dict[str, Any]:
    batch = found["batch"]
    if batch is not None:
        ranges = tuple(Range(**one) for one in batch["ranges"])
        batch = Batch(batch["number"], ranges, tuple(batch["objects"]), _places(batch["places"]))
    return {
        **found,
        "places": _places(found["places"]),
        "batch": batch,
        "totals": Totals(**found["totals"]),
    }


def _places(found: dict[str, Any]) -> dict[str, Place]:
    return {name: Place(**one) for name, one in found.items()}
