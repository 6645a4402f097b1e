"""Arbitrary bytes as a model's file, and what must hold: it is refused, or packed so that a cell takes it.

LightGBM's text and ONNX are packed in this process. XGBoost's files are read by treelite, which some of them
crash: they are packed in a fork of it, whose death counts as a refusal, as it does for `pack_file_apart`.
What is packed must be loaded and score rows, by the same code as in `packed.py`. To search (see there):

    python -P tests/fuzz/packers.py -max_total_time=600 -max_len=20000 /tmp/found tests/fuzz/corpus/packers
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))

from fuzz import packed
from fuzz.engine import fuzz
from fuzz.packers_mutator import mutate

from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.files import FileKind, pack_file, told_by

CORPUS = Path(__file__).parent / "corpus" / "packers"
PACKED, REFUSED, CRASHED = 0, 3, 4

Pack = Callable[[bytes], bytes]


def replay(data: bytes, pack: Pack = pack_file) -> bool:
    """Run one input; whether it was packed."""
    try:
        artifact = pack(data)
    except InvalidArtifact:
        return False
    found = view(artifact)
    assert found.engine not in packed.ENGINES or packed.replay(artifact), "a cell refuses what was packed"
    return True


def replay_apart(data: bytes) -> int:
    """Run one input in a fork; how it went, which is no finding unless it raised."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        # 9 whatever is raised that nobody promised: a finding.
        status = 9
        try:
            status = PACKED if replay(data) else REFUSED
        except MemoryError:
            status = REFUSED
        finally:
            if status == 9:
                sys.excepthook(*sys.exc_info())
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return CRASHED
    assert os.WEXITSTATUS(status) in (PACKED, REFUSED), "the fork raised what is no refusal"
    return os.WEXITSTATUS(status)


def run(data: bytes) -> None:
    try:
        is_xgboost = told_by(data) is FileKind.XGBOOST
    except InvalidArtifact:
        return
    if is_xgboost:
        replay_apart(data)
    else:
        replay(data)


if __name__ == "__main__":
    import onnx  # noqa: F401 (loaded before the first fork and the first input)
    import treelite  # noqa: F401

    fuzz(run, mutate)
