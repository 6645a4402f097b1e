"""What was recorded is sent again: the same, when it was, in part by each worker."""

import base64
import json
import math
import pickle

import pytest

from croupier_bench import replay
from croupier_bench.record import Recording, write
from croupier_bench.replay import NoRecording, Replayed, head_of, mapped, scenario_of
from croupier_bench.scenario import Load, RequestClass, Scenario, ScenarioError, Target
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2

TARGET = Target(("127.0.0.1:1",), "croupier", tenant_header="croupier-tenant")
PREDICT = b"/croupier.prediction.v1.PredictionService/Predict"
INFER = b"/inference.GRPCInferenceService/ModelInfer"


def item(**fields):
    return {"model": "churn", "features": {"age": 31.0}} | fields


def request(t, tenant="acme", *items):
    return {"t": t, "tenant": tenant, "items": list(items) or [item()]}


@pytest.fixture
def file(tmp_path):
    def put(*requests, name="requests.jsonl"):
        path = tmp_path / name
        write(Recording("churn", list(requests)), path)
        return path

    return put


def played(path, target=TARGET, worker=0, workers=1, **fields):
    """(due, class, path, metadata, message) of each."""
    source = pickle.loads(pickle.dumps(Replayed(path, target, **fields)))
    asking = source.prepared()
    found = []
    for part in source.parts(worker, workers):
        for due, kind, place in zip(part.due, part.class_index, part.model_index, strict=True):
            message = asking.message(kind, place, 0)
            found.append((float(due), int(kind), asking.path(kind), asking.metadata(kind, place), message))
    return found


def test_items_are_what_was_recorded(file):
    path = file(
        request(0.0, "acme", item(entity="c-1", features={"age": 31.0, "plan": "basic", "spend": None})),
        request(0.25, "other", {"model": "churn", "row": [1.5, None]}, item(features={})),
    )
    first, second = played(path)
    assert first[:4] == (0.0, 0, PREDICT, ((b"croupier-tenant", b"acme"),))
    assert second[:4] == (0.25, 0, PREDICT, ((b"croupier-tenant", b"other"),))
    (one,) = prediction_pb2.PredictRequest.FromString(first[4]).items
    assert (one.model, one.entity_id) == ("churn", "c-1")
    age, plan, spend = one.features.features
    assert (age.name, age.number, plan.name, plan.text, spend.name) == ("age", 31.0, "plan", "basic", "spend")
    assert math.isnan(spend.number)
    dense, none = prediction_pb2.PredictRequest.FromString(second[4]).items
    assert dense.row.values[0] == 1.5
    assert math.isnan(dense.row.values[1])
    assert none.WhichOneof("input") == "features"


def test_tensors_are_the_very_bytes(file):
    path = file({"t": 0.0, "tenant": "acme", "tensors": base64.b64encode(b"\x00asked").decode()})
    assert [one[1:3] + one[4:] for one in played(path)] == [(1, INFER, b"\x00asked")]


@pytest.mark.parametrize("name", ["requests.jsonl", "requests.jsonl.gz"])
@pytest.mark.parametrize("workers", [1, 3])
def test_workers_share_them(file, workers, name, monkeypatch):
    monkeypatch.setattr(replay, "PIECE", 4)
    path = file(*(request(at / 10, f"tenant-{at}") for at in range(20)), name=name)
    parts = [played(path, worker=worker, workers=workers) for worker in range(workers)]
    assert sorted(one[0] for part in parts for one in part) == [at / 10 for at in range(20)]
    for worker, part in enumerate(parts):
        assert [one[3][0][1] for one in part] == [b"tenant-%d" % at for at in range(worker, 20, workers)]


def test_bytes_are_kept_until_they_are_sent(file):
    source = Replayed(file(request(0.0), request(1.0)), TARGET)
    list(source.parts(0, 1))
    assert len(source._messages) == 2
    source.message(0, 1, 1)
    assert list(source._messages) == [0]


def test_a_speed_of_two_takes_half_the_time(file):
    path = file(request(0.0), request(3.0))
    assert [one[0] for one in played(path, speed=2.0)] == [0.0, 1.5]
    asked = scenario_of(path, replay.base(None, "127.0.0.1:8500"), 2.0)
    assert 1.5 < asked.load.seconds < 1.6
    assert asked.load.rate == pytest.approx(2 / asked.load.seconds)


def test_other_tenants_stand_in(file):
    path = file(*(request(0.0, tenant) for tenant in ("a", "b", "c")))
    asked = [one[3][0][1] for one in played(path, tenants={"a": "x", "*": "y"})]
    assert asked == [b"x", b"y", b"y"]
    assert mapped(["a=x", "*=y"]) == {"a": "x", "*": "y"}
    assert mapped(["a="]) is mapped(["a"]) is None


