"""Slots within this process; what outlives it is in `test_journal.py`."""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from support.crashing import named
from support.graphs import matmul

from cell.crash import slots
from cell.engines.native import score_joined
from cell.engines.onnx import OnnxEngine
from cell.engines.packed import LINEAR, PackedEngine
from cell.memory.arena import Arena
from croupier.artifacts.format import Artifact, view
from croupier.artifacts.packers.linear import pack_linear
from croupier.artifacts.packers.onnx import pack_onnx

_SLOT = struct.Struct("<32sqiii12x")


class Shared:
    """The slots as whoever reads the file sees them, once it is attached."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._file.truncate(slots.SIZE)

    def attach(self, constant: bytes = bytes(40)) -> None:
        slots.attach(self._file.fileno(), constant)

    def read(self) -> bytes:
        return os.pread(self._file.fileno(), slots.SIZE, 0)

    def slots(self) -> list[tuple[bytes, int, int, int, int]]:
        return [*_SLOT.iter_unpack(self.read()[64:])]

    def names(self) -> dict[bytes, int]:
        """What is named now, and as what."""
        return {digest: phase for digest, _, _, phase, _ in self.slots() if phase}

    def threads(self) -> int:
        return sum(thread != 0 for _, _, thread, _, _ in self.slots())

    def last_named(self) -> tuple[bytes, int]:
        """What this thread named last, and whether it still does."""
        mine = threading.get_native_id()
        ((digest, _, _, phase, _),) = [slot for slot in self.slots() if slot[2] == mine]
        return digest, phase

    def close(self) -> None:
        slots.detach()
        self._file.close()


@pytest.fixture
def loose(tmp_path: Path) -> Iterator[Shared]:
    shared = Shared(tmp_path / "slots")
    yield shared
    shared.close()


@pytest.fixture
def shared(loose: Shared) -> Shared:
    loose.attach()
    return loose


def test_a_block_names_its_artifact_and_then_none(shared: Shared) -> None:
    names = shared.names
    with slots.Naming(named("a"), slots.LOAD):
        assert names() == {named("a"): slots.LOAD}
    with suppress(ZeroDivisionError), slots.Naming(named("b"), slots.SCORE):
        assert names() == {named("b"): slots.SCORE}
        raise ZeroDivisionError
    assert names() == {}


def test_each_thread_has_its_own_slot_and_gives_it_back(shared: Shared) -> None:
    names, threads = shared.names, shared.threads
    before = threads()
    everybody, done = threading.Barrier(9), threading.Event()

    def work(number: int) -> None:
        with slots.Naming(named(str(number)), slots.SCORE):
            everybody.wait()
            done.wait()

    working = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in working:
        thread.start()
    everybody.wait()
    assert names() == {named(str(number)): slots.SCORE for number in range(8)}
    done.set()
    for thread in working:
        thread.join()
    assert names() == {}
    give_up = time.monotonic() + 30
    # A thread has still a little way to its end when it has been joined.
    while threads() > before:
        assert time.monotonic() < give_up


def test_more_threads_than_slots_go_unnamed(shared: Shared) -> None:
    count = slots.COUNT + 20
    everybody, done = threading.Barrier(count + 1), threading.Event()

    def work(number: int) -> None:
        with slots.Naming(named(str(number)), slots.SCORE):
            everybody.wait()
            done.wait()

    working = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in working:
        thread.start()
    everybody.wait()
    found = shared.names()
    done.set()
    for thread in working:
        thread.join()
    # Other tests may have left threads that have slots.
    assert slots.COUNT // 2 <= len(found) <= slots.COUNT
    assert found.keys() < {named(str(number)) for number in range(count)}


def test_a_digest_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32"):
        slots.Naming(b"short", slots.SCORE)


def test_a_file_is_attached_once(loose: Shared) -> None:
    with pytest.raises(ValueError, match="40"):
        loose.attach(b"")
    loose.attach(bytes(range(40)))
    with pytest.raises(ValueError, match="already"):
        loose.attach()
    with slots.Naming(named("a"), slots.LOAD):
        assert loose.names() == {named("a"): slots.LOAD}
        assert loose.read()[:40] == bytes(range(40))
    slots.detach()
    with slots.Naming(named("b"), slots.LOAD):
        assert named("b") not in loose.read()


def test_a_slot_is_kept_when_a_file_comes_and_goes(loose: Shared, tmp_path: Path) -> None:
    with slots.Naming(named("before"), slots.LOAD):
        pass
    loose.attach()
    before = loose.threads()
    assert loose.last_named() == (bytes(32), 0)
    slots.detach()
    other = Shared(tmp_path / "other")
    other.attach()
    assert other.threads() == before
    with slots.Naming(named("b"), slots.SCORE):
        assert other.last_named() == (named("b"), slots.SCORE)
    other.close()


def packed() -> Artifact:
    rows = np.random.default_rng(1).normal(size=(50, 3))
    return view(pack_linear(Ridge().fit(rows, rows.sum(axis=1))))


def test_native_engines_name_what_they_load_and_what_they_score(shared: Shared) -> None:
    last_named = shared.last_named
    engine, artifact = PackedEngine(LINEAR, Arena(2**20)), packed()
    one, two = (engine.load(artifact, named(name)) for name in ("one", "two"))
    assert last_named() == (named("two"), 0)
    rows = np.ones((2, 3), np.float32)
    score_joined([two, one], [1, 1], rows, np.empty((2, 1), np.float32))
    assert last_named() == (named("one"), 0)
    two.score({"input": rows}, ["score"])
    assert last_named() == (named("two"), 0)


def test_a_long_score_is_named_for_as_long_as_it_takes(shared: Shared) -> None:
    model = PackedEngine(LINEAR, Arena(2**20)).load(packed(), named("long"))
    rows, out = np.ones((200_000, 3), np.float32), np.empty((200_000, 1), np.float32)
    seen = False

    def work() -> None:
        while not seen:
            model.score_into(rows, out)

    thread = threading.Thread(target=work)
    thread.start()
    while not seen:
        seen = shared.names().get(named("long")) == slots.SCORE
    thread.join()
    assert shared.names() == {}


def test_the_onnx_engine_names_too(shared: Shared) -> None:
    last_named = shared.last_named
    artifact = view(pack_onnx(matmul(), features=["x", "y"]))
    scorer = OnnxEngine().load(artifact, named("onnx"))
    assert last_named() == (named("onnx"), 0)
    with slots.Naming(named("other"), slots.LOAD):
        pass
    scorer.score({artifact.inputs[0].name: np.ones((1, 2), np.float32)}, [artifact.outputs[0].name])
    assert last_named() == (named("onnx"), 0)
