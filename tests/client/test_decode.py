import pytest

from croupier_client import errors
from croupier_client.decode import Origin, PredictError, Prediction, SeveralOutputs, decode, decode_all
from protos.prediction.v1 import prediction_pb2 as pb


def test_a_value():
    outputs = [
        pb.Output(name="label", integers=pb.Integers(values=[1])),
        pb.Output(name="probabilities", numbers=pb.Numbers(values=[0.25, 0.75])),
        pb.Output(name="class", texts=pb.Texts(values=["yes"])),
        pb.Output(name="nothing"),
    ]
    result = pb.Result(value=pb.Value(outputs=outputs), version=7, took_us=1500)
    expected = {"label": [1], "probabilities": [0.25, 0.75], "class": ["yes"], "nothing": []}
    assert Prediction(expected, 7, 0.0015) == decode(result)


def test_where_features_came_from():
    kinds = pb.Origin.Source
    result = pb.Result(value=pb.Value(), defaults=2, degraded=True)
    for name, kind, age in (
        ("a", "REQUEST", 0),
        ("b", "STORE", 1.25),
        ("c", "STORE", 0),
        ("d", "DEFAULT_DOWN", 0),
    ):
        result.origins.add(name=name, source=kinds.Value(kind), age_seconds=age)
    result.origins.add(name="e", source=99)
    found = decode(result)
    assert (found.defaults, found.degraded) == (2, True)
    assert found.origins == {
        "a": Origin("request"),
        "b": Origin("store", 1.25),
        "c": Origin("store"),
        "d": Origin("default down"),
        "e": Origin("99"),
    }


@pytest.mark.parametrize(
    ("outputs", "value"),
    [({"y": [0.5]}, 0.5), ({"y": ["no"]}, "no"), ({"y": [1, 2]}, [1, 2]), ({"y": []}, [])],
)
def test_the_value_of_one_output(outputs, value):
    assert value == Prediction(outputs, 1, 0.0).value


@pytest.mark.parametrize(("outputs", "names"), [({}, "none"), ({"a": [1], "b": [2]}, "a, b")])
def test_no_single_value_of_several_outputs(outputs, names):
    with pytest.raises(SeveralOutputs, match=names):
        _ = Prediction(outputs, 1, 0.0).value


def test_a_status_is_an_error_that_is_not_raised():
    found = decode(pb.Result(status=pb.Status(code=5, message="no such model", reason="NO_MODEL")))
    assert isinstance(found, PredictError)
    assert (type(found), found.message, found.reason) == (errors.NotFound, "no such model", "NO_MODEL")


def test_a_result_without_an_outcome_is_a_bug_of_the_server():
    assert isinstance(decode(pb.Result()), errors.InternalError)


def test_results_must_match_the_items():
    with pytest.raises(errors.InternalError, match="1 results for 2 items"):
        decode_all(pb.PredictResponse(results=[pb.Result()]), 2)


# Fields that no release has yet, as a later one would send them.
UNKNOWN = b"\xfa\x3f\x01?"


def test_a_later_release_may_say_more():
    value = pb.Value(outputs=[pb.Output(name="y", numbers=pb.Numbers(values=[0.5]))])
    later = pb.Result.FromString(pb.Result(value=value, version=7).SerializeToString() + UNKNOWN)
    assert Prediction({"y": [0.5]}, 7, 0.0) == decode(later)


def test_values_of_a_kind_that_this_release_cannot_read_are_no_empty_list():
    output = pb.Output.FromString(pb.Output(name="y").SerializeToString() + UNKNOWN)
    found = decode(pb.Result(value=pb.Value(outputs=[output]), version=7))
    assert isinstance(found, errors.InternalError)
    assert "'y'" in found.message


def test_an_outcome_of_a_kind_that_this_release_cannot_read_is_an_error():
    assert isinstance(decode(pb.Result.FromString(UNKNOWN)), errors.InternalError)
