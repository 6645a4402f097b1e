"""Every engine of a cell by its name, and further ones."""

from typing import Any

import pytest
from support.graphs import artifact, matmul

from cell.engines import UnknownEngine
from cell.engines.every import engines
from cell.engines.packed import PackedEngine
from cell.memory.arena import Arena
from croupier.artifacts import engines as names_of
from croupier.artifacts.engines import NATIVE, ONNX


def test_every_native_engine_is_there_and_onnx() -> None:
    found = engines()
    for name in NATIVE:
        assert isinstance(found.get(name), PackedEngine)
    assert found.get(ONNX).load(artifact(matmul())).signature.engine == ONNX


def test_every_name_that_artifacts_may_give_is_known() -> None:
    names = [value for name, value in vars(names_of).items() if name.isupper() and isinstance(value, str)]
    assert {*NATIVE, ONNX} <= set(names)
    for name in names:
        engines().get(name)


@pytest.mark.parametrize("name", ["", "forests", "Forest", "tarot"])
def test_no_engine_of_another_name_is(name: str) -> None:
    with pytest.raises(UnknownEngine):
        engines().get(name)


def test_further_ones_come_last() -> None:
    mine: Any = object()
    found = engines(Arena(1 << 20), {"tarot": mine, ONNX: mine})
    assert found.get("tarot") is found.get(ONNX) is mine
