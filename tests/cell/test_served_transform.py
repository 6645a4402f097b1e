"""Requests for models behind a transform: the tick, the general way and plain Python answer the same."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import numpy as np
import pytest
from fuzz.messages_cell import INFER, PREDICT, Call, Cell
from fuzz.messages_seeds import Model
from support.cells import resident
from support.reference.transform import (
    COPY,
    INFINITE,
    KNOWN,
    MISSING,
    NO_COLUMN,
    ONE_HOT,
    TEXT,
    Block,
    Step,
    identity_behind,
    random_block,
    random_raw,
)

from cell.engines.packed import PackedEngine
from cell.scoring.batcher import Batcher
from croupier.artifacts.format import digest_of, pack, view
from croupier.deadline import NEVER
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb

Sent = dict[str, float | str]

CITIES = ["Köln", "Oslo", "Rome"]
# An age that has to be there, a city that may be missing or unknown, and one that has to be known.
BLOCK = Block(
    [0, TEXT | MISSING, TEXT | KNOWN],
    [
        Step(COPY, source=0),
        Step(ONE_HOT, source=1, column=1, count=3, other=NO_COLUMN, fill=1.0, a=3.0),
        Step(ONE_HOT, source=2, column=4, first=6, count=3, other=NO_COLUMN, a=3.0),
    ],
    [0.0, 1.0, 2.0] * 4,
    {place: sorted(city.encode() for city in CITIES) for place in (1, 2)},
)
NAMES = ["age", "city", "home"]


def model_of(block: Block, names: Sequence[str], artifact: bytes | None = None) -> Model:
    artifact = artifact or identity_behind(block, names)
    return Model("identity", len(names), tuple(names), ("value",), artifact, digest_of(artifact))


def item(model: Model, sent: Sent | pb.Features) -> bytes:
    if isinstance(sent, pb.Features):
        return pb.PredictRequest(items=[pb.Item(artifact=model.digest, features=sent)]).SerializeToString()
    features = pb.Features()
    for name, value in sent.items():
        if isinstance(value, str):
            features.features.add(name=name, text=value)
        else:
            features.features.add(name=name, number=value)
    return item(model, features)


def infer(model: Model, arrays: dict[str, Any], datatypes: dict[str, str], raw: bool) -> bytes:
    request = oip.ModelInferRequest(artifact=model.digest)
    for name, values in arrays.items():
        tensor = request.inputs.add(name=name, datatype=datatypes[name], shape=[len(values), 1])
        if raw and datatypes[name] == "BYTES":
            request.raw_input_contents.append(
                b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in values)
            )
        elif raw:
            code = {"FP64": "<f8", "FP32": "<f4"}[datatypes[name]]
            request.raw_input_contents.append(np.array(values, code).tobytes())
        elif datatypes[name] == "BYTES":
            tensor.contents.bytes_contents.extend(text.encode() for text in values)
        elif datatypes[name] == "FP64":
            tensor.contents.fp64_contents.extend(values)
        else:
            tensor.contents.fp32_contents.extend(values)
    return request.SerializeToString()


async def both_ways(cell: Cell, message: bytes) -> tuple[pb.Result, bool]:
    """The answer to one item, and whether it came natively; if so, both are compared."""
    call = Call(PREDICT, message)
    assert await cell.differences([call]) == [""]
    again = Call(PREDICT, message)
    native = any(cell.natively([again])[0])
    expected = await cell.generally(again)
    assert not isinstance(expected, str), expected
    result = pb.Result.FromString(expected[0])
    # What is answered is answered at once; what is refused is told by the general way.
    assert result.HasField("value") or not native
    return result, native


def values_of(result: pb.Result) -> list[float]:
    (output,) = result.value.outputs
    return list(output.numbers.values)


def narrowed(columns: Sequence[float]) -> list[float]:
    """What the identity answers: a column that is not finite makes the others NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        found: list[float] = (np.array(columns) @ np.eye(len(columns))).astype(np.float32).tolist()
    return found


def sent_of(block: Block, raw: Sequence[float], names: Sequence[str], random: Random) -> Sent:
    """As a caller might write it: in any order, and what is missing perhaps left out."""
    sent: Sent = {}
    for place in random.sample(range(len(raw)), len(raw)):
        value = raw[place]
        if math.isnan(value):
            if random.random() < 0.5:
                sent[names[place]] = math.nan
        elif place in block.dictionaries:
            entries = block.dictionaries[place]
            sent[names[place]] = (
                entries[int(value)].decode() if value >= 0 else random.choice(["?", "é", "zz"])
            )
        else:
            sent[names[place]] = value
    return sent


