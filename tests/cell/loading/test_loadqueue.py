import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cells import digest

from cell.loading.loadqueue import DUE_WITHIN, WAITER, LoadQueue
from croupier.fairness import PATIENCE

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
    queue.join(B, DUE_WITHIN + 0.1, DUE_WITHIN - 0.1)
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


def of_owners(queue: LoadQueue, owners: str, seconds: float = 1.0, deadline: float = NEVER) -> list[bytes]:
    """A load of each of these owners, in this order; each has a digest of its own."""
    keys = [digest(f"{owner}{place}") for place, owner in enumerate(owners)]
    for key, owner in zip(keys, owners, strict=True):
        queue.add(key, seconds)
        queue.join(key, deadline, 0.0, ord(owner))
    return keys


def owners_in_order(queue: LoadQueue, keys: list[bytes], owners: str) -> str:
    return "".join(owners[keys.index(key)] for key in drained(queue))


def test_owners_take_turns_whoever_came_first_or_is_due_first() -> None:
    queue, owners = LoadQueue(), "aaaaaabbc"
    keys = of_owners(queue, owners)
    assert owners_in_order(queue, keys, owners) == "abcabaaaa"


def test_one_load_of_another_owner_waits_for_one_of_a_thousand() -> None:
    queue = LoadQueue()
    of_owners(queue, "a" * 1000, deadline=0.001)
    for _ in range(100):
        queue.pop()
    queue.add(A, 1.0)
    queue.join(A, NEVER, 0.0, ord("b"))
    assert queue.seconds_ahead(NEVER, 0.0, ord("c")) < 2.1
    assert A in (queue.pop(), queue.pop())


def test_work_counts_between_owners_and_not_the_number_of_loads() -> None:
    queue = LoadQueue()
    large = of_owners(queue, "aaa", seconds=1.0)
    small = of_owners(queue, "bbbbbbbb", seconds=0.25)
    order = ["a" if key in large else "b" for key in drained(queue)]
    assert len(small) == 8
    assert "".join(order) == "abbbbabbbba"


def test_an_owner_that_did_nothing_has_saved_nothing_up() -> None:
    queue = LoadQueue()
    of_owners(queue, "a" * 50)
    for _ in range(40):
        queue.pop()
    keys = of_owners(queue, "bbbb")
    order = drained(queue)[:8]
    assert sorted(order.index(key) for key in keys) == [0, 2, 4, 6]


def test_what_several_owners_want_comes_in_the_first_ones_turn_and_once() -> None:
    queue = LoadQueue()
    of_owners(queue, "aaaa")
    queue.add(A, 1.0)
    queue.join(A, NEVER, 0.0, ord("a"))
    queue.join(A, NEVER, 0.0, ord("b"))
    order = drained(queue)
    assert order.index(A) == 1
    assert len(order) == 5


def test_what_is_ahead_of_an_owner_is_its_own_work_and_as_much_of_each_other() -> None:
    queue = LoadQueue()
    of_owners(queue, "aaaaaaaabb")
    assert queue.seconds_ahead(NEVER, 0.0, ord("a")) == 10.0
    assert queue.seconds_ahead(NEVER, 0.0, ord("b")) == pytest.approx(4.0, abs=0.01)
    assert queue.seconds_ahead(NEVER, 0.0, ord("c")) == pytest.approx(0.0, abs=0.01)
    queue.pop()
    assert queue.seconds_ahead(NEVER, 0.0, ord("a")) == pytest.approx(9.0)


def test_callers_that_give_up_and_come_again_leave_nothing_behind() -> None:
    queue = queued(0.1)
    for _ in range(1000):
        queue.add(B, 1.0)
        queue.join(B, NEVER, 0.0)
        queue.join(A, NEVER, 0.0)
        queue.remove(B)
    assert len(queue._owners[0, 0].heap) <= 130
    assert drained(queue) == [A]
    assert queue._owners == {}


STEPS = st.tuples(st.sampled_from("ajrp"), st.integers(0, 5), st.integers(0, 30), st.integers(0, 2))


@given(st.lists(STEPS, max_size=60))
def test_everything_comes_out_once_and_no_request_after_the_background(
    steps: list[tuple[str, int, int, int]],
) -> None:
    queue = LoadQueue()
    model: dict[bytes, int] = {}
    for now, (step, number, deadline, owner) in enumerate(steps):
        key = digest(str(number))
        if step == "a" and key not in model:
            queue.add(key, 1.0)
            model[key] = 0
        elif step == "j":
            queue.join(key, deadline / 10, now / 10, owner)
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
        assert queue.seconds_ahead(NEVER, 1e9, 9) <= requested + 1e-6
        assert queue.seconds_ahead(NEVER, 1e9, 0) >= 0.0
    assert sorted(drained(queue)) == sorted(model)
    assert queue.seconds_ahead(NEVER, 1e9) == 0.0


def test_what_is_lower_loads_when_nothing_higher_waits_or_after_some_turns() -> None:
    queue = LoadQueue()
    for priority, names in ((4, ["batch"]), (0, [f"live {number}" for number in range(2 * PATIENCE)])):
        for name in names:
            queue.add(digest(name), 1.0)
            queue.join(digest(name), NEVER, 0.0, 1, priority)
    assert queue.seconds_ahead(NEVER, 0.0, 2, 0) < 2 < 2 * PATIENCE <= queue.seconds_ahead(NEVER, 0.0, 2, 4)
    assert drained(queue).index(digest("batch")) == PATIENCE
    assert queue.seconds == 0.0


def test_a_load_that_two_want_comes_as_the_higher_one_has_it() -> None:
    queue = LoadQueue()
    for key in (A, B):
        queue.add(key, 1.0)
    queue.join(A, NEVER, 0.0, 1, 4)
    queue.join(B, NEVER, 0.0, 2, 0)
    queue.join(A, NEVER, 0.0, 2, 0)
    assert queue.seconds_ahead(NEVER, 0.0, 3, 3) == 2.0
    assert sorted(drained(queue)) == sorted([A, B])
    assert queue.seconds == 0.0
