"""Open Inference Protocol messages to a model's input arrays, and its output arrays to a response.

Everything that the caller may get wrong is checked here against the model's signature, before any
array is made: names, datatypes, shapes, rows, lengths; and then the values that it takes. So what
reaches the batcher fits the model, and one caller's mistake never meets another's rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from cell.codec.contents import from_raw, from_typed, has_typed_form, to_raw, to_typed
from cell.codec.given import Given
from cell.codec.signature import Array, Arrays, Signature
from croupier.artifacts.format import Tensor
from croupier.errors import InvalidRequest
from croupier.fetched import ENTITY_INPUT
from protos.inference.v2 import inference_pb2 as pb

# Those that a model is to see, each with its place in the request.
_Sent: TypeAlias = Sequence[tuple[int, pb.ModelInferRequest.InferInputTensor]]

_SHARED_MEMORY = "shared_memory_region"
# They change what comes back; answering as if they were not there would be a wrong answer.
_UNSUPPORTED_OUTPUT_PARAMETERS = (_SHARED_MEMORY, "classification")


@dataclass(frozen=True, slots=True)
class Inputs:
    """A request's tensors, each of shape (rows, ...)."""

    arrays: Arrays
    rows: int


def decode(
    request: pb.ModelInferRequest, signature: Signature, max_rows: int, given: Given | None = None
) -> Inputs:
    """The input arrays of `request`; they may be read-only views of its bytes. What it lacks is `given`.

    Raises:
        InvalidRequest: naming the field that is wrong.
    """
    _check_placement(request.inputs)
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidRequest(
            f"{len(raw)} raw_input_contents for {len(request.inputs)} inputs", field="raw_input_contents"
        )
    sent = [
        (place, tensor)
        for place, tensor in enumerate(request.inputs)
        if tensor.name != ENTITY_INPUT or ENTITY_INPUT in signature.input_places
    ]
    _check_names(sent, signature, given)
    rows = _check_shapes(sent, signature, max_rows, given)
    if given is not None:
        return _completed(sent, raw, rows, signature, given)
    arrays = {}
    for place, tensor in sent:
        flat = _elements(tensor, raw[place] if raw else None, place)
        declared = signature.inputs[signature.input_places[tensor.name]]
        arrays[tensor.name] = _scored(flat, declared, tensor.datatype, signature, f"inputs[{place}]").reshape(
            tuple(tensor.shape)
        )
    return Inputs(arrays, rows)


def _completed(sent: _Sent, raw: Sequence[bytes], rows: int, signature: Signature, given: Given) -> Inputs:
    places = {tensor.name: place for place, tensor in sent}
    found = {
        tensor.name: _elements(tensor, raw[place] if raw else None, place).reshape(tuple(tensor.shape))
        for place, tensor in sent
    }
    completed = given.complete(found, rows)
    arrays = {}
    for declared in signature.inputs:
        array = completed[declared.name]
        datatype = "FP64" if array.dtype == np.float64 else declared.datatype
        field = f"inputs[{places[declared.name]}]" if declared.name in places else "inputs"
        arrays[declared.name] = _scored(array, declared, datatype, signature, field)
    return Inputs(arrays, rows)


def _scored(array: Array, declared: Tensor, datatype: str, signature: Signature, field: str) -> Array:
    """What came as `datatype` as it is scored. Raises InvalidRequest for what the model does not take."""
    _check_values(array, signature, field)
    return array.astype(signature.dtype(declared, datatype), copy=False)


def requested_outputs(request: pb.ModelInferRequest, signature: Signature) -> tuple[Tensor, ...]:
    """The outputs that the caller wants, in the caller's order; all when it names none.

    Raises:
        InvalidRequest: an unknown or repeated name, or a parameter that this cell does not serve.
    """
    if not request.outputs:
        return signature.outputs
    found = []
    seen: set[str] = set()
    for place, output in enumerate(request.outputs):
        field = f"outputs[{place}].name"
        if output.name not in signature.output_places:
            raise InvalidRequest(f"the model has no output {output.name!r}", field=field)
        if output.name in seen:
            raise InvalidRequest(f"output {output.name!r} is asked for twice", field=field)
        for parameter in _UNSUPPORTED_OUTPUT_PARAMETERS:
            if parameter in output.parameters:
                raise InvalidRequest(f"{parameter} is not served here", field=f"outputs[{place}].parameters")
        seen.add(output.name)
        found.append(signature.outputs[signature.output_places[output.name]])
    return tuple(found)


def encode(request: pb.ModelInferRequest, outputs: Sequence[Tensor], arrays: Arrays) -> pb.ModelInferResponse:
    """The answer to `request`: raw when it came raw or when an output has no typed form."""
    raw = bool(request.raw_input_contents) or not all(has_typed_form(o.datatype) for o in outputs)
    response = pb.ModelInferResponse(
        model_name=request.model_name, model_version=request.model_version, id=request.id
    )
    for output in outputs:
        array = arrays[output.name]
        message = response.outputs.add(name=output.name, datatype=output.datatype, shape=array.shape)
        if raw:
            response.raw_output_contents.append(to_raw(array, output.datatype))
        else:
            message.contents.CopyFrom(to_typed(array, output.datatype))
    return response


