from hypothesis import given
from hypothesis import strategies as st

from router.budget import RetryBudget


def drained(**settings: float) -> RetryBudget:
    budget = RetryBudget(now=0.0, **settings)
    while budget.take(0.0):
        pass
    return budget


def test_it_begins_with_ten_seconds_worth() -> None:
    budget = RetryBudget(now=0.0, per_second=2.0)
    assert [budget.take(0.0) for _ in range(21)] == [True] * 20 + [False]


def test_requests_bring_a_share_and_time_brings_the_rest() -> None:
    budget = drained(share=0.5, per_second=2.0)
    budget.deposit()
    assert not budget.take(0.0)
    budget.deposit()
    assert budget.take(0.0)
    assert not budget.take(0.4)
    assert budget.take(0.5)


def test_no_more_than_the_most_is_saved_up() -> None:
    budget = drained(per_second=1.0, most=3.0)
    assert [budget.take(1000.0) for _ in range(4)] == [True, True, True, False]


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0.0, 1.0)), max_size=50))
def test_retries_never_exceed_the_share_and_the_rate(steps: list[tuple[int, float]]) -> None:
    budget = RetryBudget(now=0.0, share=0.2, per_second=10.0)
    now, requests, retries = 0.0, 0, 0
    for count, seconds in steps:
        now += seconds
        for _ in range(count):
            budget.deposit()
            requests += 1
            retries += budget.take(now)
    assert retries <= 100 + 0.2 * requests + 10 * now + 1e-6


def test_asking_what_it_would_pay_for_costs_nothing() -> None:
    budget = drained(per_second=1.0, most=3.0)
    assert [budget.tokens(now) for now in (0.0, 2.5, 2.5, 9.0)] == [0.0, 2.5, 2.5, 3.0]
    assert budget.take(1.0)
    assert not budget.take(1.0)
