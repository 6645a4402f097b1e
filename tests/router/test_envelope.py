import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st
from support.fields import loose_fields

from croupier.errors import InvalidRequest
from croupier.fields import join_first
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb
from router import envelope
from version_manager.model.resolve import Ask, Target

text = st.text(max_size=8)
version_text = st.one_of(st.just(""), st.integers(1, 2**63 - 1).map(str))
parameters = st.dictionaries(
    st.sampled_from(["routing_key", "label", "tenant", "other"]),
    st.builds(inference_pb2.InferParameter, string_param=text),
    max_size=3,
)
tensors = st.builds(
    inference_pb2.ModelInferRequest.InferInputTensor,
    name=text,
    datatype=st.sampled_from(["FP32", "BYTES"]),
    shape=st.lists(st.integers(-1, 2**40), max_size=3),
)


@st.composite
def infer_requests(draw: st.DrawFn) -> inference_pb2.ModelInferRequest:
    request = inference_pb2.ModelInferRequest(
        model_name=draw(text),
        model_version=draw(version_text),
        id=draw(text),
        inputs=draw(st.lists(tensors, max_size=2)),
        raw_input_contents=draw(st.lists(st.binary(max_size=16), max_size=2)),
        artifact=draw(st.binary(max_size=4)),
    )
    for name, parameter in draw(parameters).items():
        request.parameters[name].CopyFrom(parameter)
    return request


items = st.one_of(
    st.builds(
        pb.Item,
        model=text,
        version=st.integers(0, 2**64 - 1),
        label=text,
        entity_id=text,
        routing_key=text,
        row=st.builds(pb.Row, values=st.lists(st.floats(width=32), max_size=3)),
        artifact=st.binary(max_size=4),
    ),
    st.builds(pb.Item, model=text, features=st.builds(pb.Features)),
)
predict_requests = st.builds(pb.PredictRequest, items=st.lists(items, min_size=1, max_size=4))

TARGET = Target("acme", "churn", 7, bytes(range(32)))


def asked_by(request: inference_pb2.ModelInferRequest) -> Ask:
    """What protobuf's own parser sees."""

    def parameter(name: str) -> str:
        return request.parameters[name].string_param if name in request.parameters else ""

    return Ask(
        model=request.model_name,
        version=int(request.model_version or 0),
        label=parameter("label"),
        key=parameter("routing_key"),
        tenant=parameter("tenant"),
    )


def asked_by_item(item: pb.Item) -> Ask:
    return Ask(item.model, item.version, item.label, item.routing_key or item.entity_id)


@given(infer_requests(), infer_requests())
def test_infer_is_read_as_protobuf_reads_it(
    first: inference_pb2.ModelInferRequest, second: inference_pb2.ModelInferRequest
) -> None:
    # Two messages in a row are one message: the last value of each field wins.
    data = first.SerializeToString() + second.SerializeToString()
    assert envelope.read_infer(data) == asked_by(inference_pb2.ModelInferRequest.FromString(data))


@given(predict_requests, predict_requests)
def test_items_are_read_as_protobuf_reads_them(first: pb.PredictRequest, second: pb.PredictRequest) -> None:
    data = first.SerializeToString() + second.SerializeToString()
    read = envelope.read_items(data, 100)
    parsed = pb.PredictRequest.FromString(data).items
    assert [ask for _, ask in read] == [asked_by_item(item) for item in parsed]
    assert [pb.Item.FromString(encoded).SerializeToString() for encoded, _ in read] == [
        item.SerializeToString() for item in parsed
    ]


@given(items, items)
def test_the_last_value_of_an_items_field_wins(first: pb.Item, second: pb.Item) -> None:
    item = first.SerializeToString() + second.SerializeToString()
    [(_, ask)] = envelope.read_items(join_first([item]), 1)
    assert ask == asked_by_item(pb.Item.FromString(item))


@given(infer_requests(), loose_fields())
def test_unknown_fields_and_groups_are_passed_over_as_protobuf_does(
    request: inference_pb2.ModelInferRequest, extra: bytes
) -> None:
    data = request.SerializeToString() + extra
    try:
        parsed = inference_pb2.ModelInferRequest.FromString(data)
        expected = asked_by(parsed)
        readable = all(p.WhichOneof("parameter_choice") == "string_param" for p in parsed.parameters.values())
    except (DecodeError, ValueError):
        return
    if readable:
        try:
            assert envelope.read_infer(data) == expected
        except InvalidRequest as error:
            assert getattr(error, "field", "") == "model_version"  # noqa: PT017


