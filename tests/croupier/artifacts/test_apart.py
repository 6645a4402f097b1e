"""Packing in a throwaway process: the same artifacts, and no harm from a file or its reader."""

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from support.apart import XGBOOST, refusal

from croupier.artifacts.packers.process import PackerIncomplete, pack_file_apart

# One leaf, as LightGBM writes it.
LIGHTGBM = b"""tree
num_class=1
num_tree_per_iteration=1
max_feature_idx=1
feature_names=a b
objective=regression

Tree=0
num_leaves=1
leaf_value=3

end of trees
"""

Reader = Callable[[str], None]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Puts a treelite of the test's own before the real one, as far as the new process can see."""

    def write(source: str) -> None:
        (tmp_path / "treelite.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)

    return write


def test_python_that_asks_for_too_much_memory(reader: Reader) -> None:
    reader("bytearray(1 << 40)")
    assert "memory than the limit" in refusal(XGBOOST)


def test_a_reader_that_aborts(reader: Reader) -> None:
    reader("import os; os.abort()")
    assert "SIGABRT" in refusal(XGBOOST)


def test_a_reader_that_loops_ends_at_the_limit_of_cpu_time(reader: Reader) -> None:
    reader("while True: pass")
    assert "CPU time than the limit of 1 s" in refusal(XGBOOST, cpu_seconds=1)


def test_a_reader_that_hangs_ends_at_the_limit_of_time(reader: Reader) -> None:
    reader("import signal; signal.pause()")
    assert "longer than the limit of 0.5 s" in refusal(XGBOOST, wall_seconds=0.5)


def test_a_reader_that_hangs_after_its_answer(reader: Reader) -> None:
    reader("import os, signal; os.closerange(0, 99); signal.pause()")
    assert "longer than the limit of 2 s" in refusal(XGBOOST, wall_seconds=2.0)


def test_what_a_reader_prints_is_no_answer(reader: Reader) -> None:
    reader("import os; [os.write(place, b'P' * 2000) for place in (1, 2) for _ in range(100)]; 1 / 0")
    assert refusal(XGBOOST) == "the file cannot be read: ZeroDivisionError: division by zero"


def test_an_answer_without_end(reader: Reader) -> None:
    # The reply's pipe is the only one open for writing.
    reader(
        "import os\n"
        "while True:\n"
        "    for place in range(3, 10):\n"
        "        try: os.write(place, b'P' * 65536)\n"
        "        except OSError: pass"
    )
    assert "artifact is larger than the limit of 100000 bytes" in refusal(XGBOOST, file_bytes=100_000)


def test_an_answer_that_is_no_artifact(reader: Reader) -> None:
    reader(
        "import os\n"
        "for place in range(3, 10):\n"
        "    try: os.write(place, b'P' * 99)\n"
        "    except OSError: pass\n"
        "os._exit(0)"
    )
    assert "magic is missing" in refusal(XGBOOST)


def test_a_reader_that_leaves_without_an_answer(reader: Reader) -> None:
    reader("import os; os._exit(3)")
    assert "status 3" in refusal(XGBOOST)


def test_a_missing_library_is_not_the_files_fault(reader: Reader) -> None:
    reader("raise ImportError('No module named treelite')")
    with pytest.raises(PackerIncomplete, match="No module named treelite"):
        pack_file_apart(XGBOOST)


def test_the_process_sees_neither_our_environment_nor_our_descriptors(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("PYTHONSTARTUP", "x")
    reader(
        "import os, resource as r\n"
        "seen = sorted(os.environ), os.getcwd(), len(os.listdir('/proc/self/fd')),\n"
        "bounds = [r.getrlimit(w) for w in (r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_CORE, r.RLIMIT_FSIZE)]\n"
        "raise RuntimeError((*seen, bounds))"
    )
    kept = open(os.open(tmp_path / "kept", os.O_CREAT | os.O_RDWR), "w")  # noqa: SIM115 (closed below)
    os.set_inheritable(kept.fileno(), True)
    said = refusal(XGBOOST, memory_bytes=1 << 30, cpu_seconds=9)
    kept.close()
    names = "['LC_ALL', 'MKL_NUM_THREADS', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS']"
    # stdin, stdout, stderr, the reply, /dev/null, and what lists them.
    assert said.endswith(f"({names}, '/', 6, [(1073741824, 1073741824), (9, 10), (0, 0), (0, 0)])")
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != 1 << 30


def test_interrupted_it_ends_the_process(reader: Reader) -> None:
    reader("import os, signal; os.kill(os.getppid(), signal.SIGUSR1); signal.pause()")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()
    handler = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            pack_file_apart(XGBOOST)
    finally:
        signal.signal(signal.SIGUSR1, handler)
    assert children.read_text() == before
