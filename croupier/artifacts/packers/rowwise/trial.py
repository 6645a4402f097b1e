"""Scores made rows together, alone, in another order and many at once, as a cell's runtime does.

A row's answer is the same in all of these, up to rounding: a product of many rows adds up in another order
than one of a single row. A NaN or a huge number in one row changes nothing in the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from croupier.artifacts.datatypes import DATATYPES
from croupier.artifacts.format import Tensor
from croupier.artifacts.packers.rowwise.values import Array, Dependent

_ROWS = 7
# Enough for kernels that do several rows at a time, and for what is left over.
_MANY = 67
# Of the largest number that an output has.
_CLOSE = 2e-6
# A model that is slow is tried with fewer rows.
_SECONDS = 5.0
_MOST_TEXTS = 256

Rows = dict[str, Array]
Run = Callable[[Rows], list[Array]]


def check_agrees(model: Any, serialized: bytes, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """Try `model`, which cannot run for ever: it has no loops.

    Raises:
        Dependent: an answer differs, or there is none to compare.
    """
    run = _runner(serialized, [tensor.name for tensor in outputs])
    rng = np.random.default_rng(1)
    texts = _texts(model)
    until = time.monotonic() + _SECONDS
    tried = 0
    for scale in (1.0, 100.0, 0.01):
        rows = {tensor.name: _made(tensor, scale, texts, rng) for tensor in inputs}
        # What fails on a row by itself (a place that no table has) says nothing of it beside others.
        alone = _alone(run, rows)
        if alone is not None:
            tried += 1
            _try(run, rows, alone, until)
        if time.monotonic() > until:
            break
    if not tried:
        raise Dependent("the trial found no rows that the model takes")


def _runner(serialized: bytes, outputs: list[str]) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # As the engine of a cell has it.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        session = onnxruntime.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise Dependent(f"the trial could not load the model ({type(error).__name__})") from error
    quiet = onnxruntime.RunOptions()
    quiet.log_severity_level = 4
    return lambda rows: [np.asarray(value) for value in session.run(outputs, rows, quiet)]


def _alone(run: Run, rows: Rows) -> list[list[Array]] | None:
    """The answers to each row; None if there is one without."""
    try:
        return [run(_chosen(rows, [place])) for place in range(_ROWS)]
    except Exception:  # noqa: BLE001 (whatever a model does with made rows)
        return None


def _try(run: Run, rows: Rows, alone: list[list[Array]], until: float) -> None:
    orders = [list(range(_ROWS)), list(reversed(range(_ROWS))), [place % _ROWS for place in range(_MANY)]]
    for order in orders:
        _compare(run, _chosen(rows, order), [alone[place] for place in order], "beside others")
        if time.monotonic() > until:
            return
    for harm in (np.nan, np.inf, 3e38):
        harmed = {name: _harmed(values, harm) for name, values in rows.items()}
        if _alone(run, harmed) is not None:
            _compare(run, harmed, [None, *alone[1:]], f"beside a row of {harm}")


def _harmed(values: Array, harm: float) -> Array:
    if values.dtype.kind != "f":
        return values
    harmed = values.copy()
    harmed[0] = np.clip(harm, *_RANGE_OF_HALVES) if values.dtype == np.float16 and np.isfinite(harm) else harm
    return harmed


_RANGE_OF_HALVES = (-6e4, 6e4)


def _compare(run: Run, rows: Rows, expected: Sequence[list[Array] | None], how: str) -> None:
    """Score `rows` in one call; None stands for a row whose answer does not matter."""
    count = len(expected)
    try:
        outputs = run(rows)
    except Exception as error:
        raise Dependent(f"in the trial, the model failed on rows {how} ({type(error).__name__})") from error
    for number, output in enumerate(outputs):
        if output.shape[:1] != (count,):
            raise Dependent(f"in the trial, {count} rows gave an output of shape {list(output.shape)}")
        for place, answer in enumerate(expected):
            if answer is not None and not _is_close(output[place : place + 1], answer[number], output):
                raise Dependent(f"in the trial, a row was answered differently {how}")


def _is_close(one: Array, other: Array, every: Array) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return bool((one == other).all())
    finite = np.abs(every[np.isfinite(every)].astype(np.float64))
    # Half precision has no more than three digits.
    close = _CLOSE if one.dtype != np.float16 else 2e-3
    most = close * float(finite.max(initial=0.0))
    return np.allclose(one.astype(np.float64), other.astype(np.float64), rtol=0, atol=most, equal_nan=True)


def _chosen(rows: Mapping[str, Array], places: list[int]) -> Rows:
    return {name: values[places] for name, values in rows.items()}


def _made(tensor: Tensor, scale: float, texts: list[str], rng: np.random.Generator) -> Array:
    """Different rows; whole numbers are small, since most of them are places in a table."""
    shape = (_ROWS, *tensor.shape[1:])
    datatype = DATATYPES[tensor.datatype]
    if tensor.datatype == "BYTES":
        return rng.choice(np.array(texts, object), shape)
    if datatype.kind == "f":
        return (rng.normal(size=shape) * scale).astype(datatype)
    most = 2 if datatype.kind == "b" or scale == 1.0 else 10
    return rng.integers(0, most, shape).astype(datatype)


def _texts(model: Any) -> list[str]:
    """Texts that the model knows, in tables and attributes, and one that it does not."""
    found = [text for node in model.graph.node for each in node.attribute for text in each.strings]
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.STRING:
            found += tensor.string_data
    return [*(text.decode(errors="replace") for text in found[:_MOST_TEXTS]), "unheard of"]