@given(st.binary(max_size=64))
@example(b"\x0b")  # a group that never ends
@example(b"\x0c")  # one that never began
@example(b"\x0b\x14")  # one that ends as another
@example(b"\x0a\x05ab")  # cut inside a string
@example(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f")  # a length of 2**70
@example(b"\x00\x00")  # field 0
@example(b"\x0f")  # wire type 7
@example(b"\x0a\x02\xff\xfe")  # not UTF-8
@example(b"\x0b" * 200)
def test_random_bytes_raise_nothing_but_invalid_request(data: bytes) -> None:
    readers = (
        envelope.read_infer,
        envelope.read_model,
        envelope.read_frame,
        envelope.read_results,
        envelope.status_code,
        lambda data: envelope.read_items(data, 10),
    )
    for read in readers:
        try:
            read(data)
        except InvalidRequest:
            continue


@given(st.binary(max_size=64))
def test_what_the_scan_lets_through_can_be_appended_to(data: bytes) -> None:
    try:
        list(envelope.scan(data))
    except InvalidRequest:
        return
    appended = envelope.append_infer(data, TARGET)
    *_, version, artifact = envelope.scan(appended)
    assert appended[version[2] : version[3]] == b"7"
    assert (artifact[0], appended[artifact[2] : artifact[3]]) == (1000, TARGET.artifact)


@given(infer_requests())
def test_appended_fields_override_the_callers(request: inference_pb2.ModelInferRequest) -> None:
    appended = inference_pb2.ModelInferRequest.FromString(
        envelope.append_infer(request.SerializeToString(), TARGET)
    )
    request.model_version, request.artifact = "7", TARGET.artifact
    assert appended == request


@given(items)
def test_appended_fields_override_an_items(item: pb.Item) -> None:
    appended = pb.Item.FromString(envelope.append_item(item.SerializeToString(), TARGET))
    assert (appended.version, appended.artifact) == (7, TARGET.artifact)
    assert (appended.model, appended.entity_id) == (item.model, item.entity_id)


def test_a_parameter_that_is_no_string_is_refused() -> None:
    request = inference_pb2.ModelInferRequest(model_name="m")
    request.parameters["routing_key"].int64_param = 1
    with pytest.raises(InvalidRequest, match="routing_key is not a string") as caught:
        envelope.read_infer(request.SerializeToString())
    assert caught.value.field == "parameters.routing_key"


@pytest.mark.parametrize("version", ["x", "-1", "0", "1.0", "٣", "9" * 20])
def test_a_version_that_is_no_number_is_refused(version: str) -> None:
    request = inference_pb2.ModelInferRequest(model_name="m", model_version=version)
    with pytest.raises(InvalidRequest) as caught:
        envelope.read_infer(request.SerializeToString())
    assert caught.value.field == "model_version"


def test_no_items_and_too_many_items_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="no items"):
        envelope.read_items(b"", 1)
    two = pb.PredictRequest(items=[pb.Item(model="a"), pb.Item(model="b")]).SerializeToString()
    with pytest.raises(InvalidRequest, match="2 items, the most is 1"):
        envelope.read_items(two, 1)
    assert len(envelope.read_items(two, 2)) == 2


def test_model_requests_are_read() -> None:
    request = inference_pb2.ModelMetadataRequest(name="churn", version="3")
    assert envelope.read_model(request.SerializeToString()) == Ask("churn", 3)


def test_versions_are_appended_to_metadata() -> None:
    response = inference_pb2.ModelMetadataResponse(name="churn", platform="onnx").SerializeToString()
    appended = inference_pb2.ModelMetadataResponse.FromString(envelope.append_versions(response, [1, 20]))
    assert list(appended.versions) == ["1", "20"]
    assert appended.platform == "onnx"


@given(st.integers(0, 2**64 - 1), predict_requests)
def test_frames_are_read_as_protobuf_reads_them(name: int, request: pb.PredictRequest) -> None:
    sent = pb.PredictStreamRequest(id=name, request=request).SerializeToString()
    found, payload = envelope.read_frame(sent)
    assert (found, payload) == (name, request.SerializeToString())
    # A message field that stands twice is merged.
    _, twice = envelope.read_frame(sent + sent)
    assert len(pb.PredictRequest.FromString(twice).items) == 2 * len(request.items)


@given(st.integers(0, 2**64 - 1), st.binary(max_size=8))
def test_frames_are_written_as_protobuf_reads_them(name: int, message: bytes) -> None:
    status = pb.Status(code=5, message=message.hex())
    written = pb.PredictStreamResponse.FromString(envelope.frame(name, 3, status.SerializeToString()))
    assert (written.id, written.status) == (name, status)
    response = pb.PredictResponse(results=[pb.Result(version=1)])
    written = pb.PredictStreamResponse.FromString(envelope.frame(name, 2, response.SerializeToString()))
    assert written.response == response


