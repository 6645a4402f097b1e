"""Who is resident, who goes for whom, and what is refused."""

import tracemalloc

import pytest
from support.cells import digest
from support.residency import admit, filled, resident

from cell.residency.policies import POLICIES, S3Fifo
from cell.residency.residency import Churning, ModelTooLarge, NoRoom, Plan, Residency

A, B, C, D = map(digest, "abcd")


def test_a_lease_on_what_is_not_resident_is_none() -> None:
    assert filled(10).lease(B, 1.0) is None


def test_the_least_recently_used_goes_first() -> None:
    residency = filled(40, 40)
    lease = residency.lease(A, 5.0)
    assert lease is not None
    lease.release()
    assert residency.plan(30) == Plan(30, (B,))


def test_planning_changes_nothing() -> None:
    residency = filled(40, 40)
    residency.plan(100)
    assert resident(residency) == [A, B]
    assert residency.used == 80


def test_reserving_evicts_who_was_planned_and_returns_them() -> None:
    residency = filled(40, 40)
    assert residency.reserve(C, residency.plan(60)) == [A.hex()]
    assert resident(residency) == [B]
    assert (residency.used, residency.reserved) == (40, 60)


def test_a_leased_model_is_passed_over() -> None:
    residency = filled(40, 40)
    lease = residency.lease(A, 5.0)
    assert lease is not None
    residency.lease(B, 6.0).release()  # type: ignore[union-attr]
    assert residency.plan(30) == Plan(30, (B,))
    lease.release()
    assert residency.plan(30) == Plan(30, (A,))


def test_no_room_when_everything_is_leased_and_nobody_goes() -> None:
    residency = filled(40, 40)
    lease = residency.lease(B, 5.0)
    assert lease is not None
    with pytest.raises(NoRoom) as caught:
        residency.plan(80)
    assert caught.value.retry_after > 0
    assert resident(residency) == [A, B]


def test_reserved_room_is_nobody_elses() -> None:
    residency: Residency[str] = Residency(100)
    residency.reserve(A, residency.plan(80))
    with pytest.raises(NoRoom):
        residency.plan(30)
    residency.abandon(A)
    residency.abandon(A)
    assert residency.plan(100) == Plan(100, ())


def test_larger_than_the_whole_cell() -> None:
    with pytest.raises(ModelTooLarge):
        filled(10).plan(101)


def test_a_model_that_measures_more_than_reserved_evicts_more() -> None:
    residency = filled(40, 40)
    residency.reserve(C, residency.plan(20))
    lease, evicted = residency.admit(C, "c", 50, 9.0)
    assert evicted == [A.hex()]
    assert (residency.used, residency.reserved) == (90, 0)
    lease.release()


def test_a_model_that_measures_more_than_can_be_is_not_admitted() -> None:
    residency = filled(40, 40)
    residency.reserve(C, residency.plan(20))
    with pytest.raises(ModelTooLarge):
        residency.admit(C, "c", 101, 9.0)
    assert (C in residency, residency.reserved, residency.used) == (False, 0, 80)


def test_one_place_for_each_model() -> None:
    residency = filled(10)
    with pytest.raises(ValueError, match="place already"):
        residency.reserve(A, residency.plan(10))
    residency.reserve(B, residency.plan(10))
    with pytest.raises(ValueError, match="place already"):
        residency.reserve(B, residency.plan(10))


def test_a_plan_whose_victim_came_into_use_is_refused() -> None:
    residency = filled(80)
    plan = residency.plan(80)
    lease = residency.lease(A, 5.0)
    assert lease is not None
    with pytest.raises(ValueError, match="come into use"):
        residency.reserve(B, plan)
    assert A in residency


def test_a_lease_is_released_once_and_shared_many_times() -> None:
    residency = filled(80)
    with residency.lease(A, 5.0) as lease:  # type: ignore[union-attr]
        other = lease.share()
        lease.release()
        lease.release()
        with pytest.raises(NoRoom):
            residency.plan(80)
    other.release()
    assert residency.plan(80).victims == (A,)
    with pytest.raises(ValueError, match="released"):
        other.share()


