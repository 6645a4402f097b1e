"""Damaged artifacts at the engines, and damaged model files at the packers: refused, or good, never a crash.

`tests/fuzz/packed.py` and `packers.py` say what an input is and what must hold; atheris searches further with
the same. Damaged XGBoost files are none of these: treelite crashes on some (test_packing_apart.py).
"""

from __future__ import annotations

import json
from random import Random

import pytest
from fuzz import packed, packed_mutator, packers, packers_mutator
from hypothesis import given, settings
from hypothesis import strategies as st

from croupier.artifacts.format import view
from croupier.artifacts.packers.files import FileKind, pack_file, told_by

PACKED = {path.name: path.read_bytes() for path in sorted(packed.CORPUS.iterdir())}
FILES = {path.name: path.read_bytes() for path in sorted(packers.CORPUS.iterdir())}
HARMLESS = [name for name, file in FILES.items() if told_by(file) is not FileKind.XGBOOST]

seeds = st.lists(st.integers(0, 2**32), min_size=1, max_size=3)


def flip(data: bytes, most: int) -> bytes:
    """What atheris' own mutator does, and no more than a test needs."""
    rng = Random(data)
    changed = bytearray(data + rng.randbytes(rng.randrange(3)))
    for _ in range(rng.randrange(3)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed[:most])


@pytest.mark.parametrize("name", PACKED)
def test_the_corpus_of_artifacts_is_scored(name: str) -> None:
    assert packed.replay(PACKED[name])


@pytest.mark.parametrize("name", FILES)
def test_the_corpus_of_files_is_packed(name: str) -> None:
    assert packers.replay(FILES[name])


@settings(max_examples=1_000)
@given(st.sampled_from(list(PACKED)), seeds)
def test_changed_artifacts(name: str, changes: list[int]) -> None:
    """Asserted by `replay`."""
    data = PACKED[name]
    for change in changes:
        data = packed_mutator.mutate(data, 4_000, change, flip)
    packed.replay(data)


@settings(max_examples=300)
@given(st.sampled_from(HARMLESS), seeds)
def test_changed_files(name: str, changes: list[int]) -> None:
    """Asserted by `replay`."""
    data = FILES[name]
    for change in changes:
        data = packers_mutator.mutate(data, 10_000, change, flip)
    if not data.startswith((b"{", b"\x80")):
        packers.replay(data)


def test_a_parameter_of_nothing_is_divided_by_as_c_does() -> None:
    """A forest's parameter lies at 40 of its section; Cython would raise where nobody can catch it."""
    artifact = view(PACKED["isolation"])
    section = bytearray(artifact.section("forest"))
    section[40:48] = bytes(8)
    changed = bytearray(PACKED["isolation"])
    changed[-len(section) :] = section
    assert packed.replay(bytes(changed))


@pytest.mark.parametrize("name", PACKED)
def test_cut_artifacts(name: str) -> None:
    for size in range(len(PACKED[name])):
        assert not packed.replay(PACKED[name][:size])


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_noise(data: bytes) -> None:
    packed.replay(b"CROUPIER\x01\0" + data)
    packers.replay(b"tree\n" + data)


def test_the_mutator_writes_the_ubjson_that_treelite_reads() -> None:
    document = json.loads(FILES["xgboost-json"])
    assert pack_file(packers_mutator.ubjson(document)) == pack_file(FILES["xgboost-json"])