ENTRY = b"\x0a\x06tenant\x12\x06\x1a\x04acme"
# An empty group, a number, and a value that is no message.
NO_ENTRIES = [ENTRY + more for more in (b"\x3b\x3c", b"\x13\x14", b"\x18\x01", b"\x11" + bytes(8))]


@pytest.mark.parametrize("entry", [ENTRY, *NO_ENTRIES])
def test_an_entry_of_a_map_that_holds_more_than_an_entry_is_passed_over_as_protobuf_does(
    entry: bytes,
) -> None:
    data = b"\x0a\x01m\x22" + bytes([len(entry)]) + entry
    assert envelope.read_infer(data) == asked_by(inference_pb2.ModelInferRequest.FromString(data))
    assert envelope.read_infer(data).tenant == ("acme" if entry == ENTRY else "")


@pytest.mark.parametrize(
    "data",
    [
        b"\x8a\x80\x80\x80\x80\x00\x01m",  # a tag of six bytes
        b"\xfa\xff\xff\xff\x1f\x01m",  # one of 33 bits
        b"\x0a\x81\x80\x80\x80\x80\x00m",  # a length of six bytes
        b"\x0a\xff\xff\xff\xff\x0fm",  # one of 32 bits
        b"\x07" + bytes(4),
        b"\x03\x04",
    ],
)
def test_what_protobuf_refuses_for_how_it_is_written_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        inference_pb2.ModelInferRequest.FromString(data)
    with pytest.raises(InvalidRequest):
        envelope.scan(data)


def test_a_field_0_in_a_group_is_passed_over_as_protobuf_does() -> None:
    data = b"\x0a\x01m\xc3\x3e\x00\x05\x03\x04\xc4\x3e"
    assert envelope.read_infer(data) == asked_by(inference_pb2.ModelInferRequest.FromString(data))


def test_halves_of_a_request_in_a_frame_are_not_put_together() -> None:
    item = pb.PredictRequest(items=[pb.Item(model="churn")]).SerializeToString()
    whole, halves = (
        b"".join(b"\x12" + bytes([len(part)]) + part for part in parts)
        for parts in ((item, item), (item[:4], item[4:]))
    )
    assert envelope.read_frame(whole) == (0, item + item)
    with pytest.raises(DecodeError):
        pb.PredictStreamRequest.FromString(halves)
    with pytest.raises(InvalidRequest):
        envelope.read_frame(halves)


def test_the_status_of_a_result_is_read() -> None:
    value = pb.Result(value=pb.Value(), version=2)
    status = pb.Result(status=pb.Status(code=14, message="busy"))
    assert envelope.status_code(value.SerializeToString()) == 0
    assert envelope.status_code(status.SerializeToString()) == 14
    # Of a oneof, the last one stands.
    assert envelope.status_code(status.SerializeToString() + value.SerializeToString()) == 0
    assert envelope.status_code(value.SerializeToString() + status.SerializeToString()) == 14
    # A status behind a status is merged into it.
    more = pb.Result(status=pb.Status(reason="BUSY"))
    assert envelope.status_code(status.SerializeToString() + more.SerializeToString()) == 14


@pytest.mark.parametrize("field", [1, 2, 4, 5, 7, 1000])
@pytest.mark.parametrize(
    "read",
    [
        envelope.read_infer,
        envelope.read_model,
        envelope.read_frame,
        lambda data: envelope.read_items(data, 9),
    ],
)
def test_a_request_of_very_many_fields_is_not_read_to_its_end(read, field: int) -> None:
    empty = _tag(field, 2) + b"\x00"
    with pytest.raises(InvalidRequest) as caught:
        read(empty * 65_537)
    assert caught.value.reason == "TOO_MANY_FIELDS"


def test_nor_is_a_parameter_or_a_group_of_very_many() -> None:
    entry = b"\x0a\x00" * 65_537
    half = b"\x0b" + b"\x0a\x00" * 32_768 + b"\x0c"
    with pytest.raises(InvalidRequest, match="more than 65,536 fields"):
        envelope.read_infer(b"\x22" + _varint(len(entry)) + entry)
    for groups in (b"\x0b" + entry + b"\x0c", half * 2):
        with pytest.raises(InvalidRequest, match="more than 65,536 fields"):
            envelope.read_infer(groups)
    assert envelope.read_infer(half) == Ask("")


def _tag(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _varint(value: int) -> bytes:
    found = b""
    while value > 0x7F:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])
