import random

import pytest

from croupier_client.deadline import NEVER, Deadline
from croupier_client.decode import Prediction
from croupier_client.encode import InvalidFeatures, Item
from croupier_client.errors import InternalError, InvalidRequest, NotFound, Unavailable
from croupier_client.retry import RetryPolicy
from croupier_client.window import Window
from protos.prediction.v1 import prediction_pb2 as pb

GONE = Unavailable("gone")


def window(limit=2, *, deadline=NEVER, retries=2):
    return Window(limit, policy=RetryPolicy(retries), deadline=deadline, rng=random.Random(1))


def reply(id_, *results):
    return pb.PredictStreamResponse(id=id_, response=pb.PredictResponse(results=results))


def good():
    return pb.Result(value=pb.Value(), version=4)


def test_ids_count_up_and_room_runs_out():
    flight = window(2)
    assert [flight.offer(Item("m", []))[0] for _ in range(2)] == [0, 1]
    assert not flight.has_room
    assert len(flight) == 2


def test_an_answer_makes_room():
    flight = window(1)
    flight.offer(Item("m", []))
    assert (0, Prediction({}, 4, 0.0)) == flight.accept(reply(0, good()))
    assert flight.has_room


def test_an_answer_counts_once():
    flight = window()
    flight.offer(Item("m", []))
    flight.accept(reply(0, good()))
    assert flight.accept(reply(0, good())) is None
    assert flight.accept(reply(9, good())) is None


def test_an_item_that_cannot_be_sent_takes_an_id_and_no_room():
    flight = window(1)
    id_, error = flight.offer(Item("m", "text"))
    assert id_ == 0
    assert isinstance(error, InvalidFeatures)
    assert flight.offer(Item("m", []))[0] == 1


def test_what_is_unanswered_is_sent_again_in_order():
    flight = window(3)
    requests = [flight.offer(Item("m", [float(i)]))[1] for i in range(3)]
    flight.accept(reply(1, good()))
    assert [requests[0], requests[2]] == flight.unanswered()


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (pb.PredictStreamResponse(status=pb.Status(code=5, message="no")), NotFound),
        (pb.PredictStreamResponse(), InternalError),
        (reply(0), InternalError),
        (reply(0, good(), good()), InternalError),
    ],
)
def test_an_answer_without_a_prediction_is_an_error(response, kind):
    flight = window()
    flight.offer(Item("m", []))
    _, error = flight.accept(response)
    assert kind is type(error)


def test_connections_that_bring_nothing_run_out():
    flight = window(retries=2)
    assert flight.broken(GONE, 0.0) >= 0.0
    assert flight.broken(GONE, 0.0) >= 0.0
    with pytest.raises(Unavailable):
        flight.broken(GONE, 0.0)


def test_an_answer_gives_every_attempt_back():
    flight = window(retries=1)
    flight.offer(Item("m", []))
    flight.broken(GONE, 0.0)
    flight.accept(reply(0, good()))
    assert flight.broken(GONE, 0.0) >= 0.0


def test_other_failures_end_the_stream():
    with pytest.raises(NotFound):
        window().broken(NotFound("no"), 0.0)
    with pytest.raises(Unavailable):
        window(deadline=Deadline(0.0)).broken(GONE, 0.0)


def test_a_window_holds_at_least_one():
    with pytest.raises(InvalidRequest):
        window(0)
