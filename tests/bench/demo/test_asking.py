import numpy as np

from bench.demo.asking import Asking
from bench.training import Recipe, Trained
from protos.prediction.v1 import prediction_pb2 as pb

ROWS = np.arange(24, dtype=np.float32).reshape(24, 1)


def trained(name: str, factor: float) -> Trained:
    """A model of one feature, which it multiplies."""
    return Trained(Recipe("acme", name, "", "", 0), b"", ROWS, ROWS * factor, ())


def asking() -> Asking:
    return Asking([trained("two", 2.0), trained("three", 3.0)], [1.0, 1.0], seed=1, draws=64)


def answer(value: float, took_us: int = 7) -> bytes:
    output = pb.Output(name="value", numbers=pb.Numbers(values=[value]))
    result = pb.Result(value=pb.Value(outputs=[output]), version=1, took_us=took_us)
    return pb.PredictResponse(results=[result]).SerializeToString()


def row(asked: Asking, number: int) -> float:
    (item,) = pb.PredictRequest.FromString(asked.message(number)).items
    assert item.model == ("two", "three")[asked.of(number)]
    return float(item.row.values[0])


def test_requests_follow_from_the_seed_and_come_again() -> None:
    one, other = asking(), asking()
    assert [one.message(n) for n in range(130)] == [other.message(n % 64) for n in range(130)]
    assert {one.of(n) for n in range(64)} == {0, 1}
    assert one.tenant(0) == b"acme"


def test_an_answer_is_right_if_it_is_the_librarys_however_long_it_took() -> None:
    asked = asking()
    for number in range(64):
        right = row(asked, number) * (2.0, 3.0)[asked.of(number)]
        assert asked.is_answer(number, answer(right))
        assert asked.is_answer(number, answer(right, took_us=9))
    assert asked.wrong == []


def test_another_models_answer_is_wrong_before_and_after_a_right_one() -> None:
    asked = asking()
    number = next(n for n in range(64) if row(asked, n) > 1.0 and asked.of(n) == 0)
    for _ in range(2):
        assert not asked.is_answer(number, answer(row(asked, number) * 3.0))
        assert asked.is_answer(number, answer(row(asked, number) * 2.0))
    assert asked.wrong == [number, number]


def test_an_error_is_no_answer_and_not_wrong_but_no_result_is() -> None:
    asked = asking()
    status = pb.PredictResponse(results=[pb.Result(status=pb.Status(code=14))])
    assert not asked.is_answer(3, status.SerializeToString())
    assert asked.wrong == []
    assert not asked.is_answer(3, b"")
    assert asked.wrong == [3]
