from hypothesis import given
from hypothesis import strategies as st
from support.cells import digest

from cell.loadqueue import PATIENCE, WAITER, LoadQueue

A, B, C = map(digest, "abc")
NEVER = float("inf")


def queued(*deadlines: float) -> LoadQueue:
    """A, B, ... each asked for at 0 by one request with that deadline; each takes a second."""
    queue = LoadQueue()
    for key, deadline in zip((A, B, C), deadlines, strict=False):
        queue.add(key, 1.0)
        queue.join(key, deadline, 0.0)
    return queue


def drained(queue: LoadQueue) -> list[bytes]:
    return list(iter(queue.pop, None))


def test_who_is_due_first_is_first() -> None:
    assert drained(queued(0.3, 0.1, 0.2)) == [B, C, A]


def test_equals_go_in_the_order_they_came() -> None:
    assert drained(queued(0.1, 0.1, 0.1)) == [A, B, C]


def test_each_further_waiter_brings_a_load_forward() -> None:
    queue = queued(0.1, 0.1 + 2.5 * WAITER)
    for _ in range(2):
        queue.join(B, NEVER, 0.0)
    assert drained(queue) == [A, B]
    queue = queued(0.1, 0.1 + 2.5 * WAITER)
    for _ in range(3):
        queue.join(B, NEVER, 0.0)
    assert drained(queue) == [B, A]


def test_a_waiter_with_a_nearer_deadline_counts() -> None:
    queue = queued(0.5, 1.0)
    queue.join(B, 0.2, 0.0)
    assert drained(queue) == [B, A]


def test_a_far_deadline_does_not_starve() -> None:
    queue = queued(NEVER)
    queue.add(B, 1.0)
    queue.join(B, PATIENCE + 0.1, PATIENCE - 0.1)
    assert drained(queue) == [A, B]


def test_the_background_comes_last_in_its_order() -> None:
    queue = LoadQueue()
    for key in (C, B, A):
        queue.add(key, 1.0)
    queue.join(A, NEVER, 0.0)
    assert (len(queue), queue.background) == (1, 2)
    assert queue.pop(background=False) == A
    assert queue.pop(background=False) is None
    assert drained(queue) == [C, B]
    assert (len(queue), queue.background) == (0, 0)


def test_what_is_removed_never_comes_out_and_may_come_back() -> None:
    queue = queued(0.1, 0.2)
    queue.remove(A)
    queue.remove(C)
    assert len(queue) == 1
    queue.add(A, 1.0)
    queue.join(A, 0.3, 0.0)
    assert drained(queue) == [B, A]


def test_joining_what_is_not_queued_does_nothing() -> None:
    queue = LoadQueue()
    queue.join(A, NEVER, 0.0)
    assert drained(queue) == []


def test_only_what_comes_first_is_ahead() -> None:
    queue = queued(0.1, 0.2, 0.3)
    queue.add(digest("background"), 50.0)
    assert queue.seconds_ahead(0.2, 0.0) == 2.0
    assert queue.seconds_ahead(NEVER, 0.0) == 3.0


@given(st.lists(st.tuples(st.sampled_from("ajrp"), st.integers(0, 5), st.integers(0, 30)), max_size=60))
def test_everything_comes_out_once_and_no_request_after_the_background(
    steps: list[tuple[str, int, int]],
) -> None:
    queue = LoadQueue()
    model: dict[bytes, int] = {}
    for now, (step, number, deadline) in enumerate(steps):
        key = digest(str(number))
        if step == "a" and key not in model:
            queue.add(key, 1.0)
            model[key] = 0
        elif step == "j":
            queue.join(key, deadline / 10, now / 10)
            if key in model:
                model[key] += 1
        elif step == "r":
            queue.remove(key)
            model.pop(key, None)
        elif step == "p":
            popped = queue.pop()
            if popped is None:
                assert model == {}
            else:
                assert model.pop(popped) > 0 or not any(model.values())
        requested = sum(waiters > 0 for waiters in model.values())
        assert (len(queue), queue.background) == (requested, len(model) - requested)
    assert sorted(drained(queue)) == sorted(model)
