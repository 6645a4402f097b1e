"""scikit-learn's estimators and pipelines to ONNX, by skl2onnx, in float64 where ONNX Runtime can.

scikit-learn computes in float64. A graph of float32 gives other answers as soon as a feature is large beside
what matters of it: with unix seconds among them, a scaled logistic regression was off by 0.002, for float32
rows, too. So a model is converted to a graph of float64 with a float64 input and float32 outputs, and to one
of float32 only if ONNX Runtime has no such operator in float64, or there are trees in it: those of
scikit-learn narrow a row to float32 themselves, and ONNX Runtime's do not.

SimpleImputer has a converter here, for skl2onnx's has no float64, and leaves out what `add_indicator` adds.
Encoders of numbers are refused: skl2onnx cuts a value to a whole number first, so that 2.5 is category 2, and
its OrdinalEncoder loses what becomes of missing values. So is isotonic calibration: it takes the nearest of
its points where scikit-learn goes along the line between two.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from croupier.artifacts.format import InvalidArtifact

INPUT = "input"

_ENCODERS = {"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"}


def convert(model: Any, width: int, *, wide: bool) -> Any:
    """A fitted model of `width` features as ONNX, with one input `INPUT` of float64 or float32.

    It is float64 if it is to be `wide` and can be.

    Raises:
        InvalidArtifact: a step would be converted wrongly, or ONNX Runtime cannot load what comes out.
        Exception: whatever a converter trips over.
    """
    inner = model.get_params(deep=True).values()
    if wrong := _ENCODERS & {type(each).__name__ for each in (model, *inner)}:
        raise InvalidArtifact(
            f"{' and '.join(sorted(wrong))} of numbers cannot be packed by way of ONNX, for skl2onnx takes "
            "2.5 for category 2: pack_linear and pack_forest take it, before the estimators that they pack"
        )
    if any(getattr(each, "method", None) == "isotonic" for each in (model, *inner)):
        raise InvalidArtifact(
            f"the isotonic calibration of this {type(model).__name__} cannot be packed by way of ONNX, for "
            "skl2onnx takes the nearest of its points and not what lies between two: method='sigmoid' can"
        )
    # It takes seconds to import, which whoever packs an ONNX file need not wait for.
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    if wide:
        try:
            proto = _with_float32_outputs(_converted(model, DoubleTensorType([None, width])))
        except Exception:  # noqa: BLE001 (a converter without float64: that of float32 says if more is wrong)
            proto = None
        if proto is not None and _is_exact(proto) and _runs(proto):
            return proto
    proto = _converted(model, FloatTensorType([None, width]))
    if not _runs(proto):
        raise InvalidArtifact(f"ONNX Runtime cannot load what skl2onnx makes of this {type(model).__name__}")
    return proto


def refuses_infinity(model: Any, width: int) -> bool:
    """Whether the model itself refuses a row of infinite values."""
    try:
        with warnings.catch_warnings():
            # That the row has no names.
            warnings.simplefilter("ignore")
            model.predict(np.full((1, width), np.inf))
    except ValueError:
        return True
    return False


def accepts_missing(proto: Any) -> bool:
    """Whether NaN in the input is replaced before anything else sees it."""
    readers = [node for node in proto.graph.node if INPUT in node.input]
    asked = {node.output[0] for node in readers if node.op_type == "IsNaN"}
    return bool(asked) and all(
        node.op_type == "IsNaN"
        or (node.op_type == "Where" and node.input[0] in asked and INPUT not in node.input[:2])
        for node in readers
    )


def _converted(model: Any, tensor: Any) -> Any:
    from skl2onnx import convert_sklearn
    from sklearn.impute import SimpleImputer

    more = {
        "custom_conversion_functions": {SimpleImputer: _convert_imputer},
        "custom_shape_calculators": {SimpleImputer: _shape_of_imputed},
    }
    options = {"zipmap": False} if hasattr(model, "classes_") else None
    return convert_sklearn(model, initial_types=[(INPUT, tensor)], options=options, **more)


def _is_exact(proto: Any) -> bool:
    return not any(node.op_type.startswith("TreeEnsemble") for node in proto.graph.node)


def _runs(proto: Any) -> bool:
    """Whether ONNX Runtime has all of its operators for these datatypes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 (it has a class of its own for each of a dozen causes)
        return False
    return True


