"""Requests that nobody writes, weighed as their bytes arrive, and whole by a plain twin: with the same end.

Mutants as in `messages.py`, under bounds so tight that small ones are refused, arrive in pieces of any size.
What may still come (memory, fields) must be the same however a message was cut, or why it is refused; and
protobuf's library refuses what is found to be malformed.
`tests/croupier/test_weight_arriving.py` does it for some thousands; `make fuzz` searches further.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))

from fuzz import messages_seeds as seeds
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from support.weight_twin import Refused, Twin

from croupier.fields import MAX_FIELDS, MalformedMessage, TooManyFields
from croupier.weight import Scale, TooHeavy
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb

_OUTSIDE = (0, 0, 0, 1, 2, 5, 20)
_KINDS: Sequence[tuple[seeds.Make, Any]] = (
    (seeds.infer, oip.ModelInferRequest.DESCRIPTOR),
    (seeds.predict, pb.PredictRequest.DESCRIPTOR),
    (seeds.frame, pb.PredictStreamRequest.DESCRIPTOR),
    (seeds.metadata, oip.ModelMetadataRequest.DESCRIPTOR),
)


class Search:
    """`ends` counts what became of the mutants; `differences` are those that end otherwise by the twin."""

    def __init__(self, seed: int) -> None:
        self.ends: Counter[str] = Counter()
        self.differences: list[str] = []
        self._rng = Random(seed)
        self._models = seeds.models()
        self._scales = {
            (descriptor, outside): Scale(descriptor, outside)
            for _, descriptor in _KINDS
            for outside in _OUTSIDE
        }

    def run(self, count: int) -> None:
        """Try at least `count` mutants more."""
        until = self.ends.total() + count
        while self.ends.total() < until:
            make, descriptor = self._rng.choice(_KINDS)
            for mutant in seeds.mutants(make, self._models, self._rng):
                self._compare(descriptor, mutant)

    def _compare(self, descriptor: Any, data: bytes) -> None:
        rng = self._rng
        outside = rng.choice(_OUTSIDE)
        bounds = {
            "memory": rng.choice((0, rng.randrange(1, 400), rng.randrange(1, 20_000))),
            "fields": rng.choice((MAX_FIELDS, rng.randrange(1, 30))),
        }
        cuts = [*self._cuts(len(data)), len(data)]
        got = arrived(self._scales[descriptor, outside], data, cuts, bounds)
        expected = told(descriptor, data, outside, bounds)
        self.ends[str(expected) if isinstance(expected, str) else "taken"] += 1
        if got == "MalformedMessage" and is_message(descriptor, data):
            self.differences.append(f"{descriptor.name}: not malformed for protobuf\n    {data.hex()}")
        if got != expected:
            self.differences.append(
                f"{descriptor.name} {bounds} {outside=} {cuts=}: {got} for {expected}\n    {data.hex()}"
            )

    def _cuts(self, size: int) -> Iterator[int]:
        step = self._rng.choice((1, 3, 20, 200))
        at = 0
        while (at := at + self._rng.randint(1, step)) < size:
            yield at


def arrived(
    scale: Scale, data: bytes, cuts: Sequence[int], bounds: dict[str, int]
) -> str | tuple[int, int, int]:
    try:
        return scale.check_pieces(data, cuts, **bounds)
    except (TooHeavy, TooManyFields, MalformedMessage) as error:
        return type(error).__name__


def told(descriptor: Any, data: bytes, outside: int, bounds: dict[str, int]) -> str | tuple[int, int, int]:
    twin = Twin(len(data), is_whole=False, outside=outside, **bounds)
    try:
        twin.check(descriptor, data)
    except Refused as error:
        return str(error)
    return twin.left, twin.spare, twin.outside


def is_message(descriptor: Any, data: bytes) -> bool:
    try:
        GetMessageClass(descriptor).FromString(data)
    except DecodeError:
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="mutants")
    parser.add_argument("--seed", type=int, default=1, help="of the mutants")
    told = parser.parse_args()
    search = Search(told.seed)
    search.run(told.count)
    sys.stdout.write(f"{dict(search.ends)}, {len(search.differences)} differences\n")
    sys.stdout.writelines(f"{difference}\n" for difference in search.differences[:20])
    return 1 if search.differences else 0


if __name__ == "__main__":
    sys.exit(main())
