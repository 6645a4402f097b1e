"""Arrays by name as bytes, for processes that compare a model's answers: rows on the way there, answers back.

    one line of JSON     for each table its arrays: name, dtype, shape and bytes
    the arrays           one after the other, little-endian; texts are a JSON list, null a missing one

`load` trusts nothing: it unpickles nothing, and every size is checked before it is used.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from croupier.artifacts.format import InvalidArtifact

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Table: TypeAlias = Mapping[str, Array]

_TEXTS = "texts"
_NUMBERS = re.compile("[<|][biuf][0-9]{1,2}")


def dump(tables: Sequence[Table]) -> bytes:
    """The bytes of `tables`."""
    blobs: list[bytes] = []
    told = [[_told(name, array, blobs) for name, array in table.items()] for table in tables]
    return b"\n".join([json.dumps(told).encode(), b"".join(blobs)])


def load(data: bytes) -> list[dict[str, Array]]:
    """The tables in `data`.

    Raises:
        InvalidArtifact: these bytes are no tables.
    """
    line, _, rest = data.partition(b"\n")
    try:
        told, place = json.loads(line), 0
        tables: list[dict[str, Array]] = []
        for table in told:
            arrays = {}
            for name, kind, shape, size in table:
                blob = rest[place : place + size]
                place += size
                arrays[str(name)] = _array(kind, [int(each) for each in shape], blob)
            tables.append(arrays)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidArtifact(f"these are no tables: {error}") from error
    return tables


def _told(name: str, array: Array, blobs: list[bytes]) -> list[Any]:
    if array.dtype.kind == "O":
        texts = [text.decode() if isinstance(text, bytes) else text for text in array.ravel().tolist()]
        blobs.append(json.dumps(texts).encode())
        return [name, _TEXTS, array.shape, len(blobs[-1])]
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    blobs.append(little.tobytes())
    return [name, little.dtype.str, array.shape, len(blobs[-1])]


def _array(kind: str, shape: Sequence[int], blob: bytes) -> Array:
    count = math.prod(shape)
    if kind == _TEXTS:
        texts = json.loads(blob)
        if len(texts) != count or not all(text is None or isinstance(text, str) for text in texts):
            raise ValueError("texts that are none, or not as many as their shape says")
        found = np.empty(count, np.object_)
        found[:] = texts
        return found.reshape(shape)
    if not _NUMBERS.fullmatch(kind):
        raise ValueError("an array of other than numbers or texts")
    dtype = np.dtype(kind)
    if len(blob) != count * dtype.itemsize:
        raise ValueError("an array has another size than its shape says")
    return np.frombuffer(blob, dtype).reshape(shape)
