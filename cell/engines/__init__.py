"""What scores models: the protocols that a cell's other parts rely on, and the engines by name.

An engine turns a checked artifact into a scorer. Both of its calls run in threads, several at a
time, so engines and scorers share no mutable state; native code lets the interpreter lock go.
`every` has them all; how to add one stands in CONTRIBUTING.md. Imports `crash`, `codec` and `memory`.

`packed` has the native ones, `onnx` ONNX Runtime (`late` imports it, `heap` measures it, `onnx_graph` looks
for files that a model would read), `stop` ends a run.
`native` is a native model and its scorer, one object of 128 bytes and its bytes in the arena; what scores it,
`forest` and `linear` (their `kinds`), computes its pointers on each call, and `jobs` scores many models in
one. Of a pipeline `transform` makes their columns from what callers send (docs/decisions/0025), which
`raw_rows` looks up and checks for requests that are not plain; `form` fills plain ones in. `checked` takes
what a reader's thread has checked.

What they share is included where it is used: `forest_layout` and `transform_layout` are sections as they lie,
with their checks (`behind` that of what follows an engine's arrays), `rounding` keeps comparisons of float64
exact (docs/decisions/0023), `outcome` makes answers of sums. `transform_block` is a transform by itself, for
tools.

To read it: this file, `packed`, `native`, `jobs`, then `linear` and `forest`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from cell.engines.stop import Stop
from croupier.artifacts.batching import Batching
from croupier.artifacts.format import Artifact
from croupier.errors import FailedPrecondition, InternalError

if TYPE_CHECKING:
    # A signature fills rows natively, for which it knows the native engines.
    from cell.codec.signature import Arrays, Signature


class UnknownEngine(FailedPrecondition):
    """An artifact for an engine that this cell does not have. The operator's."""

    reason = "UNKNOWN_ENGINE"


class ArtifactRefused(FailedPrecondition):
    """An artifact that its engine will not or cannot load. The publisher's."""

    reason = "ARTIFACT_REFUSED"


class ScoringFailed(InternalError):
    """A model that failed on inputs which fit its signature. The publisher's."""

    reason = "SCORING_FAILED"


class Mixed(InternalError):
    """Rows that met another model than their own. A bug of ours, caught before it becomes a wrong answer."""

    reason = "MIXED_BATCH"


class Scorer(Protocol):
    """One loaded model."""

    @property
    def signature(self) -> Signature: ...

    @property
    def resident_bytes(self) -> int:
        """Memory that goes when this scorer is closed and goes."""
        ...

    @property
    def batchable(self) -> bool:
        """Whether rows of several requests may go through one call: they are known to be independent."""
        ...

    @property
    def batching(self) -> Batching | None:
        """How its requests want to be batched; None where a call costs nothing beyond its rows."""
        ...

    def admitted(self, inputs: Arrays, where: str) -> Arrays:
        """A request's `inputs`, which fit the signature, as `score` takes them.

        Raises:
            InvalidRequest: the model itself does not take a value; `where` the caller wrote it.
            ScoringFailed: the model was closed.
        """
        ...

    def score(self, inputs: Arrays, outputs: Sequence[str], stop: Stop | None = None) -> Arrays:
        """The named outputs for every row of `inputs`, in their order. Runs in a thread.

        Raises:
            ScoringFailed: the model failed, or was closed.
            Stopped: it was told to end by `stop`.
        """
        ...

    def close(self) -> None:
        """Give the model's memory back: now, or when the calls that run in threads have ended.

        Whoever evicts a model closes it. Again does nothing.
        """
        ...


class Engine(Protocol):
    """One way of scoring."""

    @property
    def only_copies(self) -> bool:
        """Whether `load` takes little more time than a copy of the artifact, and waits for nothing."""
        ...

    def estimate(self, artifact: Artifact) -> int:
        """Bytes to hold free while `artifact` loads; about what the scorer will take.

        Raises:
            ArtifactRefused: the artifact lacks what this engine needs.
        """
        ...

    def load(self, artifact: Artifact, digest: bytes | None = None) -> Scorer:
        """Make the artifact ready to score; keeps nothing of its buffer. Runs in a thread.

        `digest`, the artifact's, is what the crash journal calls the model.

        Raises:
            ArtifactRefused: saying why.
        """
        ...


class Engines:
    """The engines of a cell by the name that artifacts give."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = dict(engines)

    def get(self, name: str) -> Engine:
        """The engine called `name`.

        Raises:
            UnknownEngine: this cell has none.
        """
        engine = self._engines.get(name)
        if engine is None:
            raise UnknownEngine(f"this cell has no engine {name!r}")
        return engine
