import pytest
from support.prediction_server import item_status

from croupier import errors
from croupier.client.decode import PredictError, Prediction, SeveralOutputs, decode, decode_all
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


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidRequest("wrong shape"),
        errors.NotFound("no such model"),
        errors.PermissionDenied("not yours"),
        errors.FailedPrecondition("quarantined", reason="QUARANTINED"),
        errors.QuotaExceeded("too many", retry_after=2.5),
        errors.TooLarge("too many bytes"),
        errors.Unavailable("overload", retry_after=0.25),
        errors.DeadlineExceeded("too late"),
        errors.InternalError("a bug"),
    ],
)
def test_a_status_is_the_error_that_it_stands_for(error):
    found = decode(pb.Result(status=item_status(error)))
    assert isinstance(found, PredictError)
    assert type(error) is type(found)
    assert error.message == found.message
    assert error.reason == found.reason
    assert getattr(error, "retry_after", None) == getattr(found, "retry_after", None)


def test_a_result_without_an_outcome_is_a_bug_of_the_server():
    assert isinstance(decode(pb.Result()), errors.InternalError)


def test_results_must_match_the_items():
    with pytest.raises(errors.InternalError, match="1 results for 2 items"):
        decode_all(pb.PredictResponse(results=[pb.Result()]), 2)
