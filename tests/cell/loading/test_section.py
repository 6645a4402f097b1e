"""The section that is found without the interpreter is the plain reader's, in any file."""

from __future__ import annotations

import ctypes
import functools
from random import Random

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression

from cell.loading.section import section_of
from croupier.artifacts.engines import NATIVE
from croupier.artifacts.format import Artifact, InvalidArtifact, Tensor, pack, view
from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear

_NATIVE = tuple(NATIVE)
_OTHERS = ("forests", "fores", "onnx", "checked", "a", "linearx", "x" * 30)


@functools.cache
def seeds() -> list[bytes]:
    rows = np.random.default_rng(5).normal(size=(30, 3))
    forest = RandomForestRegressor(2, max_depth=2, random_state=1).fit(rows, rows[:, 0])
    found = [
        pack_linear(LogisticRegression().fit(rows, rows[:, 0] > 0), features=["a", "b", "ü"]),
        pack_forest(forest, features=["a", "b", "c"]),
        pack_forest(forest),
    ]
    # Sections around the engine's, and engines that are not native or have no section.
    for engine in (*_NATIVE, *_OTHERS):
        around = ("before", engine, "x" + engine, engine + "x")
        found += [_packed(engine, names) for names in ((engine,), around, ("forest",), ("linear", "forest"))]
    return found


def _packed(engine: str, names: tuple[str, ...]) -> bytes:
    sections = {name: bytes([number]) * (number * 37 + 1) for number, name in enumerate(names)}
    tensors = [Tensor("t", "FP32", (-1, 2))]
    return pack(engine=engine, inputs=tensors, outputs=tensors, sections=sections)


def told(data: bytes) -> tuple[int, int] | None:
    """What the plain reader says. Raises InvalidArtifact."""
    artifact: Artifact = view(data)
    if artifact.engine not in _NATIVE or artifact.engine not in artifact.sections:
        return None
    section = np.frombuffer(artifact.sections[artifact.engine], np.uint8)
    whole = np.frombuffer(data, np.uint8)
    return section.ctypes.data - whole.ctypes.data, len(section)


def compare(data: bytes) -> None:
    found = section_of(data)
    if found is not None:
        begin, size = found
        assert begin % 64 == 0
        assert 0 <= begin <= begin + size <= len(data)
    try:
        expected = told(data)
    except InvalidArtifact:
        return
    assert found == expected


def mutated(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        # Mostly in the header, the tables and the names, with what means something there.
        at = rng.randrange(min(len(changed), 400) if rng.random() < 0.9 else len(changed))
        match rng.randrange(4):
            case 0:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at] = rng.choice((0, 1, 2, 63, 64, 65, 0x7F, 0x80, 0xFF))
            case 2:
                changed[at : at + 4] = rng.choice((b"\0" * 4, b"\xff" * 4, b"fore", b"line", b"\0\0\0\x80"))
            case _:
                del changed[at : at + rng.choice((1, 8, 64))]
        if not changed:
            return b""
    if rng.random() < 0.7 and len(changed) >= 24:
        # With the size that the header should say, so that more than that is looked at.
        changed[16:24] = len(changed).to_bytes(8, "little")
    return bytes(changed)


@pytest.mark.parametrize("seed", range(len(seeds())))
def test_what_the_plain_reader_accepts_is_found_just_so(seed: int) -> None:
    data = seeds()[seed]
    compare(data)
    assert told(data) == section_of(data)
    rng = Random(seed)
    for _ in range(1500):
        compare(mutated(data, rng))


def test_an_unfinished_file_is_safe() -> None:
    for data in seeds()[:3]:
        for size in range(min(len(data), 700)):
            # In memory of just that size, so that a checker sees what is read beyond it.
            held = (ctypes.c_char * size).from_buffer_copy(data[:size])
            section_of(memoryview(held).cast("B") if size else b"")
