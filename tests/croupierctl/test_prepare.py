"""Files on their way to be published: packed, compared with their libraries in processes, and tried."""

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas
import pytest
import typer
import xgboost
from support.graphs import matmul, picky

from croupier.artifacts.checked import checked_of, with_checked
from croupier.artifacts.comparison import UNCHECKED, Comparison
from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.checks.check import check_file, try_made
from croupier.artifacts.packers.checks.compare import DiffersFromLibrary
from croupier.artifacts.packers.checks.made import WrongSample
from croupier.artifacts.packers.files import FileKind
from croupier.artifacts.packers.forest import pack_lightgbm, pack_xgboost
from croupier.artifacts.packers.onnx import pack_onnx
from croupier.artifacts.packers.process import PackerIncomplete
from croupierctl.advice import advice
from croupierctl.prepare import How, NotCompared, prepare, read_sample

RANDOM = np.random.default_rng(1)
X = RANDOM.normal(size=(200, 3))


@pytest.fixture(autouse=True)
def _nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here everything is."""


@pytest.fixture(scope="module")
def text() -> str:
    options = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 8}
    data = lightgbm.Dataset(X, X[:, 0] > 0, feature_name=["a", "b", "c"])
    return lightgbm.train(options, data, 4).model_to_string()


@pytest.fixture
def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "model.txt"
    path.write_text(text)
    return path


def test_a_file_is_compared_with_its_library(file: Path) -> None:
    found = prepare(file, How(sample=pandas.DataFrame(X, columns=["b", "a", "c"])))
    assert (found.checked.library, found.checked.version) == ("lightgbm", lightgbm.__version__)
    assert found.checked.sample == 400
    assert found.checked.made > 400
    assert found.checked.difference < 1e-6
    assert found.resident_bytes > 0
    assert found.row_microseconds > 0
    artifact = view(found.artifact)
    assert checked_of(artifact) == found.checked
    assert found.artifact == with_checked(pack_lightgbm(file.read_text()), found.checked)


def test_a_file_whose_artifact_answers_otherwise() -> None:
    booster = xgboost.train({"max_depth": 3, "nthread": 1}, xgboost.DMatrix(X, X[:, 0]), 4)
    other = pack_xgboost(bytes(booster[:3].save_raw("ubj")))
    with pytest.raises(DiffersFromLibrary, match="rows differ in 'value'"):
        check_file(bytes(booster.save_raw("ubj")), FileKind.XGBOOST, other)


def test_a_library_that_is_not_installed(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lightgbm.py").write_text("raise ImportError('No module named lightgbm')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PackerIncomplete, match="No module named lightgbm"):
        prepare(file, How())
    found = prepare(file, How(unchecked=True))
    assert checked_of(view(found.artifact)) == UNCHECKED


def test_a_library_that_crashes(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lightgbm.py").write_text("import os; os.abort()")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidArtifact, match="this file crashed its library"):
        prepare(file, How())


def test_an_onnx_file_is_compared_with_the_runtime_itself(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(matmul())
    assert prepare(path, How()).checked.library == "onnxruntime"


def test_an_artifact_that_nobody_compared(tmp_path: Path) -> None:
    path = tmp_path / "model.artifact"
    for data in (pack_onnx(matmul()), with_checked(pack_onnx(matmul()), UNCHECKED)):
        path.write_bytes(data)
        with pytest.raises(NotCompared, match="without being compared"):
            prepare(path, How())
    found = prepare(path, How(unchecked=True))
    assert found.checked == UNCHECKED
    with pytest.raises(typer.BadParameter, match="compares a model with its library"):
        prepare(path, How(sample=X))


def test_an_artifact_that_no_cell_can_load(tmp_path: Path) -> None:
    path = tmp_path / "model.artifact"
    model = matmul(model_version=3)
    packed = with_checked(pack_onnx(model), Comparison("onnxruntime", "1", 0, 5))
    at = packed.index(b"MatMul")
    path.write_bytes(packed[:at] + b"MetMul" + packed[at + 6 :])
    for how in (How(), How(unchecked=True)):
        with pytest.raises(InvalidArtifact, match=r"model\.artifact: ONNX Runtime cannot load"):
            prepare(path, how)


def test_a_graph_that_fails_on_rows_that_are_made() -> None:
    """It takes 0, 1 and 2 only."""
    assert try_made(picky()).failures != [None]
    with pytest.raises(InvalidArtifact, match="rows that it takes may be given"):
        check_file(b"", FileKind.ONNX, picky())
    report = check_file(b"", FileKind.ONNX, picky(), np.array([[0.0, 2.0]] * 5))
    assert (report.checked.sample, report.checked.made) == (5, 0)


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        (pandas.DataFrame({"a": [1.0], "c": [2.0]}), "has no column b"),
        (pandas.DataFrame({"a": [1.0], "b": ["x"], "c": [2.0]}), "could not convert"),
        (X[:, :2], r"a sample of shape \[200, 2\]"),
    ],
)
def test_rows_that_are_none_of_the_model(file: Path, sample: object, told: str) -> None:
    """It is the rows that are to be mended, and not the file."""
    with pytest.raises(WrongSample, match=rf"model\.txt: .*{told}") as caught:
        prepare(file, How(sample=sample))
    assert "--check" in advice(caught.value)


def test_rows_come_from_parquet_and_csv(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"a": [1.5, None], "b": ["x", "y"]})
    readers: list[tuple[str, Any]] = [("rows.parquet", frame.to_parquet), ("rows.csv", frame.to_csv)]
    for name, write in readers:
        write(tmp_path / name, index=False)
        assert read_sample(tmp_path / name).equals(frame)
    (tmp_path / "rows.parquet").write_bytes(b"no rows")
    with pytest.raises(typer.BadParameter, match="cannot read"):
        read_sample(tmp_path / "rows.parquet")
