"""Records of models that nobody writes, read natively and by protobuf's library: with the same end.

What protobuf refuses is refused, and what it reads is the same model. Whoever is told less of a version is
told what protobuf would say without it, and a record's key is of the names that it has.
`tests/version_manager/model/test_encoded.py` does it for some thousands; `make fuzz` searches further.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))

from fuzz.messages_mutator import Parts, change, damage, encode, message, number, text
from google.protobuf.message import DecodeError

from croupier.artifacts.comparison import InvalidComparison
from croupier.fields import MalformedMessage
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model import wire
from version_manager.model.decode import read_model
from version_manager.model.encoded import names_of, told
from version_manager.model.release import Model

_REFUSED = "refused"
# Groups in groups, a hundred deep: protobuf counts the messages around them too.
_DEEP = re.compile(rb"(.{1,5}?)\1{95}", re.DOTALL)


class Search:
    """`ends` counts what became of the mutants; `differences` are those that end otherwise by protobuf."""

    def __init__(self, seed: int) -> None:
        self.ends: Counter[str] = Counter()
        self.differences: list[str] = []
        self._rng = Random(seed)

    def run(self, count: int) -> None:
        """Try so many mutants more."""
        for _ in range(count):
            parts = _seed(self._rng)
            for _ in range(self._rng.choice((0, 1, 1, 2, 5))):
                change(parts, self._rng)
            data = encode(parts)
            self._compare(damage(data, self._rng) if self._rng.random() < 0.2 else data)

    def _compare(self, record: bytes) -> None:
        expected, got = by_protobuf(record), natively(record)
        self.ends["refused" if expected == _REFUSED else "read"] += 1
        if got != expected and not (expected == _REFUSED and _DEEP.search(record)):
            self.differences.append(f"{got} for {expected}\n    {record.hex()}")


def natively(record: bytes) -> Any:
    try:
        return _words(read_model(record)), names_of(record), _known(told(record))
    except (MalformedMessage, InvalidComparison):
        return _REFUSED
    except DecodeError:
        return "told what is no message"


def by_protobuf(record: bytes) -> Any:
    try:
        found = pb.Model.FromString(record)
        model = wire.model_from_pb(found)
    except (DecodeError, InvalidComparison):
        return _REFUSED
    less = pb.Model()
    less.CopyFrom(found)
    for version in less.versions:
        version.ClearField("checked")
    for untold in ("author", "reason", "at", "restores") if less.HasField("release") else ():
        less.release.ClearField(untold)
    return _words(model), (found.tenant, found.name), _known(less.SerializeToString())


def _words(model: Model) -> tuple[str, ...]:
    """What it says, in words: of its numbers, some may be none, and no such one is the same as another."""
    release = model.release
    labels = [] if release is None else sorted(release.labels.items())
    versions = (f"{number} {version}" for number, version in model.versions.items())
    bare = release and replace(release, labels={})
    return model.tenant, model.name, *versions, f"{bare} {labels}"


def _known(record: bytes) -> bytes:
    """The record as protobuf writes it: maps in order."""
    return pb.Model.FromString(record).SerializeToString(deterministic=True)


def _seed(rng: Random) -> Parts:
    parts: Parts = [text(1, rng.choice(("acme", "é", ""))), text(2, "churn")]
    for version in range(rng.choice((0, 1, 2, 2, 4))):
        inside = [
            number(1, version + 1),
            text(2, bytes(32)),
            number(3, 2 ** rng.randrange(40)),
            text(4, "onnx"),
        ]
        if rng.random() < 0.4:
            inside.append(message(7, text(1, "xgboost"), text(2, "3.2.0"), number(3, 5), number(4, 31_500)))
        parts.append(message(3, *inside))
    if rng.random() < 0.8:
        shares = [message(2, number(1, 1), number(2, 9_000)), message(2, number(1, 2), number(2, 1_000))]
        labels = [message(3, text(1, label), number(2, 2)) for label in ("canary", "b")[: rng.randrange(3)]]
        parts.append(message(4, number(1, 3), *shares, *labels, text(4, "r")))
        if rng.random() < 0.5:
            ranges = [message(6, number(1, 9_000), number(2, 1)), message(6, number(1, 10_000), number(2, 2))]
            parts.append(message(4, text(5, "salt"), *ranges))
        if rng.random() < 0.5:
            parts.append(message(4, text(7, "ann"), text(8, "why"), number(10, 2)))
    return parts


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="mutants")
    parser.add_argument("--seed", type=int, default=1, help="of the mutants")
    asked = parser.parse_args()
    search = Search(asked.seed)
    search.run(asked.count)
    sys.stdout.write(f"{dict(search.ends)}, {len(search.differences)} differences\n")
    sys.stdout.writelines(f"{difference}\n" for difference in search.differences[:20])
    return 1 if search.differences else 0


if __name__ == "__main__":
    sys.exit(main())
