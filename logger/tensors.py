"""Tensors of the Open Inference Protocol as NumPy has them, of messages that a cell has taken or made.

So little is checked here: what does not fit is `Undecodable`, and kept aside.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from croupier.artifacts.datatypes import DATATYPES
from protos.inference.v2 import inference_pb2 as pb

Array = np.ndarray[Any, np.dtype[Any]]
Tensor = pb.ModelInferRequest.InferInputTensor | pb.ModelInferResponse.InferOutputTensor

_LENGTH = struct.Struct("<I")
_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class Undecodable(ValueError):
    """A record that does not say what it should. Ours, or a damaged artifact's."""


def arrays_of(tensors: Sequence[Tensor], raw: Sequence[bytes]) -> dict[str, Array]:
    """Each by its name, in its shape; texts as `str`.

    Raises:
        Undecodable: they are not what they say.
    """
    if raw and len(raw) != len(tensors):
        raise Undecodable("not every tensor has its bytes")
    return {tensor.name: _array(tensor, raw[at] if raw else None) for at, tensor in enumerate(tensors)}


def _array(tensor: Tensor, raw: bytes | None) -> Array:
    try:
        dtype = DATATYPES[tensor.datatype]
        if raw is None:
            flat = _typed(getattr(tensor.contents, _CONTENTS[tensor.datatype]), dtype)
        elif dtype.kind == "O":
            flat = _texts(_split(raw))
        else:
            flat = np.frombuffer(raw, dtype)
        shape = tensor.shape[:]
        if shape and min(shape) < 0:
            raise ValueError("a negative size")
        return flat.reshape(shape)
    except (KeyError, ValueError, OverflowError, struct.error) as error:
        raise Undecodable(f"tensor {tensor.name!r}: {error}") from error


def _typed(values: Any, dtype: np.dtype[Any]) -> Array:
    # A list: NumPy takes the elements of a repeated field one by one, in several times as long.
    return _texts(values[:]) if dtype.kind == "O" else np.array(values[:], dtype)


def _texts(elements: list[bytes]) -> Array:
    texts = np.empty(len(elements), np.object_)
    texts[:] = [element.decode() for element in elements]
    return texts


def _split(raw: bytes) -> list[bytes]:
    elements, at = [], 0
    while at < len(raw):
        begin = at + _LENGTH.size
        at = begin + _LENGTH.unpack_from(raw, at)[0]
        if at > len(raw):
            raise ValueError("an element is not whole")
        elements.append(raw[begin:at])
    return elements
