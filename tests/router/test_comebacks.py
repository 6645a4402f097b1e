"""When those who were refused are told to come back."""

from __future__ import annotations

from math import log2
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.buckets import Bucket
from router.comebacks import LONGEST, TURNS, Comebacks, spread


def comebacks() -> Comebacks:
    return Comebacks(Random(1).random)


@given(st.floats(1e-9, 86_400.0), st.floats(0.0, 1.0))
def test_a_wait_is_told_as_one_of_few_never_less_and_not_much_more(wait: float, random: float) -> None:
    told = spread(wait, random)
    assert max(0.001, wait) <= told <= max(0.001, wait) * 1.2
    assert (log2(told) * 8) == pytest.approx(round(log2(told) * 8), abs=1e-6)


def test_callers_that_are_refused_together_come_back_one_after_the_other() -> None:
    found = comebacks()
    told = [found.after("acme", "rate", 0.005, 0.01, 100.0) for _ in range(32)]
    for number, wait in enumerate(told):
        assert 0.005 + 0.01 * number <= wait <= (0.005 + 0.01 * number) * 1.2


def test_callers_that_heed_are_refused_about_as_often_as_there_is_room() -> None:
    """Thirty-two of them at a hundred a second, each of which asks again as soon as it may."""
    found, random, bucket = comebacks(), Random(2), Bucket(100.0, 0.0)
    due = [0.0] * 32
    served = refused = 0
    while (now := min(due)) < 20.0:
        wait = bucket.wait(now)
        if wait <= 0:
            bucket.take(1.0, now)
            served += 1
            after = 0.001 * random.random()
        else:
            refused += 1
            after = found.after("acme", "rate", wait, bucket.step, now)
        due[due.index(now)] = now + after
    assert served > 0.9 * 2_000
    assert refused < 1.5 * served


def test_whoever_floods_has_nobody_wait_for_much_longer_than_there_is_to_wait() -> None:
    found = comebacks()
    told = [found.after("acme", "rate", 0.01, 0.01, 5.0) for _ in range(10_000)]
    assert max(told) <= (0.01 + LONGEST) * 1.2
    late = told[1_000:]
    assert min(late) < 0.1 * LONGEST
    assert max(late) > 0.9 * LONGEST


def test_a_debt_of_minutes_is_shared_out_in_turns_as_long() -> None:
    found = comebacks()
    told = [found.after("acme", "bytes", 60.0, 1e-6, 5.0) for _ in range(64)]
    assert 119 < told[1] < 145
    assert max(told) <= 60.0 * (TURNS + 1) * 1.2


def test_what_was_promised_to_one_is_nothing_to_another_or_for_another_limit_or_later() -> None:
    found = comebacks()
    for _ in range(50):
        found.after("acme", "rate", 0.01, 0.01, 5.0)
    for tenant, limit, now in (("globex", "rate", 5.0), ("acme", "rows", 5.0), ("acme", "rate", 6.0)):
        assert found.after(tenant, limit, 0.01, 0.01, now) <= 0.012


def test_what_it_knows_is_bounded() -> None:
    found = comebacks()
    for number in range(5_000):
        found.after(f"tenant-{number}", "rate", 0.01, 0.01, 5.0)
    assert len(found._promised) == 1024
