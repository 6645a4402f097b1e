import math
import random

import pytest

from croupier_client.deadline import NEVER, Deadline
from croupier_client.decode import Prediction
from croupier_client.encode import InvalidFeatures, Item, Shared
from croupier_client.errors import DeadlineExceeded, InternalError, NotFound, Unavailable
from croupier_client.retry import RetryPolicy
from croupier_client.steps import Reply, Send, Wait, predict
from protos.prediction.v1 import prediction_pb2 as pb


class Server:
    """Plays the I/O: answers each Send with the next of `answers`, lets Wait move the clock."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []
        self.shared = []
        self.waits = []
        self.now = 100.0

    def run(self, items, *, deadline=NEVER, **told):
        work = predict(
            items,
            policy=RetryPolicy(2),
            deadline=deadline,
            clock=lambda: self.now,
            rng=random.Random(1),
            **told,
        )
        answer = None
        while True:
            try:
                step = work.send(answer)
            except StopIteration as end:
                return end.value
            answer = self._act(step)

    def _act(self, step):
        match step:
            case Send(request, timeout):
                self.sent.append((list(request.items), timeout))
                self.shared.append(request.shared)
                return self.answers.pop(0)
            case Wait(seconds):
                self.waits.append(seconds)
                self.now += seconds
                return None


def good(version=1):
    return pb.Result(value=pb.Value(), version=version)


def bad(code):
    return pb.Result(status=pb.Status(code=code, message="no"))


def answer(*results):
    return Reply(pb.PredictResponse(results=results))


ITEMS = [Item("a", [1.0]), Item("b", [2.0]), Item("c", [3.0])]


def test_one_request_carries_every_item():
    server = Server(answer(good(1), good(2), good(3)))
    assert [outcome.version for outcome in server.run(ITEMS)] == [1, 2, 3]
    ((items, timeout),) = server.sent
    assert [item.model for item in items] == ["a", "b", "c"]
    assert timeout is None


def test_no_items_need_no_request():
    server = Server()
    assert server.run([]) == []
    assert server.sent == []


def test_an_item_that_fails_for_good_is_not_sent_again():
    found = Server(answer(good(), bad(5), good())).run(ITEMS)
    assert [Prediction, NotFound, Prediction] == [type(outcome) for outcome in found]


def test_only_unavailable_items_are_sent_again():
    server = Server(answer(good(1), bad(14), bad(5)), answer(good(2)))
    found = server.run(ITEMS)
    assert [Prediction, Prediction, NotFound] == [type(outcome) for outcome in found]
    assert found[1].version == 2
    assert [item.model for item in server.sent[1][0]] == ["b"]
    assert len(server.waits) == 1


def test_an_item_that_stays_unavailable_is_an_outcome():
    server = Server(*[answer(bad(14))] * 3)
    assert [Unavailable] == [type(outcome) for outcome in server.run(ITEMS[:1])]
    assert len(server.sent) == 3


def test_a_call_that_is_unavailable_is_tried_again():
    server = Server(Unavailable("gone"), answer(good(), good(), good()))
    assert len(server.run(ITEMS)) == 3
    assert len(server.sent) == 2


def test_a_call_that_stays_unavailable_raises():
    server = Server(*[Unavailable("gone")] * 3)
    with pytest.raises(Unavailable):
        server.run(ITEMS)


def test_any_other_failure_of_the_call_raises_at_once():
    server = Server(NotFound("no"))
    with pytest.raises(NotFound):
        server.run(ITEMS)
    assert len(server.sent) == 1


def test_outcomes_survive_a_call_that_fails_later():
    server = Server(answer(good(), bad(14), good()), NotFound("gone meanwhile"))
    found = server.run(ITEMS)
    assert [Prediction, NotFound, Prediction] == [type(outcome) for outcome in found]


def test_an_item_that_cannot_be_sent_fails_alone():
    server = Server(answer(good(), good()))
    found = server.run([ITEMS[0], Item("x", "text"), ITEMS[2]])
    assert [Prediction, InvalidFeatures, Prediction] == [type(outcome) for outcome in found]
    assert [item.model for item in server.sent[0][0]] == ["a", "c"]


def test_each_attempt_has_what_is_left_of_the_deadline():
    server = Server(Unavailable("gone", retry_after=2.0), answer(good()))
    server.run(ITEMS[:1], deadline=Deadline(105.0))
    first, second = (timeout for _, timeout in server.sent)
    assert first == 5.0
    assert math.isclose(5.0 - server.waits[0], second)
    assert second <= 3.0


def test_no_retry_waits_beyond_the_deadline():
    server = Server(Unavailable("gone", retry_after=6.0))
    with pytest.raises(Unavailable):
        server.run(ITEMS, deadline=Deadline(105.0))
    assert server.waits == []


def test_a_deadline_that_has_passed_sends_nothing():
    server = Server()
    with pytest.raises(DeadlineExceeded):
        server.run(ITEMS, deadline=Deadline(100.0))
    assert server.sent == []


def test_a_wait_that_took_too_long_loses_no_answer():
    class Slow(Server):
        def _act(self, step):
            self.now += 10.0 if isinstance(step, Wait) else 0.0
            return super()._act(step)

    server = Slow(answer(good(), bad(14), good()))
    found = server.run(ITEMS, deadline=Deadline(105.0))
    assert [Prediction, Unavailable, Prediction] == [type(outcome) for outcome in found]
    with pytest.raises(Unavailable):
        Slow(Unavailable("gone")).run(ITEMS, deadline=Deadline(105.0))


def test_a_server_that_answers_too_few_is_found_out():
    with pytest.raises(InternalError):
        Server(answer(good())).run(ITEMS)


def test_what_is_shared_goes_with_every_try():
    server = Server(answer(good(), bad(14)), answer(good()))
    server.run(ITEMS[:2], shared=Shared({"hour": 14}, entity_id="e", parameters={"region": "eu"}))
    assert [len(items) for items, _ in server.sent] == [2, 1]
    for shared in server.shared:
        assert (shared.entity_id, dict(shared.parameters)) == ("e", {"region": "eu"})
        assert [(each.name, each.number) for each in shared.features.features] == [("hour", 14)]


def test_what_cannot_be_shared_raises():
    with pytest.raises(InvalidFeatures, match="what items share is named"):
        Server().run(ITEMS, shared=Shared([1.0]))
