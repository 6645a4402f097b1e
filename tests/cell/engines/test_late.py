from concurrent.futures import ThreadPoolExecutor
from typing import Any

from support.cells import SumScorer
from support.graphs import artifact, matmul

from cell.engines import Engine
from cell.engines.late import LateEngine
from cell.engines.onnx import OnnxEngine


class Made:
    """Makes an engine, and counts."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.count = 0

    def __call__(self) -> Engine:
        self.count += 1
        return self.engine  # type: ignore[no-any-return]


class Counting:
    only_copies = True

    def estimate(self, artifact: Any) -> int:
        return 7

    def load(self, artifact: Any, digest: bytes | None = None) -> Any:
        return SumScorer(size=len(digest or b""))


def test_nothing_is_made_before_it_is_needed() -> None:
    made = Made(Counting())
    late = LateEngine(made)
    assert made.count == 0
    assert late.estimate(artifact(matmul())) == 7
    assert late.load(artifact(matmul()), b"123").resident_bytes == 3
    assert made.count == 1


def test_it_is_made_once_however_many_ask() -> None:
    made = Made(Counting())
    late = LateEngine(made)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(late.estimate, [artifact(matmul())] * 50)) == [7] * 50
    assert made.count == 1


def test_it_never_loads_on_the_event_loop_whatever_its_engine_says() -> None:
    assert LateEngine(Made(Counting())).only_copies is False


def test_it_is_the_engine_otherwise() -> None:
    late, engine = LateEngine(OnnxEngine), OnnxEngine()
    assert late.estimate(artifact(matmul())) == engine.estimate(artifact(matmul()))
    assert late.load(artifact(matmul())).signature == engine.load(artifact(matmul())).signature