@pytest.mark.parametrize("seed", range(25))
async def test_named_features_are_answered_on_the_hot_path_as_plain_python_answers_them(seed: int) -> None:
    random = Random(seed)
    block = random_block(random, 6)
    if not block.dictionaries:
        return
    # A linear model takes no infinity, whatever its features do.
    block.bits = [bits & ~INFINITE for bits in block.bits]
    names = [f"f{place}" for place in range(6)]
    cell = Cell([model := model_of(block, names)])
    for _ in range(30):
        raw = random_raw(random, block)
        for place, entries in block.dictionaries.items():
            raw[place] = raw[place] if entries or math.isnan(raw[place]) else -1.0
        sent = sent_of(block, raw, names, random)
        result, native = await both_ways(cell, item(model, sent))
        if block.refusal(raw) is None:
            np.testing.assert_array_equal(values_of(result), narrowed(block.apply(raw)))
            assert native or "é" in sent.values()
        else:
            assert result.status.code == 3
            assert any(name in result.status.message for name in names)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"age": 1.0, "city": 5.0, "home": "Oslo"}, "feature 'city' is a number; the model takes text"),
        ({"age": "1", "city": "Oslo", "home": "Oslo"}, "feature 'age' is text; the model takes a number"),
        ({"age": 1.0, "home": "Bonn"}, "feature 'home' has the unknown category 'Bonn'"),
        ({"age": 1.0, "home": "B" * (1 << 20)}, f"feature 'home' has the unknown category '{'B' * 40}'…"),
        ({"age": 1.0, "city": "Oslo"}, "feature 'home' is missing, which this model does not take"),
        ({"age": 1.0, "home": math.nan}, "feature 'home' is missing, which this model does not take"),
        ({"home": "Oslo"}, "feature 'age' is missing, which this model does not take"),
        ({"age": math.nan, "home": "Oslo"}, "feature 'age' is missing, which this model does not take"),
        ({"age": math.inf, "home": "Oslo"}, "feature 'age' is infinite, which this model does not take"),
        ({"age": 1.0, "home": "Oslo", "town": "Oslo"}, "the model has no feature 'town'"),
    ],
)
async def test_what_does_not_fit_is_told(sent: Sent, told: str) -> None:
    cell = Cell([model := model_of(BLOCK, NAMES)])
    result, native = await both_ways(cell, item(model, sent))
    assert not native
    assert (result.status.code, result.status.message) == (3, told)


@pytest.mark.parametrize(
    ("sent", "columns"),
    [
        ({"age": 1.0, "city": "Rome", "home": "Oslo"}, [1, 0, 0, 1, 0, 1, 0]),
        ({"age": 0.1, "city": "Köln", "home": "Köln"}, [0.1, 1, 0, 0, 1, 0, 0]),
        # Oslo stands for what is missing; nothing for what is unknown.
        ({"age": 1.0, "home": "Rome"}, [1, 0, 1, 0, 0, 0, 1]),
        ({"age": 1.0, "city": math.nan, "home": "Rome"}, [1, 0, 1, 0, 0, 0, 1]),
        ({"age": 1.0, "city": "", "home": "Rome"}, [1, 0, 0, 0, 0, 0, 1]),
        ({"age": 1.0, "city": "x" * (1 << 20), "home": "Rome"}, [1, 0, 0, 0, 0, 0, 1]),
        ({"age": 123456789.0, "city": "rome", "home": "Rome"}, [123456789.0, 0, 0, 0, 0, 0, 1]),
    ],
)
async def test_what_fits_is_answered_on_the_hot_path(sent: Sent, columns: list[float]) -> None:
    cell = Cell([model := model_of(BLOCK, NAMES)])
    result, native = await both_ways(cell, item(model, sent))
    assert native
    assert values_of(result) == narrowed(columns)


async def test_a_model_of_texts_alone_is_asked_plainly() -> None:
    block = Block([TEXT], [Step(COPY)], [], {0: [b"a", b"b"]})
    cell = Cell([model := model_of(block, ["one"])])
    result, native = await both_ways(cell, item(model, {"one": "b"}))
    assert native
    assert values_of(result) == [1.0]


async def test_a_left_out_feature_of_a_complete_model_is_refused() -> None:
    """Though it takes a value that is said to be missing."""
    found = view(identity_behind(BLOCK, NAMES))
    complete = pack(
        engine=found.engine,
        inputs=found.inputs,
        outputs=found.outputs,
        sections={name: bytes(content) for name, content in found.sections.items()},
        features=found.features,
        accepts_missing=True,
        complete=True,
    )
    cell = Cell([model := model_of(BLOCK, NAMES, complete)])
    result, native = await both_ways(cell, item(model, {"age": 1.0, "home": "Rome"}))
    assert not native
    assert result.status.message == "feature 'city' is missing: send NaN for it if its value is not known"
    result, native = await both_ways(cell, item(model, {"age": 1.0, "city": math.nan, "home": "Rome"}))
    assert native


async def test_text_that_may_not_be_utf8_goes_the_general_way() -> None:
    """Which refuses it if it is none; an entry is always valid."""
    cell = Cell([model := model_of(BLOCK, NAMES)])
    good = item(model, {"age": 1.0, "city": "Kiel", "home": "Oslo"})
    bad = good.replace(b"Kiel", b"K\xffel")
    (found,) = cell.natively([Call(PREDICT, bad)])
    assert not any(found)
    assert "3: " in str(await cell.generally(Call(PREDICT, bad)))
    unknown = good.replace(b"Kiel", "Kél".encode())
    assert not any(cell.natively([Call(PREDICT, unknown)])[0])
    assert not isinstance(await cell.generally(Call(PREDICT, unknown)), str)


