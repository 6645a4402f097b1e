"""Packs ONNX models, and scikit-learn models by way of ONNX, for the `onnx` engine.

This runs where models are trained. It turns an ONNX file into a packed artifact without changing a
byte of it: section `model` is the file. Section `rowwise` says that its rows are independent of each
other; where they are not, or it is not known, the log says why, and cells score each request by itself.

What the fleet could not serve, or could serve only unsafely, is refused here, by name, rather than in
a cell:

- data outside the file, anywhere in it, since a path from a tenant would be opened in our cells;
- inputs or outputs that are not tensors, such as the sequence of maps of skl2onnx's zipmap;
- datatypes that the Open Inference Protocol and NumPy do not share;
- a fixed or missing batch dimension, for a request may have any number of rows;
- operators of domains that ONNX Runtime does not bring along.

Everything raises InvalidArtifact, an InvalidRequest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message

from croupier.artifacts import rowwise
from croupier.artifacts.engines import ONNX
from croupier.artifacts.format import Artifact, InvalidArtifact, Tensor, pack
from croupier.artifacts.packers import scikit_onnx
from croupier.artifacts.packers.fitted import fitted_width
from croupier.artifacts.packers.rowwise import why_dependent

_log = logging.getLogger(__name__)

SECTION = "model"

_DATATYPES = {
    onnx.TensorProto.BOOL: "BOOL",
    onnx.TensorProto.UINT8: "UINT8",
    onnx.TensorProto.UINT16: "UINT16",
    onnx.TensorProto.UINT32: "UINT32",
    onnx.TensorProto.UINT64: "UINT64",
    onnx.TensorProto.INT8: "INT8",
    onnx.TensorProto.INT16: "INT16",
    onnx.TensorProto.INT32: "INT32",
    onnx.TensorProto.INT64: "INT64",
    onnx.TensorProto.FLOAT16: "FP16",
    onnx.TensorProto.FLOAT: "FP32",
    onnx.TensorProto.DOUBLE: "FP64",
    onnx.TensorProto.STRING: "BYTES",
}
_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}


def pack_onnx(
    model: bytes, *, features: Sequence[str] = (), accepts_missing: bool = False, finite: bool = False
) -> bytes:
    """Pack a serialized ONNX model.

    `features` name the columns of the model's one input of shape (-1, n), or its several inputs of
    shape (-1, 1), which need not be told: their own names are the default. A model that
    is `finite` gets no infinite values.

    Raises:
        InvalidArtifact: these bytes are no valid ONNX model, or one that cannot be served.
    """
    names = _names(features)
    proto = _parse(model)
    _refuse_external_data(proto)
    _refuse_unknown_domains(proto)
    _check(model)
    constants = {tensor.name for tensor in proto.graph.initializer}
    inputs = [_tensor(value, "input") for value in proto.graph.input if value.name not in constants]
    outputs = [_tensor(value, "output", _way_out(proto, value.name)) for value in proto.graph.output]
    if not names and len(inputs) > 1 and all(tensor.shape == (-1, 1) for tensor in inputs):
        names = [tensor.name for tensor in inputs]
    described = partial(
        pack,
        engine=ONNX,
        features=names,
        inputs=_in_order(inputs, names),
        outputs=outputs,
        accepts_missing=accepts_missing,
        finite=finite,
    )
    # What cannot be served is refused before anything else is done with it.
    packed = described(sections={SECTION: model})
    if reason := why_dependent(proto, model, inputs, outputs):
        _log.warning("rows of this model are not scored together with others: %s", reason)
        return packed
    return described(sections={SECTION: model, rowwise.SECTION: rowwise.INDEPENDENT})


def check_rowwise(artifact: Artifact) -> None:
    """What its packer did, for an artifact from elsewhere that says that its rows are independent.

    Raises:
        InvalidArtifact: they are not, or there is no model to tell by.
    """
    model = bytes(artifact.section(SECTION))
    proto = _parse(model)
    _refuse_external_data(proto)
    _refuse_unknown_domains(proto)
    _check(model)
    if reason := why_dependent(proto, model, artifact.inputs, artifact.outputs):
        raise InvalidArtifact(f"this artifact says that its rows are independent, and they are not: {reason}")


def pack_sklearn(
    model: Any, *, features: Sequence[str] = (), accepts_missing: bool | None = None, wide: bool = True
) -> bytes:
    """Pack a fitted scikit-learn estimator or pipeline that takes n numbers a row.

    The result has one FP64 input `input` of shape (-1, n) and computes in float64, as scikit-learn does;
    the input is FP32 if it is not to be `wide`, or ONNX Runtime cannot compute it so. A classifier has the
    outputs `label`, of shape (-1,), and `probabilities`, of shape (-1, classes), in the order of `classes_`.
    Numbers come out as FP32. `features` default to the columns of the data frame that the model was fitted
    on, if it was.

    `accepts_missing` defaults to whether the model begins with a SimpleImputer of NaN. No other model
    may accept NaN: where scikit-learn's trees send it is lost on the way to ONNX (checked with
    skl2onnx 1.20: probabilities of a random forest were off by up to 0.55), and the rest refuse it.

    Raises:
        InvalidArtifact: skl2onnx cannot convert the model, it is not fitted, or it cannot accept NaN.
    """
    kind = type(model).__name__
    width = fitted_width(model)
    try:
        proto = scikit_onnx.convert(model, width, wide=wide)
    except InvalidArtifact:
        raise
    except Exception as error:
        # A converter raises whatever its model made it trip over.
        raise InvalidArtifact(f"skl2onnx cannot convert this {kind}: {_brief(error)}") from error
    imputes = scikit_onnx.accepts_missing(proto)
    if accepts_missing and not imputes:
        raise InvalidArtifact(f"this {kind} cannot accept NaN: begin with a SimpleImputer")
    return pack_onnx(
        proto.SerializeToString(),
        features=_names(features) or _names(getattr(model, "feature_names_in_", ())),
        accepts_missing=imputes if accepts_missing is None else accepts_missing,
        finite=scikit_onnx.refuses_infinity(model, width),
    )


def _names(features: Sequence[str]) -> list[str]:
    """A plain list, for data sets tell their columns as NumPy arrays too."""
    return [str(name) for name in features]


def _parse(model: bytes) -> Any:
    try:
        return onnx.load_model_from_string(model)
    except DecodeError as error:
        raise InvalidArtifact(f"this is no ONNX model, or not a whole one: {_brief(error)}") from error


def _check(model: bytes) -> None:
    """ONNX's own checks, which also see to it that every input and output has a shape."""
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidArtifact(f"this ONNX model is not valid: {_brief(error)}") from error


