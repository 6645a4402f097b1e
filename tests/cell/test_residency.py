import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.cells import digest

from cell.residency import Lease, ModelTooLarge, NoRoom, Plan, Residency

A, B, C, D = map(digest, "abcd")


def admit(residency: Residency[str], key: bytes, size: int, now: float = 0.0) -> Lease[str]:
    residency.reserve(key, residency.plan(size))
    lease, _ = residency.admit(key, key.hex(), size, now)
    return lease


def filled(*sizes: int, capacity: int = 100) -> Residency[str]:
    """A, B, ... with these sizes, in this order of use, none in use."""
    residency: Residency[str] = Residency(capacity)
    for now, (key, size) in enumerate(zip((A, B, C, D), sizes, strict=False)):
        admit(residency, key, size, now).release()
    return residency


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
    assert list(residency.digests()) == [A, B]
    assert residency.used == 80


def test_reserving_evicts_who_was_planned_and_returns_them() -> None:
    residency = filled(40, 40)
    assert residency.reserve(C, residency.plan(60)) == [A.hex()]
    assert list(residency.digests()) == [B]
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
    assert list(residency.digests()) == [A, B]


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


class Machine(RuleBasedStateMachine):
    """Any order of asking, loading, leasing and releasing keeps the books right."""

    def __init__(self) -> None:
        super().__init__()
        self.residency: Residency[bytes] = Residency(100)
        self.leases: list[Lease[bytes]] = []
        self.loading: set[bytes] = set()
        self.now = 0.0

    keys = st.integers(0, 9).map(lambda n: digest(str(n)))
    sizes = st.integers(0, 120)

    @rule(key=keys)
    def ask(self, key: bytes) -> None:
        self.now += 1
        lease = self.residency.lease(key, self.now)
        assert (lease is not None) == (key in self.residency)
        if lease is not None:
            assert lease.model == key
            assert list(self.residency.digests())[-1] == key
            self.leases.append(lease)

    @rule(key=keys, size=sizes)
    def begin(self, key: bytes, size: int) -> None:
        if key in self.residency or key in self.loading:
            return
        before = list(self.residency.digests())
        try:
            plan = self.residency.plan(size)
        except (NoRoom, ModelTooLarge):
            assert list(self.residency.digests()) == before
            return
        assert self.residency.reserve(key, plan) == list(plan.victims)
        self.loading.add(key)

    @rule(data=st.data(), size=sizes)
    def land(self, data: st.DataObject, size: int) -> None:
        if not self.loading:
            return
        key = data.draw(st.sampled_from(sorted(self.loading)))
        self.loading.discard(key)
        try:
            lease, _ = self.residency.admit(key, key, size, self.now)
        except (NoRoom, ModelTooLarge):
            assert key not in self.residency
            return
        self.leases.append(lease)

    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        if self.loading:
            key = data.draw(st.sampled_from(sorted(self.loading)))
            self.loading.discard(key)
            self.residency.abandon(key)

    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        if self.leases:
            self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1))).release()

    @invariant()
    def within_capacity(self) -> None:
        assert 0 <= self.residency.used + self.residency.reserved <= self.residency.capacity

    @invariant()
    def what_is_leased_is_resident(self) -> None:
        assert all(lease.digest in self.residency for lease in self.leases)

    @invariant()
    def nothing_is_held_when_nothing_loads(self) -> None:
        if not self.loading:
            assert self.residency.reserved == 0
        if not len(self.residency):
            assert self.residency.used == 0


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
