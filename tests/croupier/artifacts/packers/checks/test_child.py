"""What the process answers that has a file's own library answer rows."""

import json
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from support.forests import data, scored
from support.graphs import matmul, packed

from croupier.artifacts.apart import Limits, Words, ask
from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.checks import child
from croupier.artifacts.packers.forest import pack_lightgbm, pack_xgboost
from croupier.artifacts.tables import dump, load

X = data(1, rows=40, features=3)
WORDS = Words("answering", "this file", "library", "what it answers")
XGBOOST = bytes(xgboost.train({"nthread": 1}, xgboost.DMatrix(X, X[:, 0].copy()), 2).save_raw("ubj"))
LIGHTGBM = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(X, X[:, 0].copy()), 2)


def answered(kind: str, file: bytes, artifact: bytes, *tables: Any) -> tuple[Any, Any]:
    line, _, rest = child._answered({"kind": kind}, [file, artifact, dump(tables)]).partition(b"\n")
    return json.loads(line), load(rest)


def test_a_line_with_the_library_then_a_table_for_each_table() -> None:
    artifact = pack_xgboost(XGBOOST)
    library, found = answered("xgboost", XGBOOST, artifact, {"input": X}, {"input": X[:1].astype(np.float64)})
    assert library == ["xgboost", xgboost.__version__]
    assert [len(each["value"]) for each in found] == [40, 1]
    np.testing.assert_allclose(found[0]["value"], scored(artifact, X)["value"], rtol=1e-6)
    text = LIGHTGBM.model_to_string()
    library, (only,) = answered("lightgbm", text.encode(), pack_lightgbm(text), {"input": X})
    assert library[0] == "lightgbm"
    np.testing.assert_allclose(only["value"][:, 0], LIGHTGBM.predict(X, num_threads=1))


def test_of_an_artifact_there_is_no_library() -> None:
    with pytest.raises(InvalidArtifact, match="no library"):
        answered("artifact", b"", packed(matmul()), {"input": X[:, :2]})


def test_a_file_that_its_library_does_not_read_is_refused_from_its_process() -> None:
    parts = [XGBOOST[:-9], pack_xgboost(XGBOOST), dump([{"input": X}])]
    with pytest.raises(InvalidArtifact, match="the model's library refuses these rows: "):
        ask("croupier.artifacts.packers.checks.child", {"kind": "xgboost"}, parts, Limits(), WORDS)
