"""Residency beside a plain model of it, through whatever may happen to it."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.cells import digest
from support.residency import resident

from cell.residency.floors import KeptTooMuch
from cell.residency.policies import POLICIES
from cell.residency.residency import Churning, Lease, ModelTooLarge, NoRoom, Residency


class Machine(RuleBasedStateMachine):
    """Any order of asking, loading, keeping and releasing keeps the books right."""

    def __init__(self) -> None:
        super().__init__()
        self.residency: Residency[bytes]
        self.leases: list[Lease[bytes]] = []
        self.loading: set[bytes] = set()
        # What is resident, as the answers tell: size and group.
        self.known: dict[bytes, tuple[int, int | None]] = {}
        self.pinned: set[bytes] = set()
        self.floors: dict[int, int] = {}
        self.now = 0.0

    keys = st.integers(0, 9).map(lambda n: digest(str(n)))
    sizes = st.integers(0, 120)

    @initialize(name=st.sampled_from(list(POLICIES)))
    def choose(self, name: str) -> None:
        self.residency = Residency(100, POLICIES[name]())

    @rule(key=keys)
    def ask(self, key: bytes) -> None:
        self.now += 1
        lease = self.residency.lease(key, self.now)
        assert (lease is not None) == (key in self.known)
        if lease is not None:
            assert lease.model == key
            self.leases.append(lease)

    @rule(key=keys)
    def find(self, key: bytes) -> None:
        assert self.residency.find(key, self.now) == (key if key in self.known else None)

    @rule(key=keys, size=sizes, load_seconds=st.sampled_from([0.0, 0.5]), bulk=st.booleans())
    def begin(self, key: bytes, size: int, load_seconds: float, bulk: bool) -> None:
        if key in self.known or key in self.loading:
            return
        try:
            plan = self.residency.plan(size, now=self.now, load_seconds=load_seconds, bulk=bulk)
        except ModelTooLarge:
            assert size > self.residency.capacity
            return
        except NoRoom:
            self.check_no_room(size)
            return
        except Churning:
            assert load_seconds
            return
        assert self.residency.reserve(key, plan) == list(plan.victims)
        self.loading.add(key)
        self.see_off(plan.victims)

    @rule(data=st.data(), size=sizes, aged=st.booleans(), group=st.sampled_from([None, 1, 2]))
    def land(self, data: st.DataObject, size: int, aged: bool, group: int | None) -> None:
        if not self.loading:
            return
        key = data.draw(st.sampled_from(sorted(self.loading)))
        self.loading.discard(key)
        try:
            lease, gone = self.residency.admit(key, key, size, self.now, aged=aged, group=group)
        except (NoRoom, ModelTooLarge):
            assert key not in self.residency
            return
        self.see_off(gone)
        self.known[key] = (size, group)
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

    @rule(key=keys)
    def pin(self, key: bytes) -> None:
        if key not in self.known:
            return
        try:
            self.residency.pin(key)
        except KeptTooMuch:
            return
        self.pinned.add(key)

    @rule(key=keys)
    def unpin(self, key: bytes) -> None:
        self.residency.unpin(key)
        self.pinned.discard(key)

    @rule(data=st.data(), group=st.sampled_from([1, 2]))
    def enlist(self, data: st.DataObject, group: int) -> None:
        if self.known:
            key = data.draw(st.sampled_from(sorted(self.known)))
            self.residency.enlist(key, group)
            size, before = self.known[key]
            self.known[key] = (size, before or group)

    @rule(group=st.sampled_from([1, 2]), floor=st.sampled_from([0, 0, 10, 30]))
    def set_floor(self, group: int, floor: int) -> None:
        try:
            self.residency.set_floor(group, floor)
        except KeptTooMuch:
            return
        self.floors[group] = floor

    @rule(capacity=st.sampled_from([60, 100]))
    def resize(self, capacity: int) -> None:
        self.see_off(self.residency.resize(capacity))

    def see_off(self, gone: list[bytes] | tuple[bytes, ...]) -> None:
        """Nobody goes who is in use, pinned, or needed for a floor."""
        for key in gone:
            size, group = self.known.pop(key)
            assert key not in self.pinned
            assert group is None or self.bytes_of(group) >= self.floors.get(group, 0) or not size
        assert not {lease.digest for lease in self.leases if lease.digest in self.residency} & set(gone)

    def check_no_room(self, size: int) -> None:
        """Without floors, there is no room only if all who may go are too little."""
        if any(self.floors.values()):
            return
        held = self.pinned | {lease.digest for lease in self.leases}
        free = sum(size for key, (size, _) in self.known.items() if key not in held)
        assert self.residency.used + self.residency.reserved + size - free > self.residency.capacity

    def bytes_of(self, group: int) -> int:
        return sum(size for size, other in self.known.values() if other == group)

    @invariant()
    def within_capacity(self) -> None:
        used = self.residency.used + self.residency.reserved
        assert 0 <= used <= (max(self.residency.capacity, 100))

    @invariant()
    def the_same_are_resident_as_told(self) -> None:
        digests = resident(self.residency)
        assert sorted(digests) == sorted(self.known)
        assert len(self.residency) == len(self.known)
        if not self.leases:
            assert self.residency.used == sum(size for size, _ in self.known.values())

    @invariant()
    def pins_are_counted(self) -> None:
        kept = self.residency._floors.kept
        assert kept.pinned == sum(self.known[key][0] for key in self.pinned)
        assert kept.floors == sum(self.floors.values())

    @invariant()
    def nothing_is_held_when_nothing_loads(self) -> None:
        if not self.loading:
            assert self.residency.reserved == 0


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=150, stateful_step_count=50)