def test_age_of_the_oldest() -> None:
    assert Residency[str](10).oldest_seconds(5.0) == 0.0
    assert filled(10, 10).oldest_seconds(5.0) == 5.0


def test_a_find_is_a_use() -> None:
    residency = filled(40, 40)
    assert residency.find(A, 5.0) == A.hex()
    assert residency.find(C, 5.0) is None
    assert residency.plan(30).victims == (B,)


def test_uses_are_dated_to_a_sixteenth_of_a_second() -> None:
    residency = filled(10)
    residency.find(A, 5.0)
    residency.find(A, 5.05)
    assert residency.oldest_seconds(6.0) == 1.0
    residency.find(A, 5.07)
    assert residency.oldest_seconds(6.07) == 1.0


@pytest.mark.parametrize("name", POLICIES)
def test_the_oldest_is_never_said_to_be_older_than_it_is(name: str) -> None:
    residency = filled(25, 25, 25, 25, policy=POLICIES[name]())
    used_at = {A: 0, B: 1, C: 2, D: 3}
    for now, key in enumerate([A, B, A, C, D, B, A], start=10):
        residency.find(key, now)
        used_at[key] = now
        assert 0 <= residency.oldest_seconds(now) <= now - min(used_at.values())
    assert residency.oldest_seconds(0.0) == 0.0


# The churn guard.
def test_a_load_is_refused_while_who_would_go_was_just_in_use() -> None:
    residency = filled(50, 50)
    residency.find(A, 10.0)
    residency.find(B, 10.5)
    with pytest.raises(Churning) as caught:
        residency.plan(30, now=11.0, load_seconds=0.2)
    assert caught.value.retry_after == pytest.approx(1.0)
    assert residency.plan(30, now=12.0, load_seconds=0.2).victims == (A,)


def test_the_guard_looks_at_no_load_that_fits() -> None:
    assert filled(50).plan(50, now=0.0, load_seconds=9.0).victims == ()


def test_the_guard_never_asks_to_wait_for_long() -> None:
    with pytest.raises(Churning) as caught:
        filled(100).plan(10, now=1.0, load_seconds=60.0)
    assert caught.value.retry_after == 10.0


def test_a_young_victim_is_no_churn_in_a_cell_with_idle_models() -> None:
    residency: Residency[str] = Residency(100, S3Fifo())
    for key in (A, B):
        admit(residency, key, 40).release()
        residency.find(key, 0.0)
        residency.find(key, 0.0)
    admit(residency, C, 20, 99.0).release()
    # A and B go over to the main queue, where they are idle; C is new and the next to go.
    assert residency.plan(10, now=100.0, load_seconds=1.0).victims == (C,)
    with pytest.raises(Churning):
        residency.plan(10, now=100.0, load_seconds=1.0, bulk=True)


# Bulk loads.
@pytest.mark.parametrize("name", POLICIES)
def test_aged_models_go_before_all_others(name: str) -> None:
    residency = filled(25, 25, policy=POLICIES[name]())
    admit(residency, C, 25, 5.0, aged=True).release()
    admit(residency, D, 25, 6.0, aged=True).release()
    assert residency.plan(50, now=6.0, load_seconds=1.0, bulk=True).victims == (C, D)


@pytest.mark.parametrize("name", POLICIES)
def test_a_use_makes_an_aged_model_ordinary(name: str) -> None:
    residency = filled(25, 25, policy=POLICIES[name]())
    admit(residency, C, 25, 5.0, aged=True).release()
    admit(residency, D, 25, 6.0, aged=True).release()
    residency.find(C, 7.0)
    victims = residency.plan(100).victims
    assert victims[0] == D
    assert set(victims) == {A, B, C, D}


def test_bulk_loads_push_out_each_other() -> None:
    residency = filled(50)
    keys = [digest(str(number)) for number in range(20)]
    for key in keys:
        residency.reserve(key, residency.plan(10, now=1.0, load_seconds=1.0, bulk=True))
        residency.admit(key, key.hex(), 10, 1.0, aged=True)[0].release()
    assert A in residency
    assert [key in residency for key in keys] == [False] * 15 + [True] * 5


