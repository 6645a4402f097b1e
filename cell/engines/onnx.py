"""The engine `onnx`: ONNX Runtime on the CPU, one session a model.

Sessions have no threads of their own (the cell's scoring threads are the parallelism; a pool per
session would be thousands of threads), no arena and no memory patterns (both keep the largest
batch's memory for ever). Optimisation stays at the basic level: against the highest, small models take
about half of the memory and less than half of the time to load, and score no slower.

What a session keeps is measured on the heap (`heap.py`), one load at a time, and held within bounds
that known models keep, because scoring threads allocate and free meanwhile.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import onnxruntime

from cell.codec.signature import Arrays, Signature
from cell.crash import slots
from cell.engines import ArtifactRefused, ScoringFailed
from cell.engines.heap import heap_bytes
from cell.engines.onnx_graph import DecodeError, reads_other_files
from cell.engines.stop import Stop, Stopped
from croupier.artifacts.batching import Batching, batching_of
from croupier.artifacts.format import Artifact, InvalidArtifact, Tensor
from croupier.artifacts.rowwise import is_rowwise
from croupier.names import DIGEST_BYTES

T = TypeVar("T")

SECTION = "model"

# Resident bytes by the size of the model: between a dense network's, whose weights are kept as they
# are, and a tree ensemble's, whose nodes grow about fivefold.
_BASE_BYTES = 64 * 1024
_GROWTH = 6
_LEAST_BASE_BYTES = 32 * 1024
# Signature and session as Python keeps them, which the heap does not show.
_PYTHON_BYTES = 5 * 1024

# Of what is worth a line on standard error. What fails raises, too, and the runtime's own words may hold a
# caller's values and a publisher's names.
_SEVERITY_FATAL = 4
# Nobody is blamed by it (`cell/crash/journal.py`).
_UNNAMED = bytes(DIGEST_BYTES)
# As the runtime's messages name it; an operator of its own making could have any name.
_OPERATOR = re.compile(r"while running (\w{1,40}) node")
_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


@dataclass(slots=True, eq=False)
class OnnxScorer:
    """A session, None once it was closed, and what it takes and gives."""

    signature: Signature
    resident_bytes: int
    batchable: bool
    batching: Batching
    session: onnxruntime.InferenceSession | None
    digest: bytes = _UNNAMED

    def admitted(self, inputs: Arrays, where: str) -> Arrays:
        """All that the signature says."""
        return inputs

    def score(self, inputs: Arrays, outputs: Sequence[str], stop: Stop | None = None) -> Arrays:
        """The named outputs for every row of `inputs`.

        Raises:
            ScoringFailed: the runtime refused or failed, or the model was closed.
            Stopped: it was told to end by `stop`.
        """
        session = self.session
        if session is None:
            raise ScoringFailed("the model was closed")
        options = onnxruntime.RunOptions()
        options.log_severity_level = _SEVERITY_FATAL
        if stop is not None:
            # The runtime looks at it between two nodes, and between two rounds of a loop.
            stop.bind(partial(setattr, options, "terminate", True))
        try:
            with slots.Naming(self.digest, slots.SCORE):
                values = session.run(list(outputs), dict(inputs), options)
        except Exception as error:  # noqa: BLE001 (its own words stay inside: they may hold a caller's values)
            if stop is not None and stop.is_asked:
                raise Stopped("the model was stopped: it had run for as long as it may") from None
            raise ScoringFailed(f"the model failed on this input ({_kind(error)})") from None
        return dict(zip(outputs, values, strict=True))

    def close(self) -> None:
        """Let the session go; a call that runs still holds it."""
        self.session = None


class OnnxEngine:
    """Loads artifacts whose section `model` is a whole ONNX file."""

    only_copies = False

    def __init__(self, heap: Callable[[], int | None] = heap_bytes) -> None:
        self._heap = heap
        self._measuring = threading.Lock()

    def estimate(self, artifact: Artifact) -> int:
        return _BASE_BYTES + _GROWTH * len(_model_of(artifact))

    def load(self, artifact: Artifact, digest: bytes | None = None) -> OnnxScorer:
        """A session for `artifact`.

        Raises:
            ArtifactRefused: no ONNX model, one that reads other files, or one whose inputs and
                outputs are not what the artifact says.
        """
        model = bytes(_model_of(artifact))
        _check_whole(model)
        digest = digest or _UNNAMED
        # Named once it has its turn: who waits for another one's load is no culprit of its end.
        with self._measuring:
            before = self._heap()
            with slots.Naming(digest, slots.LOAD):
                session = _open(model)
            after = self._heap()
        _check_inputs(session, artifact)
        _check_outputs(session, artifact)
        measured = None if before is None or after is None else after - before
        return OnnxScorer(
            Signature.of(artifact),
            self._resident_bytes(artifact, measured),
            _told(is_rowwise, artifact) and _has_free_rows(session),
            _told(batching_of, artifact),
            session,
            digest,
        )

    def _resident_bytes(self, artifact: Artifact, measured: int | None) -> int:
        estimate = self.estimate(artifact)
        if measured is None:
            return estimate + _PYTHON_BYTES
        least = _LEAST_BASE_BYTES + len(_model_of(artifact))
        return min(max(measured, least), 2 * estimate) + _PYTHON_BYTES


def _model_of(artifact: Artifact) -> memoryview:
    try:
        return artifact.section(SECTION)
    except InvalidArtifact as error:
        raise ArtifactRefused(error.message) from error


def _check_whole(model: bytes) -> None:
    try:
        if reads_other_files(model):
            raise ArtifactRefused("the ONNX model keeps data in other files")
    except DecodeError as error:
        raise ArtifactRefused("the ONNX model cannot be decoded") from error


def _open(model: bytes) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(model, _options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 (the same)
        raise ArtifactRefused(f"ONNX Runtime cannot load the model ({_kind(error)})") from None


def _kind(error: Exception) -> str:
    """What may be said of a failure of the runtime: its class, and the operator that failed."""
    found = _OPERATOR.search(str(error))
    return f"{type(error).__name__} in {found[1]}" if found else type(error).__name__


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = _SEVERITY_FATAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # Otherwise the first bytes decide, and the other format is not checked for external data.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options


def _check_inputs(session: onnxruntime.InferenceSession, artifact: Artifact) -> None:
    nodes = {node.name: node for node in session.get_inputs()}
    if nodes.keys() != {tensor.name for tensor in artifact.inputs}:
        raise ArtifactRefused("the ONNX model has other inputs than the artifact says")
    for tensor in artifact.inputs:
        node = nodes[tensor.name]
        _check_datatype(node, tensor)
        if len(node.shape) != len(tensor.shape) or not all(map(_fits, node.shape[1:], tensor.shape[1:])):
            raise ArtifactRefused(
                f"input {tensor.name!r} is {list(tensor.shape)} in the artifact and {node.shape} in the model"
            )


def _check_outputs(session: onnxruntime.InferenceSession, artifact: Artifact) -> None:
    nodes = {node.name: node for node in session.get_outputs()}
    for tensor in artifact.outputs:
        if tensor.name not in nodes:
            raise ArtifactRefused(f"the ONNX model has no output {tensor.name!r}")
        _check_datatype(nodes[tensor.name], tensor)


def _check_datatype(node: onnxruntime.NodeArg, tensor: Tensor) -> None:
    if _DATATYPES.get(node.type) != tensor.datatype:
        raise ArtifactRefused(
            f"{tensor.name!r} is {tensor.datatype} in the artifact and {node.type} in the model"
        )


def _fits(dimension: int | str | None, declared: int) -> bool:
    """Whether the model takes `declared`: a name or None is a free dimension."""
    return not isinstance(dimension, int) or dimension == declared


def _told(read: Callable[[Artifact], T], artifact: Artifact) -> T:
    """What a section says that is not the model itself."""
    try:
        return read(artifact)
    except InvalidArtifact as error:
        raise ArtifactRefused(error.message) from error


def _has_free_rows(session: onnxruntime.InferenceSession) -> bool:
    """Whether no first dimension is a fixed number, which would be a batch of that size only."""
    nodes = [*session.get_inputs(), *session.get_outputs()]
    return not any(node.shape and isinstance(node.shape[0], int) for node in nodes)