def test_token_and_metadata_go_along(file, tmp_path):
    (tmp_path / "token").write_text("abc\n")
    target = Target(
        ("127.0.0.1:1",),
        "oip",
        token_file=tmp_path / "token",
        metadata=(("x-team", "growth"),),
        tenant_header="",
    )
    (one,) = played(file(request(0.0, "acme", {"model": "churn", "row": [1.0]})), target)
    assert sorted(one[3]) == [(b"authorization", b"Bearer abc"), (b"x-team", b"growth")]


# Others than Croupier


def test_dense_rows_of_one_model_are_a_tensor_for_others(file):
    rows = [{"model": "churn", "row": [1.0, None]}, {"model": "churn", "row": [3.0, 4.0]}]
    target = Target(("127.0.0.1:1",), "oip", tenant_header="")
    ((_, kind, path, pairs, message),) = played(file(request(0.0, "acme", *rows)), target, input="x")
    asked = inference_pb2.ModelInferRequest.FromString(message)
    assert (kind, path, pairs) == (1, INFER, ())
    (tensor,) = asked.inputs
    assert (asked.model_name, tensor.name, tensor.datatype, list(tensor.shape)) == (
        "churn",
        "x",
        "FP32",
        [2, 2],
    )
    assert len(asked.raw_input_contents[0]) == 16


@pytest.mark.parametrize("items", [[item()], [{"model": "a", "row": [1.0]}, {"model": "b", "row": [1.0]}]])
def test_what_is_no_tensor_is_said(file, items):
    with pytest.raises(NoRecording, match="request 1 cannot be played: only rows of one model"):
        played(file(request(0.0, "acme", *items)), Target(("127.0.0.1:1",), "oip"))


# The scenario


def test_a_scenario_lends_its_target_and_what_has_to_hold(file, tmp_path):
    toml = tmp_path / "mine.toml"
    toml.write_text(
        '[target]\naddress = "10.0.0.1:9000"\n[load]\nrate = 7\nworkers = 2\nwarm_up = 3\n'
        'shape = {kind = "bursts", times = 2, every = 2, lasts = 1}\n'
        '[[class]]\nname = "a"\ninput = "x"\n[slo]\np99 = "10ms"\n'
    )
    asked = scenario_of(file(request(0.0), request(2.0)), replay.base(toml, ""))
    assert asked.target.addresses == ("10.0.0.1:9000",)
    assert (asked.load.workers, asked.load.warm_up, asked.load.shape.kind) == (2, 0.0, "steady")
    assert asked.slo == {"p99_ms": 10.0}
    assert [(one.name, one.call, one.input) for one in asked.classes][1] == ("tensors", "unary", "x")
    assert replay.base(toml, "127.0.0.1:1").target.addresses == ("127.0.0.1:1",)


def test_an_address_alone_is_a_croupiers():
    assert replay.base(None, "127.0.0.1:8500").target.protocol == "croupier"
    with pytest.raises(ScenarioError):
        replay.base(None, "nowhere")


def test_a_closed_loop_has_no_times(file):
    asked = Scenario(TARGET, Load("closed"), (RequestClass("a"),))
    with pytest.raises(ScenarioError, match=r"load\.mode"):
        scenario_of(file(request(0.0)), asked)


# The file


def test_the_head_is_what_was_written(tmp_path):
    found = Recording("churn", [request(0.0), request(1.5)])
    found.left_out["why"] += 3
    write(found, tmp_path / "a.jsonl")
    head = head_of(tmp_path / "a.jsonl")
    assert (head.family, head.requests, head.seconds, head.left_out) == ("churn", 2, 1.5, {"why": 3})


@pytest.mark.parametrize("words", ["", "no json", "[]", "{}", json.dumps({"kind": "requests", "format": 2})])
def test_what_is_no_recording_is_said(tmp_path, words):
    path = tmp_path / "a.jsonl"
    path.write_text(words)
    with pytest.raises(NoRecording, match="no file of recorded requests"):
        head_of(path)
    with pytest.raises(NoRecording, match="cannot be read"):
        head_of(tmp_path / "none.jsonl")


def test_no_requests_are_nothing_to_play(file):
    with pytest.raises(NoRecording, match="has no requests"):
        scenario_of(file(), replay.base(None, "127.0.0.1:1"))


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"t": 0.0, "tenant": "a"}',
        '{"t": 0.0, "tenant": "a", "tensors": "%"}',
        '{"t": "x", "tenant": "a", "items": []}',
        '{"t": 0.0, "tenant": "a", "items": [{"model": "m", "features": [1]}]}',
        '{"t": 0.0, "tenant": "a", "items": [{"model": 1, "features": {}}]}',
    ],
)
def test_a_line_that_is_no_request_is_named(file, line):
    path = file(request(0.0))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(NoRecording, match="request 2 cannot be played"):
        played(path)