def _check_placement(inputs: Sequence[pb.ModelInferRequest.InferInputTensor]) -> None:
    for place, tensor in enumerate(inputs):
        if _SHARED_MEMORY in tensor.parameters:
            raise InvalidRequest(
                f"input {tensor.name!r} lies in shared memory, which is not served here: send its values",
                field=f"inputs[{place}].parameters",
            )


def _check_names(sent: _Sent, signature: Signature, given: Given | None) -> None:
    seen: set[str] = set()
    for place, tensor in sent:
        field = f"inputs[{place}].name"
        if tensor.name not in signature.input_places:
            raise InvalidRequest(f"the model has no input {tensor.name!r}", field=field)
        if tensor.name in seen:
            raise InvalidRequest(f"input {tensor.name!r} is there twice", field=field)
        seen.add(tensor.name)
    for place, declared in enumerate(signature.inputs):
        if declared.name not in seen and not _is_given(place, signature, given):
            raise InvalidRequest(f"input {declared.name!r} is missing", field="inputs")


def _is_given(place: int, signature: Signature, given: Given | None) -> bool:
    """Whether an input may be left out."""
    if given is None or not signature.features:
        return False
    return given.covers(place) if len(signature.inputs) > 1 else not given.narrow


def _check_shapes(sent: _Sent, signature: Signature, max_rows: int, given: Given | None) -> int:
    rows = _rows_of(sent, given, max_rows)
    narrow = given.narrow if given is not None and len(signature.inputs) == 1 and signature.features else -1
    for place, tensor in sent:
        declared = signature.inputs[signature.input_places[tensor.name]]
        field = f"inputs[{place}]"
        datatypes = signature.datatypes(declared)
        if tensor.datatype not in datatypes:
            raise InvalidRequest(
                f"input {tensor.name!r} is {' or '.join(datatypes)}, not {tensor.datatype!r}",
                field=f"{field}.datatype",
            )
        shape = tuple(tensor.shape)
        fits = len(shape) == len(declared.shape) and (
            shape[1:] == declared.shape[1:] or shape[1:] == (narrow,)
        )
        if fits and shape[0] == 0:
            raise InvalidRequest(
                f"input {tensor.name!r} has shape {list(shape)}: a request has at least one row",
                field=f"{field}.shape",
            )
        if not fits or shape[0] < 0:
            raise InvalidRequest(
                f"input {tensor.name!r} has shape {list(shape)}; the model takes {list(declared.shape)}",
                field=f"{field}.shape",
            )
        if shape[0] > max_rows:
            raise InvalidRequest(
                f"a request of {shape[0]} rows is over the limit of {max_rows}", field=f"{field}.shape"
            )
        if shape[0] != rows:
            raise InvalidRequest(
                f"input {tensor.name!r} has {shape[0]} rows where another has {rows}",
                field=f"{field}.shape",
            )
    return rows


def _rows_of(sent: _Sent, given: Given | None, max_rows: int) -> int:
    """As the first input has it, or without any, what was fetched for them."""
    if sent:
        shape = sent[0][1].shape
        return shape[0] if shape else 0
    rows = given.row_count if given is not None else 0
    if rows > max_rows:
        raise InvalidRequest(f"a request of {rows} rows is over the limit of {max_rows}", field="inputs")
    return rows


def _elements(tensor: pb.ModelInferRequest.InferInputTensor, raw: bytes | None, place: int) -> Array:
    count = math.prod(tensor.shape)
    if raw is None:
        return from_typed(tensor.contents, tensor.datatype, count, f"inputs[{place}].contents")
    if tensor.HasField("contents"):
        raise InvalidRequest(
            "contents and raw_input_contents do not go together", field=f"inputs[{place}].contents"
        )
    return from_raw(raw, tensor.datatype, count, f"raw_input_contents[{place}]")


def _check_values(flat: Array, signature: Signature, field: str) -> None:
    if flat.dtype.kind != "f":
        return
    if not signature.accepts_missing and np.isnan(flat).any():
        raise InvalidRequest(f"{field} has a NaN, which this model does not take", field=field)
    if signature.finite and np.isinf(flat).any():
        raise InvalidRequest(f"{field} has an infinite value, which this model does not take", field=field)
    if signature.bounded and flat.dtype.itemsize > 4 and _is_beyond_float32(flat):
        raise InvalidRequest(f"{field} has a value that does not fit into float32", field=field)


def _is_beyond_float32(flat: Array) -> bool:
    """But infinity, which float32 has too."""
    return bool(((np.abs(flat) > np.finfo(np.float32).max) & ~np.isinf(flat)).any())