def _refuse_external_data(proto: Any) -> None:
    for message in _walk(proto):
        if not isinstance(message, onnx.TensorProto):
            continue
        if message.external_data or message.data_location == onnx.TensorProto.EXTERNAL:
            raise InvalidArtifact(
                f"tensor {message.name!r} has external data: save the model with its data inside"
            )


def _walk(message: Message) -> Iterator[Message]:
    """The message and all that it holds: tensors also hide in attributes, subgraphs and functions."""
    waiting = [message]
    while waiting:
        message = waiting.pop()
        yield message
        for field, value in message.ListFields():
            if field.message_type is None:
                continue
            waiting.extend(value if field.is_repeated else [value])


def _refuse_unknown_domains(proto: Any) -> None:
    local = {function.domain for function in proto.functions}
    used = {opset.domain for opset in proto.opset_import} - local
    if unknown := used - _DOMAINS:
        raise InvalidArtifact(f"the model uses operators of its own: {', '.join(sorted(unknown))}")


def _tensor(value: Any, role: str, hint: str = "") -> Tensor:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        word = (kind or "no_type").removesuffix("_type").replace("_", " ")
        raise InvalidArtifact(f"{role} {value.name!r} is a {word}, and only tensors can be served{hint}")
    tensor = value.type.tensor_type
    datatype = _DATATYPES.get(tensor.elem_type)
    if datatype is None:
        names = {number: name for name, number in onnx.TensorProto.DataType.items()}
        raise InvalidArtifact(
            f"{role} {value.name!r} has the datatype {names.get(tensor.elem_type, tensor.elem_type)}, "
            "which cannot be served"
        )
    return Tensor(value.name, datatype, tuple(_dimension(each) for each in tensor.shape.dim))


def _way_out(proto: Any, output: str) -> str:
    """How to make a tensor of an output that is none, as far as its converter lets one."""
    maker = next((node for node in proto.graph.node if output in node.output), None)
    if maker is None or maker.op_type != "ZipMap":
        return ": give each tensor of it an output of its own"
    if proto.producer_name == "skl2onnx":
        return ": convert with options={'zipmap': False}"
    if proto.producer_name == "OnnxMLTools":
        return (
            ": convert with zipmap=False if the converter has it; "
            "models of XGBoost and LightGBM are packed from their own files, too"
        )
    return f": make {maker.input[0]!r} the output in its place, and leave its ZipMap node out"


def _dimension(dimension: Any) -> int:
    return int(dimension.dim_value) if dimension.HasField("dim_value") else -1


def _in_order(inputs: list[Tensor], features: Sequence[str]) -> list[Tensor]:
    """The inputs in the order of the features, when each is one; inputs are bound by name, not place."""
    by_name = {tensor.name: tensor for tensor in inputs}
    if len(inputs) == len(features) and by_name.keys() == set(features):
        return [by_name[name] for name in features]
    return inputs


def _brief(error: Exception) -> str:
    """The first line of a message that may go on for pages, cut to a readable length."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
