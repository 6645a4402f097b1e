"""Calls of load tests that nobody made, counted natively and by a plain twin; and answers, by protobuf too.

Of some thousand values, out of order, before the start and beyond every bucket, the same must stand in each
second, row and bucket. An answer is whole where protobuf's own library finds a value in each of its results;
one that was cut, or got company, is taken for whole only if that library reads it.
`tests/croupier/transport/http2/test_counted_call.py` does it for thousands; `make fuzz` searches further.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))

from google.protobuf.message import DecodeError
from support.counted_twin import PlainCounts, is_answered, seen

from croupier.transport.http2 import counted_call
from croupier.transport.http2.counted_call import Counts
from protos.prediction.v1 import prediction_pb2 as pb

_START = 1000.0
_MOST_STEPS = 200


class Search:
    """`ends` counts what was tried; `differences` are what was not as the twin has it."""

    def __init__(self, seed: int) -> None:
        self.ends: Counter[str] = Counter()
        self.differences: list[str] = []
        self._rng = Random(seed)

    def run(self, count: int) -> None:
        """Try at least `count` values and answers more."""
        until = self.ends.total() + count
        while self.ends.total() < until:
            self._count(self._rng.randrange(_MOST_STEPS))
            for _ in range(10):
                self._answer()

    def _count(self, steps: int) -> None:
        found, twin = Counts([False, True], timeout=2.0), PlainCounts(_START)
        found.start = _START
        for _ in range(steps):
            self._step(found, twin)
            if self._rng.random() < 0.02:
                self._compare(found, twin)
        self._compare(found, twin)
        self.ends["counted"] += steps

    def _step(self, found: Counts, twin: PlainCounts) -> None:
        rng = self._rng
        due = _START + rng.choice((-1.0, 0.0, 0.5, 1.0, rng.uniform(-1, 30), rng.expovariate(0.1)))
        sent = due + rng.choice((0.0, rng.expovariate(1e4), rng.expovariate(1)))
        now = sent + rng.choice((0.0, 1e-6, 0.002047, 0.002048, rng.expovariate(100), 1e5))
        kind = rng.randrange(4)
        if kind < 2:
            found.answer(kind, due, sent, now)
            twin.record(due, kind, now - due)
            twin.record(due, found.since, now - sent)
        elif kind == 2:
            found.fail(due, now)
            twin.record(due, found.failed, now - due)
        else:
            found.send(due, sent)
            twin.record(due, found.late, sent - due)

    def _compare(self, found: Counts, twin: PlainCounts) -> None:
        ours: defaultdict[tuple[int, int], list[tuple[int, float, float, dict[int, int]]]] = defaultdict(list)
        for one in found.harvest():
            for key, value in seen([one]).items():
                ours[key].append(value)
        theirs = twin.harvest()
        for key in ours.keys() | theirs.keys():
            count, total, most, buckets = theirs.get(key, (0, 0.0, 0.0, {}))
            # A second that came back after a later one took its place stands in several parts.
            parts = ours[key]
            merged: Counter[int] = Counter()
            for part in parts:
                merged.update(part[3])
            if (
                sum(part[0] for part in parts) != count
                or not math.isclose(sum(part[1] for part in parts), total, rel_tol=1e-9, abs_tol=1e-9)
                or max([0.0, *(part[2] for part in parts)]) != most
                or merged != buckets
            ):
                self.differences.append(f"second and row {key}: {parts} for {theirs.get(key)}")

    def _answer(self) -> None:
        rng = self._rng
        whole = pb.PredictResponse(results=[self._result() for _ in range(rng.randrange(5))])
        data = whole.SerializeToString()
        if counted_call.is_answered(data) != is_answered(data):
            self.differences.append(f"not {counted_call.is_answered(data)} for protobuf\n    {data.hex()}")
        for other in (data[: rng.randrange(len(data) + 1)], data + rng.randbytes(rng.randrange(1, 4))):
            if counted_call.is_answered(other) and not _has_results(other):
                self.differences.append(f"taken for an answer\n    {other.hex()}")
        self.ends["answers" if is_answered(data) else "no answers"] += 1

    def _result(self) -> pb.Result:
        rng = self._rng
        if rng.random() < 0.1:
            return pb.Result(status=pb.Status(code=14))
        value = pb.Value(outputs=[pb.Output(name="score")] * rng.randrange(3))
        return pb.Result(value=rng.choice((None, *[value] * 9)), version=rng.randrange(4))


def _has_results(data: bytes) -> bool:
    try:
        return bool(pb.PredictResponse.FromString(data).results)
    except DecodeError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="values and answers")
    parser.add_argument("--seed", type=int, default=1, help="of both")
    told = parser.parse_args()
    search = Search(told.seed)
    search.run(told.count)
    sys.stdout.write(f"{dict(search.ends)}, {len(search.differences)} differences\n")
    sys.stdout.writelines(f"{difference}\n" for difference in search.differences[:20])
    return 1 if search.differences else 0


if __name__ == "__main__":
    sys.exit(main())
