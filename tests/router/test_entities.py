"""Who a request is about, against protobuf's own reading of it."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import InvalidRequest
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb
from router.entities import ENTITY_INPUT, infer_facts, item_facts

texts = st.text(max_size=8)
named = st.dictionaries(texts, texts, max_size=4)
choices = st.one_of(
    texts.map(lambda value: oip.InferParameter(string_param=value)),
    st.integers(-5, 5).map(lambda value: oip.InferParameter(int64_param=value)),
    st.just(oip.InferParameter()),
)


def raw(*elements: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(one)) + one for one in elements)


def entities(**fields: Any) -> oip.ModelInferRequest.InferInputTensor:
    return oip.ModelInferRequest.InferInputTensor(name=ENTITY_INPUT, **{"datatype": "BYTES"} | fields)


def infer(*inputs: Any, **fields: Any) -> bytes:
    return oip.ModelInferRequest(inputs=inputs, **fields).SerializeToString()


X = oip.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[2, 1])


@given(texts, named, texts, named)
def test_an_item_names_its_entity_or_what_all_items_share_does(
    own: str, parameters: dict[str, str], shared: str, all_parameters: dict[str, str]
) -> None:
    item = pb.Item(model="m", entity_id=own, parameters=parameters).SerializeToString()
    told = pb.Shared(entity_id=shared, parameters=all_parameters).SerializeToString()
    encoded = {key.encode(): value.encode() for key, value in parameters.items()}
    assert item_facts(item) == ((own.encode(),), encoded)
    both = {key.encode(): value.encode() for key, value in all_parameters.items()} | encoded
    assert item_facts(item, told) == (((own or shared).encode(),), both)


@given(st.dictionaries(texts, choices, max_size=4), texts)
def test_a_request_names_its_entity_in_a_parameter(
    parameters: dict[str, oip.InferParameter], entity: str
) -> None:
    request = oip.ModelInferRequest(inputs=[X], parameters=parameters)
    request.parameters["entity_id"].string_param = entity
    expected = {
        name.encode(): one.string_param.encode()
        for name, one in request.parameters.items()
        if one.WhichOneof("parameter_choice") == "string_param"
    }
    assert infer_facts(request.SerializeToString(), 4) == ((entity.encode(),), expected)


@given(st.lists(st.binary(max_size=6), min_size=1, max_size=4), st.integers(0, 2))
def test_or_each_row_has_its_own(found: list[bytes], before: int) -> None:
    inputs = [X] * before + [entities(shape=[len(found)])] + [X] * (2 - before)
    contents = [raw(b"no entity")] * before + [raw(*found)] + [b"?"] * (2 - before)
    assert infer_facts(infer(*inputs, raw_input_contents=contents), 4)[0] == tuple(found)
    typed = entities(contents=oip.InferTensorContents(bytes_contents=found))
    assert infer_facts(infer(*inputs[:before], typed), 4)[0] == tuple(found)


@pytest.mark.parametrize(
    ("request_bytes", "words"),
    [
        (infer(entities(), raw_input_contents=[raw(b"1")[:-1]]), "ends inside"),
        (infer(entities(), raw_input_contents=[b"\1"]), "ends inside"),
        (infer(entities(), raw_input_contents=[b"\xff\xff\xff\xff"]), "ends inside"),
        (infer(entities(), raw_input_contents=[raw(*[b"1"] * 5)]), "more than 4"),
        (infer(entities(contents={"bytes_contents": [b"1"] * 5})), "more than 4"),
        (infer(entities(datatype="FP32")), "of BYTES"),
        (infer(entities(), entities(), raw_input_contents=[raw(b"1")] * 2), "twice"),
        (infer(entities()), "no elements"),
        (infer(entities(), raw_input_contents=[b""]), "no elements"),
        (infer(X, entities(), raw_input_contents=[b"1234"]), "no elements"),
    ],
)
def test_an_input_of_entities_that_is_none_is_refused(request_bytes: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        infer_facts(request_bytes, 4)
    assert infer_facts(infer(entities(), raw_input_contents=[raw(*[b""] * 4)]), 4)[0] == (b"",) * 4


@given(st.binary(max_size=60))
def test_whatever_it_is_there_is_an_answer_or_an_error(message: bytes) -> None:
    for read in (lambda: item_facts(message), lambda: infer_facts(message, 4)):
        try:
            found, parameters = read()
        except InvalidRequest:
            continue
        assert all(isinstance(one, bytes) for one in (*found, *parameters, *parameters.values()))
