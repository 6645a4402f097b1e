"""One tensor's elements to NumPy and back, in the two forms of the Open Inference Protocol.

Raw: the elements' little-endian bytes; a BYTES element is its length in 4 bytes and then itself.
Typed: a repeated field of `InferTensorContents` for each family of datatypes; FP16 has none.

BYTES elements are UTF-8 text here and become `str`: what the engines take are strings. Counts and
lengths are compared before anything is made of them, so a lying request costs no memory.
"""

from __future__ import annotations

import struct

import numpy as np

from cell.codec.signature import Array
from croupier.artifacts.datatypes import DATATYPES
from croupier.errors import InvalidRequest
from protos.inference.v2 import inference_pb2 as pb

_LENGTH = struct.Struct("<I")

_TYPED_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def has_typed_form(datatype: str) -> bool:
    return datatype in _TYPED_FIELDS


def from_raw(data: bytes, datatype: str, count: int, field: str) -> Array:
    """`count` elements from their raw bytes, shape (count,).

    Raises:
        InvalidRequest: too few or too many bytes, or text that is not UTF-8; names `field`.
    """
    if datatype == "BYTES":
        return _texts(_split(data, count, field), field)
    dtype = DATATYPES[datatype]
    if len(data) != count * dtype.itemsize:
        raise InvalidRequest(
            f"{field} has {len(data)} bytes; {count} elements of {datatype} have {count * dtype.itemsize}",
            field=field,
        )
    if datatype == "BOOL":
        # A byte other than 0 and 1 is no valid NumPy boolean.
        return np.frombuffer(data, np.uint8).astype(np.bool_)
    return np.frombuffer(data, dtype)


def from_typed(contents: pb.InferTensorContents, datatype: str, count: int, field: str) -> Array:
    """`count` elements from the typed field of `datatype`, shape (count,).

    Raises:
        InvalidRequest: the wrong typed field, too few or too many elements, or one out of range;
            names `field`.
    """
    expected = _TYPED_FIELDS.get(datatype)
    if expected is None:
        raise InvalidRequest(f"{datatype} goes into raw_input_contents only", field=field)
    for descriptor, _ in contents.ListFields():
        if descriptor.name != expected:
            raise InvalidRequest(f"{datatype} goes into {expected}, not {descriptor.name}", field=field)
    values = getattr(contents, expected)
    if len(values) != count:
        raise InvalidRequest(
            f"{field}.{expected} has {len(values)} elements; the shape says {count}", field=field
        )
    if datatype == "BYTES":
        return _texts(list(values), field)
    dtype = DATATYPES[datatype]
    if dtype.itemsize < 4 and dtype.kind in "iu":
        _check_range(values, dtype, field)
    return np.fromiter(values, dtype, count)


def to_raw(array: Array, datatype: str) -> bytes:
    """The raw bytes of an array of any shape, in row-major order."""
    if datatype == "BYTES":
        encoded = [_encode(element) for element in array.ravel().tolist()]
        return b"".join(part for item in encoded for part in (_LENGTH.pack(len(item)), item))
    return np.ascontiguousarray(array, DATATYPES[datatype]).tobytes()


def to_typed(array: Array, datatype: str) -> pb.InferTensorContents:
    """The typed contents of an array of any shape, in row-major order; not for FP16."""
    elements = array.ravel().tolist()
    if datatype == "BYTES":
        elements = [_encode(element) for element in elements]
    contents = pb.InferTensorContents()
    getattr(contents, _TYPED_FIELDS[datatype]).extend(elements)
    return contents


def _split(data: bytes, count: int, field: str) -> list[bytes]:
    if len(data) < count * _LENGTH.size:
        raise InvalidRequest(f"{field} is too short for {count} elements of BYTES", field=field)
    elements, offset = [], 0
    for _ in range(count):
        begin = offset + _LENGTH.size
        if begin > len(data):
            raise InvalidRequest(f"{field} ends inside an element's length", field=field)
        offset = begin + _LENGTH.unpack_from(data, offset)[0]
        if offset > len(data):
            raise InvalidRequest(f"{field} ends inside an element", field=field)
        elements.append(data[begin:offset])
    if offset != len(data):
        raise InvalidRequest(f"{field} has {len(data) - offset} bytes after its last element", field=field)
    return elements


def _texts(elements: list[bytes], field: str) -> Array:
    texts = np.empty(len(elements), dtype=np.object_)
    try:
        texts[:] = [element.decode() for element in elements]
    except UnicodeDecodeError:
        raise InvalidRequest(f"{field} has an element that is not UTF-8 text", field=field) from None
    return texts


def _check_range(values: list[int], dtype: np.dtype[np.int64], field: str) -> None:
    limits = np.iinfo(dtype)
    if values and not limits.min <= min(values) <= max(values) <= limits.max:
        raise InvalidRequest(f"{field} has an element that does not fit into {dtype.name}", field=field)


def _encode(element: str | bytes) -> bytes:
    return element.encode() if isinstance(element, str) else element