def _with_float32_outputs(proto: Any) -> Any:
    """The same with what callers got from a graph of float32: names, shapes and datatypes of its outputs."""
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    graph = changed.graph
    for value in graph.output:
        tensor = value.type.tensor_type
        if tensor.elem_type != TensorProto.DOUBLE:
            continue
        tensor.elem_type = TensorProto.FLOAT
        wide = f"{value.name}_float64"
        for node in graph.node:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    if name == value.name:
                        names[place] = wide
        graph.node.append(helper.make_node("Cast", [wide], [value.name], to=TensorProto.FLOAT))
    return changed


# SimpleImputer.


def _kept(step: Any) -> list[int]:
    """The columns that come through: one that had no value in training has none to be filled with."""
    return np.flatnonzero(~_is_nan(step.statistics_)).tolist()


def _is_nan(values: Any) -> Any:
    return np.array([isinstance(value, float) and math.isnan(value) for value in np.asarray(values).tolist()])


def _indicated(step: Any) -> list[int]:
    return [] if step.indicator_ is None else [int(place) for place in step.indicator_.features_]


def _shape_of_imputed(operator: Any) -> None:
    step = operator.raw_operator
    taken = operator.inputs[0].type
    width = len(_kept(step)) + len(_indicated(step))
    operator.outputs[0].type = type(taken)([taken.shape[0], width])


def _convert_imputer(scope: Any, operator: Any, container: Any) -> None:
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    from skl2onnx.operator_converters.common import concatenate_variables

    step = operator.raw_operator
    kind = type(operator.inputs[0].type)
    if kind not in (DoubleTensorType, FloatTensorType):
        raise InvalidArtifact("a SimpleImputer of other than floats")
    element = TensorProto.DOUBLE if kind is DoubleTensorType else TensorProto.FLOAT

    def made(operation: str, inputs: list[str], **attributes: Any) -> str:
        name: str = scope.get_unique_variable_name(f"imputer_{operation.lower()}")
        container.add_node(operation, inputs, [name], op_version=container.target_opset, **attributes)
        return name

    def constant(datatype: int, shape: list[int], values: list[Any]) -> str:
        name: str = scope.get_unique_variable_name("imputer_constant")
        container.add_initializer(name, datatype, shape, values)
        return name

    def chosen(name: str, places: list[int], count: int) -> str:
        if places == list(range(count)):
            return name
        return made("Gather", [name, constant(TensorProto.INT64, [len(places)], places)], axis=1)

    rows = concatenate_variables(scope, operator.inputs, container)
    filling = [0.0 if missing else float(value) for value, missing in _filling(step)]
    if isinstance(step.missing_values, float) and math.isnan(step.missing_values):
        is_missing = made("IsNaN", [rows])
    else:
        is_missing = made("Equal", [rows, constant(element, [1], [float(step.missing_values)])])
    filled = made("Where", [is_missing, constant(element, [1, len(filling)], filling), rows])
    parts = [chosen(filled, _kept(step), len(filling))]
    if indicated := _indicated(step):
        parts.append(made("Cast", [chosen(is_missing, indicated, len(filling))], to=element))
    container.add_node(
        "Concat",
        parts,
        [operator.outputs[0].full_name],
        axis=1,
        name=scope.get_unique_operator_name("imputed"),
        op_version=container.target_opset,
    )


def _filling(step: Any) -> list[tuple[Any, bool]]:
    return list(zip(np.asarray(step.statistics_).tolist(), _is_nan(step.statistics_).tolist(), strict=True))
