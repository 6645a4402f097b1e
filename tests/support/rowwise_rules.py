"""The rule for one operator beside what ONNX Runtime makes of it, for several numbers of rows.

`shown` follows a rule and then runs the operator alone: whatever the rule says of an output is so, or the
test fails. What the rule refuses it raises, as the analysis does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto, helper, numpy_helper

from croupier.artifacts.packers.rowwise.node import Node
from croupier.artifacts.packers.rowwise.operators import RULES
from croupier.artifacts.packers.rowwise.values import BATCH, Dims, Fixed, Rows, Sizes, Value

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
# None: an input that is left out.
Given: TypeAlias = Rows | Array | np.generic | None

LEARNED = "ai.onnx.ml"


def rows(*dims: int | None) -> Rows:
    """Rows whose batch is the dimension None; all others are known."""
    return Rows(dims.index(None), dims)


def shown(
    operator: str,
    *given: Given,
    opset: int = 17,
    domain: str = "",
    outputs: int = 1,
    whole: bool = False,
    **attributes: Any,
) -> Sequence[Value]:
    """What the rule for `operator` says of its outputs, which ONNX Runtime has shown to be so.

    An array stands for what is fixed, `Rows` for numbers of rows: `whole` ones are places in a table.

    Raises:
        Dependent: the rule says that rows are mixed, or does not know.
    """
    given = tuple(np.asarray(each) if isinstance(each, np.generic) else each for each in given)
    values = tuple(Fixed.of(each) if isinstance(each, np.ndarray) else each for each in given)
    settings = {
        each.name: helper.get_attribute_value(each)
        for each in (helper.make_attribute(name, value) for name, value in attributes.items())
    }
    made = RULES[domain, operator](Node(operator, opset, values, settings, outputs))[:outputs]
    run = _Runner(operator, given, opset, domain, len(made), whole, attributes)
    for count in (1, 2, 3):
        run.show(made, count)
    return made


class _Runner:
    def __init__(
        self,
        operator: str,
        given: Sequence[Given],
        opset: int,
        domain: str,
        outputs: int,
        whole: bool,
        attributes: dict[str, Any],
    ) -> None:
        self._rows = {f"i{at}": each for at, each in enumerate(given) if isinstance(each, Rows)}
        self._whole = whole
        names = ["" if each is None else f"i{at}" for at, each in enumerate(given)]
        self._names = [f"o{at}" for at in range(outputs)]
        kind = TensorProto.INT64 if whole else TensorProto.FLOAT
        graph = helper.make_graph(
            [helper.make_node(operator, names, self._names, domain=domain, **attributes)],
            "g",
            [
                helper.make_tensor_value_info(
                    name, kind, ["N" if at == each.axis else size for at, size in enumerate(each.dims)]
                )
                for name, each in self._rows.items()
            ],
            [helper.make_empty_tensor_value_info(name) for name in self._names],
            [
                numpy_helper.from_array(each, f"i{at}")
                for at, each in enumerate(given)
                if isinstance(each, np.ndarray)
            ],
        )
        imports = {"": opset, LEARNED: 3, "com.microsoft": 1}
        made: ModelProto = helper.make_model(
            graph, opset_imports=[helper.make_opsetid(*each) for each in imports.items()], ir_version=9
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(
            made.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def show(self, made: Sequence[Value], count: int) -> None:
        """Each output is what its value says, of `count` rows, and changes with its own row alone."""
        fed = {name: self._fed(each, count, name) for name, each in self._rows.items()}
        found = self._run(fed)
        for value, output in zip(made, found, strict=True):
            _assert_shape(value, output, count)
        for row in range(count):
            moved = {name: _with_row(fed[name], each.axis, row) for name, each in self._rows.items()}
            for value, output, other in zip(made, found, self._run(moved), strict=True):
                if not isinstance(value, Rows):
                    np.testing.assert_array_equal(other, output)
                    continue
                rest = [place for place in range(count) if place != row]
                np.testing.assert_allclose(
                    other.take(rest, value.axis), output.take(rest, value.axis), rtol=1e-6
                )

    def _run(self, fed: dict[str, Array]) -> list[Array]:
        return [np.asarray(each) for each in self._session.run(self._names, fed)]

    def _fed(self, value: Rows, count: int, name: str) -> Array:
        random = np.random.default_rng(len(name) + count)
        shape = _sizes(value, count)
        if self._whole:
            return random.integers(0, 2, shape)
        return random.normal(size=shape).astype(np.float32)


def _sizes(value: Rows, count: int) -> list[int]:
    sizes = [count if at == value.axis else size for at, size in enumerate(value.dims)]
    return [size for size in sizes if size is not None]


def _with_row(array: Array, axis: int, row: int) -> Array:
    """With other numbers in one row."""
    moved = array.copy()
    at = (slice(None),) * axis + (row,)
    moved[at] = 1 - moved[at]
    return moved


def _assert_shape(value: Value, output: Array, count: int) -> None:
    if isinstance(value, Sizes):
        expected = [count if each is BATCH else each for each in value.entries.ravel()]
        assert output.shape == value.entries.shape
        assert [have for have, each in zip(output.ravel(), expected, strict=True) if each is not None] == [
            each for each in expected if each is not None
        ]
        return
    dims: Dims | None = value.dims
    if dims is not None:
        assert len(output.shape) == len(dims)
        known = [size if size is not None else have for size, have in zip(dims, output.shape, strict=True)]
        if isinstance(value, Rows):
            known[value.axis] = count
        assert list(output.shape) == known
    if isinstance(value, Fixed) and value.value is not None:
        np.testing.assert_array_equal(output, value.value)


def named(value: Any) -> str:
    """What a case is called: by its texts."""
    return value if isinstance(value, str) else ""
