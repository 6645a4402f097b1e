"""Packing in a throwaway process: the same artifacts, and no harm from a file or its reader."""

import json
import os
import resource
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import xgboost
from support.forests import data
from support.graphs import matmul

from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.files import FileKind, pack_file
from croupier.artifacts.packers.onnx import pack_onnx
from croupier.artifacts.packers.process import Limits, PackerIncomplete, pack_file_apart

X = data(1, rows=60)
BOOSTER = xgboost.train({"nthread": 1}, xgboost.DMatrix(X, X[:, 0].copy()), 1)
XGBOOST = bytes(BOOSTER.save_raw("json"))

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


def refusal(content: bytes, **limits: float) -> str:
    with pytest.raises(InvalidArtifact) as caught:
        pack_file_apart(content, limits=Limits(**limits))  # type: ignore[arg-type]
    return caught.value.message


@pytest.mark.parametrize("content", [XGBOOST, LIGHTGBM, matmul()])
def test_the_artifact_is_the_one_that_is_packed_here(content: bytes) -> None:
    options = {"features": list("abcdef")} if content is XGBOOST else {}
    assert pack_file_apart(content, **options) == pack_file(content, **options)


def test_options_reach_the_packer() -> None:
    found = view(pack_file_apart(matmul(), FileKind.ONNX, features=["ä", "b"], accepts_missing=True))
    assert found.features == ("ä", "b")
    assert found.accepts_missing


def test_a_packed_artifact_is_checked_and_stays_as_it_is() -> None:
    packed = pack_onnx(matmul())
    assert pack_file_apart(packed) == packed
    assert "should have" in refusal(packed + b"x")


def test_what_the_packer_refuses_comes_through_with_its_words() -> None:
    learner = json.loads(XGBOOST)
    learner["learner"]["objective"]["name"] = "reg:mine"
    assert "reg:mine" in refusal(json.dumps(learner).encode())
    assert "pickle" in refusal(b"\x80\x05")
    with pytest.raises(InvalidArtifact, match="2 names for a model of 6"):
        pack_file_apart(XGBOOST, features=["a", "b"])


def test_a_model_that_crashes_the_real_treelite() -> None:
    model = json.loads(XGBOOST)
    tree = model["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["split_type"] = [1] + [0] * (len(tree["left_children"]) - 1)
    # A list of categories that would begin far behind the last one.
    tree |= {"categories": [1], "categories_nodes": [0], "categories_sizes": [10**6]}
    tree["categories_segments"] = [10**9]
    assert "SIGSEGV" in refusal(json.dumps(model).encode())


def test_a_model_for_which_the_real_treelite_asks_for_too_much_memory() -> None:
    model = json.loads(XGBOOST)
    model["learner"]["learner_model_param"]["num_class"] = "2000000000"
    assert "memory than the limit of 536870912 bytes" in refusal(
        json.dumps(model).encode(), memory_bytes=512 << 20
    )


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


def test_a_file_beyond_the_limit_is_not_even_read() -> None:
    assert "larger than the limit of 10 bytes" in refusal(XGBOOST, file_bytes=10)


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


def test_files_are_packed_in_many_threads_at_once() -> None:
    files = [LIGHTGBM.replace(b"leaf_value=3", b"leaf_value=%d" % number) for number in range(4)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(pack_file_apart, files)) == [pack_file(file) for file in files]
