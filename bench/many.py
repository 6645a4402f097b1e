"""A store full of models, and loads over them that ask each for its own answer.

The store's files are written by us and not through `ObjectStore.put`, which flushes each file and two folders
to the disk: that is for artifacts that must not be lost, and takes longer than all else of a bench
with many models. These are made anew from their numbers, and a power cut costs the bench and nothing else.
The bytes and their places are the same.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from bench import report
from bench.catalog import MODEL_INFER, Load
from bench.population import Population, answer, asking, rows
from croupier.artifacts.format import digest_of
from croupier.names import DIGEST_BYTES
from croupier.stores.objects import key_of
from protos.inference.v2 import inference_pb2 as pb

Numbers = NDArray[np.int64]

# `artifact` is field 1000 of a request, 32 bytes.
_ARTIFACT = b"\xc2\x3e" + bytes([DIGEST_BYTES])
_HEAD = pb.ModelInferRequest(model_name="m", model_version="1").SerializeToString()


@dataclass(frozen=True, slots=True)
class Many:
    """`count` published models: their digests, one after the other, and what each answers."""

    digests: bytes
    answers: Sequence[bytes]

    @property
    def count(self) -> int:
        return len(self.answers)

    def digest(self, number: int) -> bytes:
        return self.digests[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]

    def load(self, order: Numbers, owner: int = 0) -> Load:
        """Requests of one row for the models in `order`; `owner` is whose they are, as a router says it."""
        asks = _Asks(self, order)
        rest = asking(rows(1)) + pb.ModelInferRequest(owner=owner).SerializeToString()
        return Load(MODEL_INFER.encode(), asks, rest, None, answers=_Answers(self, order))


class _Sequence(Sequence[Any]):
    """Made when asked for, by the place in `order`: as lists they would take more memory than the models."""

    def __init__(self, many: Many, order: Numbers) -> None:
        self.many = many
        # Picking one element of an array costs ten times as much.
        self.order = order.tolist()

    def __len__(self) -> int:
        return len(self.order)

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Any]: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return [self.of(number) for number in self.order[place]]
        return self.of(self.order[place])

    @abstractmethod
    def of(self, number: int) -> Any: ...


class _Asks(_Sequence):
    def of(self, number: int) -> tuple[bytes, bytes]:
        return b"", _HEAD + _ARTIFACT + self.many.digest(number)


class _Answers(_Sequence):
    def of(self, number: int) -> bytes:
        return self.many.answers[number]


def publish(folder: Path, count: int) -> Many:
    """Write `count` models into the object store in `folder`, and say what they are."""
    population = Population()
    asked = rows(1)
    digests, answers = bytearray(), []
    for number in range(256):
        (folder / f"{number:02x}").mkdir(parents=True, exist_ok=True)
    columns = ("publishing", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=report.console) as progress:
        task = progress.add_task("", total=count)
        for number in range(count):
            artifact = population.artifact(number)
            digest = digest_of(artifact)
            (folder / key_of(digest)).write_bytes(artifact)
            digests += digest
            answers.append(answer(artifact, asked))
            if number % 500 == 499:
                progress.advance(task, 500)
        progress.update(task, completed=count)
    return Many(bytes(digests), answers)


def zipf(count: int, requests: int, exponent: float, seed: int) -> Numbers:
    """Which of `count` models each of so many requests is for; which models are popular is drawn as well."""
    random = np.random.default_rng(seed)
    weights = np.arange(1, count + 1) ** -exponent
    places = np.searchsorted(np.cumsum(weights) / weights.sum(), random.random(requests))
    order: Numbers = random.permutation(count)[np.minimum(places, count - 1)]
    return order
