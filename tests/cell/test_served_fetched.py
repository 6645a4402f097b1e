"""Completed requests get what the models' own libraries say of the completed rows, in every form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnxruntime
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import Ridge
from support.cell_server import CellServer, open_cell
from support.fetched import fetched

from croupier.artifacts.packers.forest import pack_lightgbm
from croupier.artifacts.packers.linear import pack_linear
from croupier.artifacts.packers.onnx import pack_onnx
from croupier.fetched import Origin
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb

RNG = np.random.default_rng(16)
X = RNG.normal(size=(200, 20))
Y = X[:, 0] * X[:, 5] - X[:, 19]
NAMES = [f"f{place}" for place in range(20)]
# Scattered over a row.
LISTED = [1, 2, 5, 8, 11, 13, 18, 19]
COUNT = 12
ORIGINS = [Origin.STORE, Origin.STORE, Origin.MISSING, Origin.STALE, Origin.RANGE]

Library = Callable[[Any], Any]


def linear() -> tuple[bytes, Library]:
    model = Ridge().fit(X, Y)
    return pack_linear(model, features=NAMES), model.predict


def forest() -> tuple[bytes, Library]:
    told = {"verbose": -1, "num_leaves": 15, "seed": 1, "num_threads": 1}
    model = lightgbm.train(told, lightgbm.Dataset(X, Y), num_boost_round=20)
    return pack_lightgbm(model.model_to_string(), features=NAMES), model.predict


def graph() -> tuple[bytes, Library]:
    model = to_onnx(Ridge().fit(X.astype(np.float32), Y), X[:1].astype(np.float32)).SerializeToString()
    session = onnxruntime.InferenceSession(model)
    name = session.get_inputs()[0].name

    def library(rows: Any) -> Any:
        return session.run(None, {name: rows.astype(np.float32)})[0].ravel()

    return pack_onnx(model, features=NAMES), library


class Asked:
    """Rows of which some features are sent, and others fetched."""

    def __init__(self) -> None:
        self.own = RNG.normal(size=(COUNT, 20)).astype(np.float32).astype(np.float64)
        self.stored = RNG.normal(size=(COUNT, 20))
        self.origins = RNG.choice(ORIGINS, size=(COUNT, 20))
        # Not sent.
        self.lacks = np.zeros((COUNT, 20), np.bool_)
        self.lacks[:, LISTED] = RNG.random((COUNT, len(LISTED))) < 0.7

    def narrow(self) -> Asked:
        """The same without anything of what is listed."""
        other = Asked.__new__(Asked)
        other.__dict__.update(self.__dict__)
        other.lacks = np.zeros((COUNT, 20), np.bool_)
        other.lacks[:, LISTED] = True
        return other

    def row(self, at: int) -> dict[str, Any]:
        return {NAMES[place]: (self.stored[at, place], Origin(self.origins[at, place])) for place in LISTED}

    def field(self) -> bytes:
        return fetched(*map(self.row, range(COUNT)))

    def completed(self) -> Any:
        return np.where(self.lacks, self.stored, self.own)

    def defaults(self) -> Any:
        return (self.lacks & (self.origins != Origin.STORE)).sum(axis=1)

    def sent(self) -> Any:
        return np.where(self.lacks, np.nan, self.own)


def tensors(artifact: bytes, asked: Asked, *, rows: Any, raw: bool, datatype: str) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(artifact=artifact, fetched=asked.field())
    tensor = request.inputs.add(name=INPUTS[artifact], datatype=datatype, shape=rows.shape)
    rows = rows.astype(np.float64 if datatype == "FP64" else np.float32)
    if raw:
        request.raw_input_contents.append(rows.tobytes())
    else:
        getattr(tensor.contents, f"{datatype.lower()}_contents").extend(rows.ravel().tolist())
    return request


INPUTS: dict[bytes, str] = {}


def items(artifact: bytes, asked: Asked) -> Iterator[tuple[int, pb.Item]]:
    """Of each row one in each form."""
    uncovered = [place for place in range(20) if place not in LISTED]
    for at in range(COUNT):
        field = fetched(asked.row(at))
        row = asked.sent()[at]
        one = pb.Item(artifact=artifact, fetched=field)
        for place in np.flatnonzero(~asked.lacks[at]):
            one.features.features.add(name=NAMES[place], number=row[place])
        yield at, one
        yield at, pb.Item(artifact=artifact, fetched=field, row=pb.Row(values=row))
        yield at, pb.Item(artifact=artifact, fetched=field, row=pb.Row(doubles=row))
        if asked.lacks[at, LISTED].all():
            yield at, pb.Item(artifact=artifact, fetched=field, row=pb.Row(values=row[uncovered]))


async def check(server: CellServer, artifact: bytes, asked: Asked, library: Library, rows: Any) -> None:
    answer = await server.describe(artifact)
    INPUTS[artifact] = answer.inputs[0].name
    takes = ("FP32",) if "onnx" in answer.platform else ("FP32", "FP64")
    expected = library(asked.completed())
    for datatype in takes:
        for raw in (False, True):
            request = tensors(artifact, asked, rows=rows, raw=raw, datatype=datatype)
            found = await server.infer(request)
            values = (
                np.frombuffer(found.raw_output_contents[0], np.float32)
                if raw
                else found.outputs[0].contents.fp32_contents
            )
            np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
            assert found.parameters["croupier.defaults"].int64_param == asked.defaults().sum()
    told = list(items(artifact, asked))
    results = await server.predict(*(item for _, item in told))
    for (at, _), result in zip(told, results, strict=True):
        (value,) = result.value.outputs[0].numbers.values
        assert value == pytest.approx(expected[at], rel=1e-5, abs=1e-6)
        assert result.defaults == asked.defaults()[at]


@pytest.mark.parametrize("made", [linear, forest, graph])
async def test_what_is_answered_is_what_the_library_says_of_the_completed_rows(
    tmp_path: Path, made: Callable[[], tuple[bytes, Library]]
) -> None:
    packed, library = made()
    asked = Asked()
    narrow = asked.narrow()
    async with open_cell(tmp_path) as server:
        artifact = await server.store.put(packed)
        await check(server, artifact, asked, library, asked.sent())
        await check(server, artifact, narrow, library, np.delete(narrow.own, LISTED, axis=1))
