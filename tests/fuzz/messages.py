"""Requests that nobody writes, read natively and by protobuf's library, must get the same answers.

Mutants of requests (`messages_seeds.py` makes them, `messages_mutator.py` changes them) go through a router
(`messages_router.py`), and what it lets through, or the mutant itself, through both ways of a cell
(`messages_cell.py`), many in one read. `tests/cell/codec/test_messages_fuzz.py` does it for some thousands.
To search further:

    make fuzz COUNT=5000000 SEED=1          # some minutes
    make fuzz-memory COUNT=200000 SEED=1    # in a debug build (croupier/buffers.pyx), under valgrind

It prints the first differences with the mutants in hex, and exits with 1 if there were any. Under valgrind
the mutants come from another process and are read by native code alone, which takes a tenth of the time; it
exits with 9 if something was read, scored or sent that nobody wrote.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))

from dataclasses import dataclass, field

import numpy as np
from fuzz import messages_seeds as seeds
from fuzz.messages_cell import INFER, PREDICT, Call, Cell, Resident
from fuzz.messages_router import Router

from croupier.buffers import Unfilled, is_debug

# So many mutants share a read, and with it a buffer.
AT_ONCE = 64
_MOST_SHOWN = 20


@dataclass(slots=True)
class Found:
    """`differences` are those that were seen, each with its mutant; `different` is how many there were."""

    mutants: int = 0
    routed: int = 0
    answered: int = 0
    completed: int = 0
    different: int = 0
    differences: list[tuple[str, str, bytes]] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.mutants:,} mutants, {self.routed:,} routed, {self.answered:,} answered natively, "
            f"{self.completed:,} of these completed, "
            f"{self.different:,} differences"
        )

    def note(self, what: str, difference: str, mutant: bytes) -> None:
        self.different += 1
        if len(self.differences) < _MOST_SHOWN:
            self.differences.append((what, difference, mutant))


@dataclass(frozen=True, slots=True)
class Kind:
    """A message: who makes it, who reads it in a router, and the method of a cell that it is for."""

    name: str
    make: seeds.Make
    read: Callable[[bytes], tuple[str, bytes | None]]
    path: str | None


class Search:
    """Makes mutants from a seed and compares what becomes of them."""

    def __init__(self, seed: int) -> None:
        self.found = Found()
        self._rng = Random(seed)
        self._models = seeds.models()
        self._router = Router(self._models)
        self._cell = Cell(self._models)
        router = self._router
        kinds = [
            (10, Kind("ModelInferRequest", seeds.infer, router.infer, INFER)),
            (8, Kind("PredictRequest", seeds.predict, router.predict, PREDICT)),
            (1, Kind("PredictStreamRequest", seeds.frame, router.frame, PREDICT)),
            (1, Kind("ModelMetadataRequest", seeds.metadata, router.metadata, None)),
            (1, Kind("PredictResponse", seeds.response, router.response, None)),
        ]
        self._kinds = [kind for weight, kind in kinds for _ in range(weight)]
        self._mutants = self._make()

    async def run(self, count: int) -> Found:
        """Try `count` mutants more."""
        for begin in range(0, count, AT_ONCE):
            mutants = islice(self._mutants, min(AT_ONCE, count - begin))
            await self._compare([call for mutant in mutants if (call := self._route(*mutant)) is not None])
        self.found.routed, self.found.answered = self._router.routed, self._cell.answered
        self.found.completed = self._cell.completed
        return self.found

    def make(self, count: int) -> Iterator[tuple[str, bytes]]:
        """`count` mutants, each with the name of its message."""
        for kind, mutant in islice(self._mutants, count):
            yield kind.name, mutant

    def read_natively(self, mutants: Sequence[tuple[str, bytes]]) -> Found:
        """Have mutants, and what a router makes of them, read and answered by native code alone."""
        paths = {kind.name: kind.path for kind in self._kinds}
        calls = []
        for name, mutant in mutants:
            sent, path = self._router.natively(name, mutant), paths[name]
            self.found.routed += sent is not None
            if path is not None:
                calls += [Call(path, each) for each in (mutant, sent) if each is not None]
        self.found.mutants += len(mutants)
        self.found.answered += sum(any(answer) for answer in self._cell.natively(calls))
        return self.found

    def _make(self) -> Iterator[tuple[Kind, bytes]]:
        while True:
            kind = self._rng.choice(self._kinds)
            for mutant in seeds.mutants(kind.make, self._models, self._rng):
                yield kind, mutant

    def _route(self, kind: Kind, mutant: bytes) -> Call | None:
        """Have the router read a mutant; the call to a cell that comes of it."""
        self.found.mutants += 1
        try:
            difference, sent = kind.read(mutant)
        except Exception as error:  # noqa: BLE001 (it is what is searched for)
            difference, sent = f"raised {error!r}", None
        if difference:
            self.found.note(f"{kind.name} in a router", difference, mutant)
        if kind.path is None:
            return None
        # Half of them as if there were no router, with whatever artifact they hold.
        return Call(kind.path, sent if sent is not None and self._rng.random() < 0.5 else mutant)

    async def _compare(self, calls: list[Call]) -> None:
        try:
            differences: Iterable[str] = await self._cell.differences(calls)
        except Exception:  # noqa: BLE001 (one of them is to blame)
            differences = [await self._alone(call) for call in calls]
        for call, difference in zip(calls, differences, strict=True):
            if difference:
                self.found.note(f"{call.path} in a cell", difference, call.message)

    async def _alone(self, call: Call) -> str:
        call.replies.clear()
        try:
            (difference,) = await self._cell.differences([call])
        except Exception as error:  # noqa: BLE001
            return f"raised {error!r}"
        return difference


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="mutants")
    parser.add_argument("--seed", type=int, default=1, help="of the mutants")
    parser.add_argument("--write", action="store_true", help="only write the mutants, for --read")
    parser.add_argument("--read", action="store_true", help="only read mutants natively that --write wrote")
    told = parser.parse_args()
    if is_debug():
        check_that_poison_is_seen()
    search = Search(told.seed)
    if told.write:
        for name, mutant in search.make(told.count):
            sys.stdout.write(f"{name} {mutant.hex()}\n")
        return 0
    began, mutants = time.monotonic(), _mutants_in(sys.stdin)
    build = "debug build" if is_debug() else "build"
    for size in _shares(told.count):
        if told.read:
            for begin in range(0, size, AT_ONCE):
                search.read_natively([*islice(mutants, min(AT_ONCE, size - begin))])
        else:
            asyncio.run(search.run(size))
        _say(f"{build}: {search.found} in {time.monotonic() - began:.0f} s, seed {told.seed}")
    for what, difference, mutant in search.found.differences:
        _say(f"{what}: {difference}\n    {mutant.hex()}")
    return 1 if search.found.different or search.found.mutants != told.count else 0


def _mutants_in(lines: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for line in lines:
        name, _, mutant = line.partition(" ")
        yield name, bytes.fromhex(mutant)


def check_that_poison_is_seen() -> None:
    """A debug build that scores poison would show nothing."""
    (model,) = (each for each in seeds.models() if each.name == "one")
    rows, scores = np.array([0x7FA5A5A5], np.uint32).view(np.float32), np.zeros(1, np.float32)
    try:
        Resident([model]).find(model.digest, 0.0).score_into(rows, scores)  # type: ignore[union-attr]
    except Unfilled:
        return
    raise AssertionError("poison was scored")


def _shares(count: int) -> Iterator[int]:
    """A tenth at a time, after which there is something to say."""
    share = max(AT_ONCE, -(-count // 10))
    for begin in range(0, count, share):
        yield min(share, count - begin)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
