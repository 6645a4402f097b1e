"""Answers are those that protobuf's library would write, in one buffer of just their size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scoring import MODELS, add, generally, scorer_of, tensor_request

from cell.codec import rows as item_rows
from cell.scoring.encode import infer_answer, item_answer
from cell.scoring.score import Scoring
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb


def scored(name: str, *asked: Any) -> Scoring:
    scoring = Scoring()
    assert [add(scoring, name, each) for each in asked] == [*range(len(asked))]
    scoring.run()
    return scoring


def check_infer(name: str, request: oip.ModelInferRequest) -> bytes:
    found = infer_answer(scored(name, request), 0)
    expected = generally(name, request)
    assert expected is not None
    np.testing.assert_equal(oip.ModelInferResponse.FromString(found), expected)
    # Written once, as short as may be.
    assert len(found) == expected.ByteSize()
    return found


OUTPUTS = [(), ("label",), ("value",), ("value", "label"), ("label", "value")]


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("rows", [1, 2, 10, 11, 128, 1366])
def test_tensors_of_any_size_and_order(rows: int, outputs: Sequence[str], raw: bool) -> None:
    """Sizes on either side of what one byte and two bytes of a length can say."""
    given_rows = np.tile(np.float32([[1, -1, 1], [-1, 1, 1]]), (rows, 1))[:rows]
    check_infer("classes", tensor_request("classes", given_rows, raw=raw, outputs=outputs))


# Others are left to the general way.
TEXTS = st.text(st.characters(codec="ascii"), max_size=300)


@given(TEXTS, TEXTS, TEXTS, st.booleans())
def test_what_is_echoed_is_echoed_as_it_came(name: str, version: str, called: str, raw: bool) -> None:
    told = {"model_name": name, "model_version": version, "id": called}
    request = tensor_request("two", np.ones((1, 2), np.float32), raw=raw, **told)
    found = oip.ModelInferResponse.FromString(check_infer("two", request))
    assert (found.model_name, found.model_version, found.id) == (name, version, called)


@pytest.mark.parametrize("raw", [False, True])
def test_scores_that_are_no_numbers_are_written_to_the_last_bit(raw: bool) -> None:
    rows = np.float32([[math.nan], [-0.0], [1e-45], [3.4e38], [-1.0]])
    request = tensor_request("four", np.repeat(rows, 4, axis=1), raw=raw)
    expected = generally("four", request)
    assert expected is not None
    # A NaN is equal to none; its bytes are.
    assert check_infer("four", request) == expected.SerializeToString()


VERSIONS = [0, 1, 127, 128, 2**32, 2**63 - 1]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("took_us", [0, 1, 127, 128, 2**32 - 1])
@pytest.mark.parametrize("name", ["nine", "classes", "one"])
def test_items(name: str, version: int, took_us: int) -> None:
    item = pb.Item(artifact=MODELS[name].digest, version=version)
    item.row.values.extend([1.0, -1.0, *[0.5] * 9][: MODELS[name].features])
    found = item_answer(scored(name, item), 0, took_us)
    expected = generally(name, item)
    assert isinstance(expected, pb.Result)
    expected.took_us = took_us
    assert pb.Result.FromString(found) == expected
    assert len(found) == expected.ByteSize()


def test_each_place_has_its_own_answer() -> None:
    requests = [tensor_request("two", np.float32([[place, -place]]), id=str(place)) for place in range(50)]
    scoring = scored("two", *requests)
    for place in reversed(range(50)):
        found = oip.ModelInferResponse.FromString(infer_answer(scoring, place))
        assert (found.id, found.outputs[0].contents.fp32_contents) == (str(place), [place, -place])


@pytest.mark.parametrize("took_us", [-1, 2**32, "1", None])
def test_a_time_is_a_number_of_32_bits(took_us: Any) -> None:
    item = pb.Item(artifact=MODELS["one"].digest, row=pb.Row(values=[1.0]))
    scoring = scored("one", item)
    with pytest.raises((OverflowError, TypeError)):
        item_answer(scoring, 0, took_us)
    for answer in (infer_answer, item_answer):
        with pytest.raises(TypeError):
            answer(None, *([0] * (2 if answer is item_answer else 1)))  # type: ignore[operator]


def test_a_value_is_what_the_general_way_makes_of_the_same_scores() -> None:
    """Labels below 0 take ten bytes each."""
    item = pb.Item(artifact=MODELS["classes"].digest, row=pb.Row(values=[-1.0, 1.0, 1.0]))
    scorer = scorer_of("classes")
    outputs = scorer.signature.outputs
    scores = scorer.score({"input": np.float32([[-1, 1, 1]])}, [output.name for output in outputs])
    found = pb.Result.FromString(item_answer(scored("classes", item), 0, 0))
    assert found.value == item_rows.to_value(outputs, scores)
