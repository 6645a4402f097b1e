"""Every engine that a cell has, and the trial of an artifact that is not published yet: the native ones, then
the general ones, each of which is named here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cell.engines import Engine, Engines
from cell.engines.late import LateEngine
from cell.engines.packed import PackedEngine
from cell.memory.arena import Arena
from croupier.artifacts.engines import NATIVE, ONNX


def engines(arena: Arena | None = None, further: Mapping[str, Engine] = MappingProxyType({})) -> Engines:
    """The engines by name, and `further` ones; native models go into `arena`, or one for tools."""
    return Engines(
        {
            **{name: PackedEngine(name, arena) for name in NATIVE},
            ONNX: LateEngine(_onnx),
            **further,
        }
    )


def _onnx() -> Engine:
    # ONNX Runtime takes long to import, and much address space.
    from cell.engines.onnx import OnnxEngine

    return OnnxEngine()