async def test_a_feature_that_is_written_twice_in_one_message_is_what_protobuf_reads() -> None:
    """The last of a number and a text counts."""
    cell = Cell([model := model_of(BLOCK, NAMES)])
    number, text = pb.Feature(number=2.0), pb.Feature(text="Oslo")
    for parts in ([number, text], [text, number]):
        home = b"".join(part.SerializeToString() for part in [pb.Feature(name="home"), *parts])
        features = pb.Features.FromString(
            pb.Features(features=[pb.Feature(name="age", number=1.0)]).SerializeToString()
            + b"\x0a"
            + bytes([len(home)])
            + home
        )
        wanted = item(model, features)
        await both_ways(cell, wanted)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("number", ["FP64", "FP32"])
async def test_tensors_are_answered_as_named_features(raw: bool, number: str) -> None:
    cell = Cell([model := model_of(BLOCK, NAMES)])
    rows: list[Sent] = [
        {"age": 1.0, "city": "Köln", "home": "Rome"},
        {"age": 2.5, "city": "nowhere", "home": "Oslo"},
    ]
    arrays = {name: [row[name] for row in rows] for name in reversed(NAMES)}
    datatypes = {"age": number, "city": "BYTES", "home": "BYTES"}
    call = Call(INFER, infer(model, arrays, datatypes, raw))
    (found,) = await cell.generally(call)
    answer = oip.ModelInferResponse.FromString(found if isinstance(found, bytes) else b"")
    values = (
        np.frombuffer(answer.raw_output_contents[0], "<f4")
        if raw
        else np.array(answer.outputs[0].contents.fp32_contents, np.float32)
    )
    for row, columns in zip(rows, values.reshape(2, -1).tolist(), strict=True):
        result, _ = await both_ways(cell, item(model, row))
        assert values_of(result) == columns


async def test_a_tensor_s_row_that_is_refused_is_named() -> None:
    cell = Cell([model := model_of(BLOCK, NAMES)])
    arrays = {"age": [1.0, 2.0], "city": ["Rome", "Oslo"], "home": ["Rome", "Bonn"]}
    datatypes = {"age": "FP64", "city": "BYTES", "home": "BYTES"}
    found = await cell.generally(Call(INFER, infer(model, arrays, datatypes, False)))
    assert found == "3: feature 'home' has the unknown category 'Bonn' in row 1"


async def test_dense_rows_of_texts_are_refused() -> None:
    cell = Cell([model := model_of(BLOCK, NAMES)])
    row = pb.PredictRequest(items=[pb.Item(artifact=model.digest, row=pb.Row(values=[1.0, 2.0, 0.0]))])
    result, native = await both_ways(cell, row.SerializeToString())
    assert not native
    assert result.status.message == "feature 'city' is a number; the model takes text"


@pytest.mark.parametrize("field", ["values", "doubles"])
@pytest.mark.parametrize("seed", range(6))
async def test_dense_rows_of_numbers_are_answered_on_the_hot_path(field: str, seed: int) -> None:
    random = Random(seed)
    block = random_block(random, 3, texts=0.0)
    block.bits = [bits & ~INFINITE for bits in block.bits]
    cell = Cell([model := model_of(block, ["a", "b", "c"])])
    for _ in range(30):
        raw = np.array(random_raw(random, block))
        raw = raw.astype(np.float32).astype(np.float64) if field == "values" else raw
        dense = pb.PredictRequest(items=[pb.Item(artifact=model.digest, row=pb.Row(**{field: raw}))])
        result, native = await both_ways(cell, dense.SerializeToString())
        refused = block.refusal(raw.tolist()) is not None
        assert native is not refused
        if native:
            np.testing.assert_array_equal(values_of(result), narrowed(block.apply(raw.tolist())))


async def test_requests_of_one_model_are_scored_together() -> None:
    """Rows of many callers in one call: each has its own answer."""
    artifact = identity_behind(BLOCK, NAMES)
    found = view(artifact)
    model = PackedEngine(found.engine).load(found, digest_of(artifact))
    lease = resident(model, capacity=1 << 20)
    random = Random(1)
    asked = []
    for place in range(40):
        texts = [random.choice([*CITIES, None]) for _ in range(1 + place % 3)]
        arrays = {
            "age": np.array([[float(place)]] * len(texts)),
            "city": np.array([[text] for text in texts], np.object_),
            "home": np.array([["Rome"]] * len(texts), np.object_),
        }
        asked.append((arrays, len(texts)))
    with ThreadPoolExecutor(1) as pool:
        batcher = Batcher(pool, workers=1, max_rows=64, max_queued_rows=1000, clock=lambda: 0.0)
        answers = await asyncio.gather(
            *(
                batcher.score(lease, model.admitted(arrays, "inputs"), rows, ["value"], NEVER)
                for arrays, rows in asked
            )
        )
        await batcher.close()
    for (arrays, _), answer in zip(asked, answers, strict=True):
        np.testing.assert_array_equal(answer["value"], model.score(arrays, ["value"])["value"])
