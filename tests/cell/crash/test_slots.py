"""Slots within this process; what outlives it is in `test_journal.py`."""

from __future__ import annotations

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


def names() -> dict[bytes, int]:
    """What is named now, and as what."""
    found = _SLOT.iter_unpack(slots.snapshot()[64:])
    return {digest: phase for digest, _, _, phase, _ in found if phase}


def threads() -> int:
    return sum(thread != 0 for _, _, thread, _, _ in _SLOT.iter_unpack(slots.snapshot()[64:]))


def test_a_block_names_its_artifact_and_then_none() -> None:
    with slots.Naming(named("a"), slots.LOAD):
        assert names() == {named("a"): slots.LOAD}
    with suppress(ZeroDivisionError), slots.Naming(named("b"), slots.SCORE):
        assert names() == {named("b"): slots.SCORE}
        raise ZeroDivisionError
    assert names() == {}


def test_each_thread_has_its_own_slot_and_gives_it_back() -> None:
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


def test_more_threads_than_slots_go_unnamed() -> None:
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
    found = names()
    done.set()
    for thread in working:
        thread.join()
    # Other tests may have left threads that have slots.
    assert slots.COUNT // 2 <= len(found) <= slots.COUNT
    assert found.keys() < {named(str(number)) for number in range(count)}


def test_a_digest_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32"):
        slots.Naming(b"short", slots.SCORE)


@pytest.fixture
def detached() -> Iterator[None]:
    yield
    slots.detach()


@pytest.mark.usefixtures("detached")
def test_a_file_is_attached_once(tmp_path: Path) -> None:
    path = tmp_path / "slots"
    with path.open("w+b") as file:
        file.truncate(slots.SIZE)
        with pytest.raises(ValueError, match="40"):
            slots.attach(file.fileno(), b"")
        slots.attach(file.fileno(), bytes(range(40)))
        with pytest.raises(ValueError, match="already"):
            slots.attach(file.fileno(), bytes(40))
    with slots.Naming(named("a"), slots.LOAD), path.open("rb") as file:
        assert file.read() == slots.snapshot()
        assert slots.snapshot()[:40] == bytes(range(40))
    slots.detach()
    with slots.Naming(named("b"), slots.LOAD), path.open("rb") as file:
        assert named("b") in slots.snapshot()
        assert named("b") not in file.read()


def last_named() -> tuple[bytes, int]:
    """What this thread named last, and whether it still does."""
    mine = threading.get_native_id()
    found = [slot for slot in _SLOT.iter_unpack(slots.snapshot()[64:]) if slot[2] == mine]
    ((digest, _, _, phase, _),) = found
    return digest, phase


def packed() -> Artifact:
    rows = np.random.default_rng(1).normal(size=(50, 3))
    return view(pack_linear(Ridge().fit(rows, rows.sum(axis=1))))


def test_native_engines_name_what_they_load_and_what_they_score() -> None:
    engine, artifact = PackedEngine(LINEAR, Arena(2**20)), packed()
    one, two = (engine.load(artifact, named(name)) for name in ("one", "two"))
    assert last_named() == (named("two"), 0)
    rows = np.ones((2, 3), np.float32)
    score_joined([two, one], [1, 1], rows, np.empty((2, 1), np.float32))
    assert last_named() == (named("one"), 0)
    two.score({"input": rows}, ["score"])
    assert last_named() == (named("two"), 0)


def test_a_long_score_is_named_for_as_long_as_it_takes() -> None:
    model = PackedEngine(LINEAR, Arena(2**20)).load(packed(), named("long"))
    rows, out = np.ones((200_000, 3), np.float32), np.empty((200_000, 1), np.float32)
    seen = False

    def work() -> None:
        while not seen:
            model.score_into(rows, out)

    thread = threading.Thread(target=work)
    thread.start()
    while not seen:
        seen = names().get(named("long")) == slots.SCORE
    thread.join()
    assert names() == {}


def test_the_onnx_engine_names_too() -> None:
    artifact = view(pack_onnx(matmul(), features=["x", "y"]))
    scorer = OnnxEngine().load(artifact, named("onnx"))
    assert last_named() == (named("onnx"), 0)
    with slots.Naming(named("other"), slots.LOAD):
        pass
    scorer.score({artifact.inputs[0].name: np.ones((1, 2), np.float32)}, [artifact.outputs[0].name])
    assert last_named() == (named("onnx"), 0)
