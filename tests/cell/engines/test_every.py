"""Every engine of a cell by its name, and further ones."""

from typing import Any

import pytest
from support.graphs import artifact, matmul

from cell.engines import UnknownEngine
from cell.engines.every import engines
from cell.engines.packed import PackedEngine
from cell.memory.arena import Arena
from croupier.artifacts.engines import NATIVE, ONNX


def test_every_native_engine_is_there_and_onnx() -> None:
    found = engines()
    for name in NATIVE:
        assert isinstance(found.get(name), PackedEngine)
    assert found.get(ONNX).load(artifact(matmul())).signature.engine == ONNX


@pytest.mark.parametrize("name", ["", "forests", "Forest", "tarot"])
def test_no_engine_of_another_name_is(name: str) -> None:
    with pytest.raises(UnknownEngine):
        engines().get(name)


def test_further_ones_come_last() -> None:
    mine: Any = object()
    found = engines(Arena(1 << 20), {"tarot": mine, ONNX: mine})
    assert found.get("tarot") is found.get(ONNX) is mine
