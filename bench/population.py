"""Hundreds of thousands of different forests: a few real ones, each copy with leaves of its own.

Training so many would take days, and no two customers' models are alike in their leaves either way. Trees,
thresholds and sizes are as they were trained; every leaf is scaled by a factor of its own between 0.9 and
1.1, drawn from the model's number, so that any process can make model n again.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from bench.engine_models import SHAPES, Array, Shape, train_lightgbm
from cell.engines.packed import PackedEngine
from croupier.artifacts.engines import FOREST
from croupier.artifacts.format import view
from protos.inference.v2 import inference_pb2 as pb

SHAPE = SHAPES["forest-50x5"]
_NODE = np.dtype([("value", "<f4"), ("feature", "<u2"), ("left", "<u2")])
# Flags, trees and nodes in the header of the section, which ends with the nodes or their remainders.
_HEADER = struct.Struct("<4xI8x2I")
_REMAINDERS = 16


class Packed:
    """A packed forest whose leaves can be changed: `leaves` are their float32 values, in the file's order."""

    def __init__(self, artifact: bytes) -> None:
        section = bytes(view(artifact).section(FOREST))
        flags, trees, count = _HEADER.unpack_from(section)
        remainders = 4 * ((count - trees) // 2) if flags & _REMAINDERS else 0
        end = artifact.index(section) + len(section) - (remainders + 7) // 8 * 8
        self.artifact = artifact
        self._begin = end - count * _NODE.itemsize
        self._nodes = np.frombuffer(artifact, _NODE, count, self._begin)
        self._leaves = np.flatnonzero(self._nodes["left"] == 0)

    @property
    def leaves(self) -> Array:
        found: Array = self._nodes["value"][self._leaves]
        return found

    def with_leaves(self, values: Array) -> bytes:
        """The artifact with these values in the places of `leaves`."""
        nodes = self._nodes.copy()
        nodes["value"][self._leaves] = values
        end = self._begin + nodes.nbytes
        return b"".join((self.artifact[: self._begin], nodes.tobytes(), self.artifact[end:]))


class Population:
    """Models by number: all of one shape, all different."""

    def __init__(self, shape: Shape = SHAPE) -> None:
        from croupier.artifacts.packers.forest import pack_forest

        self.booster = train_lightgbm(shape)
        self._packed = Packed(pack_forest(self.booster))

    @property
    def size(self) -> int:
        """Bytes of one artifact."""
        return len(self._packed.artifact)

    def artifact(self, number: int) -> bytes:
        """The packed artifact of model `number`; number 0 is as it was trained."""
        if not number:
            return self._packed.artifact
        return self.scaled(np.random.default_rng(number).uniform(0.9, 1.1, len(self._packed.leaves)))

    def scaled(self, factors: Any) -> bytes:
        """The packed artifact with each leaf times its factor, or with all times one."""
        return self._packed.with_leaves(self._packed.leaves * np.asarray(factors, np.float32))


def rows(count: int, shape: Shape = SHAPE) -> Array:
    """Seeded float32 rows that nothing was trained on."""
    return np.random.default_rng(17).normal(size=(count, shape.features)).astype(np.float32)


def asking(asked: Array) -> bytes:
    """What completes a ModelInferRequest that names an artifact: `asked` as its input, in the typed form."""
    request = pb.ModelInferRequest()
    tensor = request.inputs.add(name="input", datatype="FP32", shape=asked.shape)
    tensor.contents.fp32_contents.extend(asked.ravel().tolist())
    return request.SerializeToString()


def answer(artifact: bytes, asked: Array) -> bytes:
    """What version 1 of model "m" answers to that, encoded by protobuf's own library."""
    found = view(artifact)
    scorer = PackedEngine(FOREST).load(found)
    scored = scorer.score({"input": asked}, [tensor.name for tensor in found.outputs])
    response = pb.ModelInferResponse(model_name="m", model_version="1")
    for tensor in found.outputs:
        array = scored[tensor.name]
        output = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=array.shape)
        contents = output.contents
        field: Any = contents.fp32_contents if tensor.datatype == "FP32" else contents.int64_contents
        field.extend(array.ravel().tolist())
    scorer.close()
    return response.SerializeToString()
