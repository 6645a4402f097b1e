"""What a model's file is, told by its first bytes, and packed accordingly."""

from collections.abc import Callable

import lightgbm
import pytest
import xgboost
from support.forests import data
from support.graphs import INPUT, OUTPUT, centred, matmul, packed

from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.files import FileKind, pack_file, told_by
from croupier.artifacts.packers.onnx import pack_onnx
from croupier.artifacts.packers.process import pack_file_apart
from croupier.artifacts.rowwise import INDEPENDENT

X = data(1, rows=60)
Y = X[:, 0].copy()
XGBOOST = xgboost.train({"nthread": 1}, xgboost.DMatrix(X, Y), 1)
LIGHTGBM = lightgbm.train({"num_threads": 1, "verbose": -1}, lightgbm.Dataset(X, Y), 1)


@pytest.mark.parametrize(
    ("content", "kind", "engine"),
    [
        (bytes(XGBOOST.save_raw("json")), FileKind.XGBOOST, "forest"),
        (b" \n" + bytes(XGBOOST.save_raw("json")), FileKind.XGBOOST, "forest"),
        (bytes(XGBOOST.save_raw("ubj")), FileKind.XGBOOST, "forest"),
        (LIGHTGBM.model_to_string().encode(), FileKind.LIGHTGBM, "forest"),
        (LIGHTGBM.model_to_string().replace("\n", "\r\n").encode(), FileKind.LIGHTGBM, "forest"),
        (matmul(), FileKind.ONNX, "onnx"),
        (pack_onnx(matmul()), FileKind.ARTIFACT, "onnx"),
    ],
)
def test_files_are_told_by_their_first_bytes(content: bytes, kind: FileKind, engine: str) -> None:
    assert told_by(content) is kind
    assert view(pack_file(content)).engine == engine


def test_features_may_be_named() -> None:
    names = list("abcdef")
    assert view(pack_file(bytes(XGBOOST.save_raw("ubj")), features=names)).features == tuple(names)
    with pytest.raises(InvalidArtifact, match="already"):
        pack_file(pack_onnx(matmul()), features=["a"])


def test_what_cannot_be_packed_is_called_by_its_name() -> None:
    with pytest.raises(InvalidArtifact, match="a pickle"):
        told_by(b"\x80\x05")


@pytest.mark.parametrize(
    "whole",
    [matmul(), pack_onnx(matmul()), LIGHTGBM.model_to_string().encode()],
    ids=["onnx", "artifact", "lightgbm"],
)
def test_a_file_that_was_cut_is_refused(whole: bytes) -> None:
    """XGBoost's have a test of their own. Of LightGBM's, what follows the trees is no part of the model."""
    end = whole.index(b"end of trees") if whole.startswith(b"tree") else len(whole)
    step = max(1, end // 300)
    for place in [*range(0, end, step), *range(end - 50, end)]:
        with pytest.raises(InvalidArtifact):
            pack_file(whole[:place])


@pytest.mark.parametrize("pack", [pack_file, pack_file_apart])
def test_an_artifact_that_lies_about_its_rows_is_refused(pack: Callable[[bytes], bytes]) -> None:
    honest, lying = (
        packed(model, inputs=[INPUT], outputs=[OUTPUT], sections={"model": model, "rowwise": INDEPENDENT})
        for model in (matmul(), centred())
    )
    assert pack(honest) == honest
    with pytest.raises(InvalidArtifact, match="ReduceMean 'mean' works along axis 0, the batch"):
        pack(lying)