def test_a_bulk_load_takes_nothing_from_models_that_are_in_use() -> None:
    residency = filled(50, 50)
    residency.find(B, 10.0)
    with pytest.raises(Churning):
        residency.plan(60, now=11.0, load_seconds=1.0, bulk=True)
    # Any other load may, once the oldest has had its time.
    assert residency.plan(60, now=11.0, load_seconds=1.0).victims == (A, B)


# Memory pressure, operators.
def test_a_smaller_capacity_evicts_at_once() -> None:
    residency = filled(30, 30, 30)
    assert residency.resize(50) == [A.hex(), B.hex()]
    assert (residency.capacity, residency.used) == (50, 30)
    assert residency.resize(100) == []
    assert residency.plan(70).victims == ()


def test_what_is_in_use_outlives_a_smaller_capacity_and_blocks_loads() -> None:
    residency = filled(30, 30)
    lease = residency.lease(A, 5.0)
    assert lease is not None
    assert residency.resize(10) == [B.hex()]
    assert residency.used == 30
    with pytest.raises(NoRoom):
        residency.plan(5)
    lease.release()
    assert residency.plan(5).victims == (A,)


def test_a_model_costs_at_most_250_bytes() -> None:
    keys = [digest(str(number)) for number in range(10_000)]
    residency: Residency[None] = Residency(10**12, S3Fifo())
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(10_000):
            # A digest, a size and a time of its own for each, as they come from a request.
            key, size, now = bytes(bytearray(keys[number])), 10_000 + number, number / 1_000
            residency.reserve(key, residency.plan(size, now=now))
            residency.admit(key, None, size, now)[0].release()
            del key, size, now
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(residency) == 10_000
    # And as many ghosts as there can be.
    assert (after - before) / 10_000 + 8 <= 250


@pytest.mark.parametrize("name", POLICIES)
def test_the_hottest_are_named_first_and_no_more_than_asked_for(name: str) -> None:
    residency: Residency[str] = Residency(100, POLICIES[name]())
    for now, key in enumerate((A, B, C, D)):
        residency.reserve(key, residency.plan(10))
        residency.admit(key, key.hex(), 10, now, aged=key in (C, D))[0].release()
    residency.pin(A)
    assert residency.hottest(10) == [A, B, C, D] or residency.hottest(10) == [B, A, C, D]
    assert residency.hottest(3)[2:] == [C]
    assert residency.hottest(0) == []


def test_the_most_recently_used_is_the_hottest() -> None:
    residency = filled(10, 10, 10)
    residency.find(B, 5.0)
    assert residency.hottest(10) == [B, C, A]


def test_a_model_keeps_who_had_it_loaded() -> None:
    residency: Residency[str] = Residency(100)
    residency.reserve(A, residency.plan(10))
    residency.admit(A, "a", 10, 0.0, owner=2**64 - 1)[0].release()
    residency.find(A, 1.0)
    (page,) = residency.hot(10)
    assert [(entry.digest, entry.owner, entry.uses) for entry in page] == [(A, 2**64 - 1, 1)]


def test_a_model_that_is_proven_does_not_go_for_new_ones_that_are_not() -> None:
    residency: Residency[int] = Residency(100, S3Fifo())
    keys = [digest(str(number)) for number in range(30)]
    for number, key in enumerate(keys):
        residency.reserve(key, residency.plan(10))
        residency.admit(key, number, 10, 0.0, proven=number < 5)[0].release()
    assert residency.used == 100
    assert all(key in residency for key in keys[:5])


def test_a_proven_model_makes_room_as_any_other() -> None:
    residency: Residency[int] = Residency(50, S3Fifo())
    keys = [digest(str(number)) for number in range(10)]
    for number, key in enumerate(keys):
        residency.reserve(key, residency.plan(10))
        residency.admit(key, number, 10, 0.0, proven=True)[0].release()
    assert [key in residency for key in keys] == [False] * 5 + [True] * 5
