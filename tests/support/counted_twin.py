"""`croupier.transport.http2.counted_call` in plain Python: what it counts, and which answers are whole."""

from __future__ import annotations

from collections import Counter, defaultdict
from math import floor

import numpy as np
from google.protobuf.message import DecodeError

from croupier_bench.histogram import indices
from protos.prediction.v1 import prediction_pb2

# By second and row: how many, their sum, the maximum, and how many in each bucket.
Seen = dict[tuple[int, int], tuple[int, float, float, dict[int, int]]]


class PlainCounts:
    """Values by second and row, kept one by one."""

    def __init__(self, start: float) -> None:
        self._start = start
        self._values: defaultdict[tuple[int, int], list[float]] = defaultdict(list)

    def record(self, due: float, row: int, seconds: float) -> None:
        if due >= self._start:
            self._values[floor(due - self._start), row].append(seconds)

    def harvest(self) -> Seen:
        values, self._values = self._values, defaultdict(list)
        return {
            key: (len(found), sum(found), max([0.0, *found]), dict(Counter(indices(found).tolist())))
            for key, found in values.items()
        }


def seen(harvested: list[tuple[int, int, int, float, float, bytes]]) -> Seen:
    """What `Counts.harvest` gives, as the twin has it."""
    found = {}
    for second, row, count, total, most, pairs in harvested:
        assert (second, row) not in found
        buckets = np.frombuffer(pairs, np.uint32).reshape(-1, 2).tolist()
        found[second, row] = (count, total, most, dict(buckets))
    return found


def is_answered(response: bytes) -> bool:
    """By protobuf's own library."""
    try:
        results = prediction_pb2.PredictResponse.FromString(response).results
    except DecodeError:
        return False
    return bool(results) and all(result.WhichOneof("outcome") == "value" for result in results)
