"""Packed forests and linear models, from the object store through a whole cell to a client."""

from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from support.cell_server import infer_request, open_cell
from support.forests import data

from croupier.artifacts.datatypes import DATATYPES
from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear
from protos.prediction.v1 import prediction_pb2

ROWS = data(1, rows=120)
LABELS = np.array(["calm", "mixed", "wild"])[np.digitize(ROWS[:, 0] * ROWS[:, 1], [-0.3, 0.3])]
NAMES = list("abcdef")


async def test_a_forest_and_a_linear_model_are_served(tmp_path: Path) -> None:
    forest = RandomForestClassifier(5, max_depth=4, random_state=1).fit(ROWS, LABELS)
    linear = LogisticRegression().fit(ROWS, LABELS)
    packed = {
        model: pack(model, features=NAMES) for model, pack in ((forest, pack_forest), (linear, pack_linear))
    }
    async with open_cell(tmp_path) as server:
        for model, artifact in packed.items():
            digest = await server.store.put(artifact)
            answer = await server.infer(infer_request(digest, ROWS[:7], raw=True))
            shapes = {tensor.name: tuple(tensor.shape) for tensor in answer.outputs}
            assert shapes == {"label": (7,), "probabilities": (7, 3)}
            found = np.frombuffer(answer.raw_output_contents[1], DATATYPES["FP32"]).reshape(7, 3)
            np.testing.assert_allclose(found, model.predict_proba(ROWS[:7]), rtol=1e-6, atol=1e-6)

            item = prediction_pb2.Item(artifact=digest)
            for name, value in zip(NAMES, ROWS[9].tolist(), strict=True):
                item.features.features.add(name=name, number=value)
            (result,) = await server.predict(item)
            (label, scores) = result.value.outputs
            assert list(label.texts.values) == [model.predict(ROWS[9:10])[0]]
            expected = model.predict_proba(ROWS[9:10])[0]
            np.testing.assert_allclose(scores.numbers.values, expected, rtol=1e-6, atol=1e-6)
