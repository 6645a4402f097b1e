"""What this router has each cell do: calls in flight and how long they take, by its own count.

    begin ──▶ in flight, one more ──▶ end, however it ends ──▶ one fewer
                                       └─ before that: answered after so long, or with an error; or failed

By its own count alone: what cells report is a second old when it arrives, and of what others sent them too.

**No tenant speaks for a cell.** Tenants are told apart by slots, into which their owners are hashed. What one
has in flight counts to others for no more than what a cell has in the mean, and to itself wholly (`seen_by`):
so whoever sends a cell very much moves its own requests on, and hardly those of others. In a period each slot
has one latency and one outcome, the last ones (`turn`): so one slow model, or one that always fails, is one
voice of many, however often it is asked.

**What one holds keeps nobody out.** Whoever most refusals of a cell are for, or has much of what is in flight
when its limit begins, floods it: others are let in as if it had nothing there, and beyond that as many calls
as tenants were answered lately (`has_room`). How many calls a tenant has is told by two hashes of it, of
which the lesser counts: one that shares a slot with whoever floods is not taken for it.

**How long a queue is** is told by the shortest answer that each slot had for a while, beside the shortest
that it has while a cell has next to nothing to do: what waited least, waited for the queue (`look`).
`concurrency.py` makes of it how many calls the cell may have in flight, and `has_room` keeps to that.

Native, because every call comes here twice; a few additions each time, and nothing is allocated.
"""

cimport cython
from cpython.dict cimport PyDict_GetItemWithError
from cpython.ref cimport PyObject
from libc.stdint cimport uint32_t, uint64_t

from croupier.priorities import PARTS

cdef enum:
    # One answer's part of the smoothed latency: one of so many.
    _SMOOTHED_OVER = 16
    # A tenant counts to others for so many calls, however few a cell has in the mean.
    _LEAST_OF_ONE = 8
    # Answers that say something of a queue, that do so in a short time, and calls that came without one.
    _ENOUGH = 8
    _MANY = 32
    _GROWN = 16
    # Calls that a tenant may have at a late cell while others have fewer.
    _A_FEW = 8
    # One that no caller waits for any more, of so many answers, is one too many.
    _MANY_LOST = 8
    # A tenant floods a cell that is refused so much more often than all others together; counted up to a
    # bound, and half as much in each next period.
    _FLOOD = 4
    _MOST_VOTES = 64
    # Or that has one of so many calls in flight, and more than a few, when a limit begins.
    _PART_OF_FLOOD = 4

cdef double _RATE_SECONDS = 1.0

# How long the shortest answer is looked for: until there are enough answers, and no longer than that. While
# nothing is limited a shorter time will do if there are very many: what is let through then has to be worked
# off.
cdef double _PERIOD, _LONGEST_PERIOD, _SHORTEST_PERIOD
_PERIOD, _LONGEST_PERIOD, _SHORTEST_PERIOD = 0.1, 0.3, 0.03
# What an answer may take beside what it takes without a queue: so many seconds, or so many times of that.
cdef double _SLACK, _TIMES
_SLACK, _TIMES = 0.05, 1.0
# How fast the latter follows what has become slower: while few are in flight; while they are few since there
# is a limit; and while they are many.
cdef double _FOLLOW, _FOLLOW_LIMITED, _DRIFT
_FOLLOW, _FOLLOW_LIMITED, _DRIFT = 1 / 16.0, 1 / 128.0, 1 / 1024.0
# As if an answer took so many times what it may: a cell refused a tenant since it is overloaded, and answered
# nothing else.
cdef double _REFUSED = 0.4
# Of a cell's limit, what may be in flight beyond it, of tenants that have nothing else there.
cdef double _BEYOND = 0.25
# Of a cell's limit, what the requests of each priority and those above it may have (`croupier.priorities`).
cdef double[5] _PARTS
_PARTS[:] = PARTS

# The estimate of what 95 of 100 take: what it begins at, of the first answer, and its steps.
cdef double _FIRST_TAIL = 2.0
cdef double _UP = 1.1
cdef double _DOWN = _UP ** (-5 / 95.0)


@cython.final
cdef class CellLoad:
    """What one cell is doing; `latency` in seconds is smoothed, without cold loads, 0.0 before any answer."""

    def __init__(self, str cell not None, limiter=None):
        self.cell, self.most_of_one, self.limiter = cell, _LEAST_OF_ONE, limiter

    cpdef object begin(self, int slot):
        """A call of the tenant at `slot` starts."""
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        if self.slots[slot % SLOTS] < <uint32_t>self.most_of_one:
            self.shared += 1
        self.slots[slot % SLOTS] += 1
        self.again[slot // SLOTS % AGAIN] += 1

    cpdef object end(self, int slot):
        """It is over, however it ended."""
        self.in_flight -= 1
        self.slots[slot % SLOTS] -= 1
        self.again[slot // SLOTS % AGAIN] -= 1
        if self.slots[slot % SLOTS] < <uint32_t>self.most_of_one:
            self.shared -= 1

    cpdef object note_answer(self, int slot, double seconds):
        """The cell answered after so many seconds, and had loaded nothing for it."""
        if self.latency:
            self.latency += (seconds - self.latency) / _SMOOTHED_OVER
        else:
            self.latency = seconds
        self.tail = after(self.tail, seconds)
        self.done += 1
        self.seconds[slot % SLOTS] = seconds
        self.answered |= <uint64_t>1 << (slot % SLOTS)
        self.served |= <uint64_t>1 << (slot % SLOTS)
        self.note_well(slot)

    cpdef object note_well(self, int slot):
        """It answered: with an error that is the caller's, or after a load."""
        self.well |= <uint64_t>1 << (slot % SLOTS)
        self.failing &= ~(<uint64_t>1 << (slot % SLOTS))

    cpdef object note_failure(self, int slot):
        """It did not answer, or could not."""
        self.failing |= <uint64_t>1 << (slot % SLOTS)
        self.well &= ~(<uint64_t>1 << (slot % SLOTS))

    cpdef object note_delay(self, int slot, double seconds):
        """An answer took so long, and nothing of it was a load or a long run."""
        self.heard += 1
        if seconds < self.least[slot % SLOTS] or not self.least[slot % SLOTS]:
            self.least[slot % SLOTS] = seconds

    cpdef object note_late(self, int slot, double seconds, bint is_lost=False):
        """There was no answer for so long, though nothing has to be loaded; or, if it `is_lost`, in time.

        It counts if it is late by then: callers that give up at once say nothing of a cell.
        """
        if seconds > _allowed(self.usual[slot % SLOTS]):
            self.note_delay(slot, seconds)
            self.lost += is_lost

    cpdef object note_overload(self, int slot):
        """The cell said that it has too much to do."""
        self.heard += 1
        self.told |= <uint64_t>1 << (slot % SLOTS)

    cpdef bint has_room(self, int slot, int priority) noexcept:
        """Whether the tenant at `slot` may have one more call in flight there.

        It may have as many as are left: the last ones are for who has none, whoever wants all of them. A few
        it may have in any case, as long as there are any: who waits for an answer asks for no more. And who
        has none finds a place beyond the limit: whoever fills a cell keeps nobody out.
        """
        cdef double most = self.limit * _PARTS[priority], left = most - self.in_flight
        cdef Py_ssize_t own = self.own(slot), others
        if not self.limit or own < left:
            return True
        if left > 0:
            return own < min(_A_FEW, most / 2)
        if not own and not priority and left > -_BEYOND * most:
            return True
        if self.votes < _FLOOD or slot == self.flooding:
            return False
        if own >= min(_A_FEW, most / 2):
            return False
        others = self.in_flight - self.own(self.flooding)
        return others < most or (not priority and others < _ones(self.served | self.served_before))

    cdef Py_ssize_t own(self, int slot) noexcept:
        """How many calls the tenant at `slot` has in flight; more only where others share both its slots."""
        return min(self.slots[slot % SLOTS], self.again[slot // SLOTS % AGAIN])

    cpdef object refuse(self, int slot):
        """A prediction of the tenant at `slot` had no room."""
        self.refused += 1
        # Whoever is refused more often than all others is left in the end (Boyer and Moore, 1981).
        if slot == self.flooding:
            self.votes = min(self.votes + 1, _MOST_VOTES)
        elif self.votes:
            self.votes -= 1
        else:
            self.flooding, self.votes = slot, 1

    cdef void find_flood(self) noexcept:
        """When a limit begins, nobody was refused yet: who has much of what is in flight."""
        cdef int at, slot = 0, again = 0
        for at in range(SLOTS):
            if self.slots[at] > self.slots[slot]:
                slot = at
        for at in range(AGAIN):
            if self.again[at] > self.again[again]:
                again = at
        slot += again * SLOTS
        if self.own(slot) > _A_FEW and self.own(slot) * _PART_OF_FLOOD >= self.in_flight:
            # As if refused: so that it holds in the next period as well.
            self.flooding, self.votes = slot, 2 * _FLOOD

    cpdef object look(self, double now):
        """If a period is over, find out how many calls may be in flight in the next one."""
        cdef double seconds = 0.0, room, fit, before = self.limit
        if now < self.due or now < self.began + self.wanted():
            return
        if self.limiter is not None and (self.limit or self.most > FEW):
            room = self.room(&seconds)
            fit = self.done / (now - self.began) * room * seconds
            self.limit = self.limiter.after(
                self.limit, room, fit, self.most, self.refused, now, self.lost * _MANY_LOST > self.done
            )
        self.votes //= 2
        if self.limit and not before:
            self.find_flood()
        self.learn()
        self.served_before, self.served = self.served, 0
        self.began, self.due = now, now + _SHORTEST_PERIOD
        self.first, self.most, self.told = self.in_flight, self.in_flight, 0
        self.done = self.heard = self.refused = self.lost = 0

    cdef double wanted(self) noexcept:
        """How long the period should be, after what was heard in it."""
        if self.heard < _ENOUGH and (self.limit or not self.has_grown()):
            return _LONGEST_PERIOD
        return _PERIOD if self.limit or self.heard < _MANY else _SHORTEST_PERIOD

    cdef bint has_grown(self) noexcept:
        return self.in_flight - self.first >= max(_GROWN, self.first // 4)

    cdef double room(self, double* seconds) noexcept:
        """What answers may take over what the shortest took: the median of the tenants, and its `seconds`.

        Below 1, there is a queue that is too long. 0.0: nobody was answered, or refused.
        """
        cdef double rooms[SLOTS]
        cdef double took[SLOTS]
        cdef Py_ssize_t count = 0
        cdef int slot
        for slot in range(SLOTS):
            if self.least[slot]:
                _insert(rooms, count, _allowed(self.usual[slot] or self.least[slot]) / self.least[slot])
                _insert(took, count, self.least[slot])
                count += 1
            elif self.told >> slot & 1:
                _insert(rooms, count, _REFUSED)
                _insert(took, count, 0.0)
                count += 1
        if not count:
            return 0.0
        seconds[0] = took[count // 2]
        return rooms[count // 2]

    cdef void learn(self) noexcept:
        """What was shortest in the period is what is usual, if it is shorter; or while there is no queue."""
        cdef double follow
        if self.limit:
            follow = _FOLLOW_LIMITED if self.most <= FEW else 0.0
        else:
            follow = _FOLLOW if self.most <= FEW else _DRIFT
        cdef int slot
        for slot in range(SLOTS):
            if self.least[slot]:
                if not self.usual[slot] or self.least[slot] < self.usual[slot]:
                    self.usual[slot] = self.least[slot]
                else:
                    self.usual[slot] += follow * (self.least[slot] - self.usual[slot])
                self.least[slot] = 0.0

    cdef Py_ssize_t seen_by(self, int slot) noexcept:
        """What it has in flight as the tenant at `slot` should see it."""
        cdef Py_ssize_t own = self.slots[slot % SLOTS]
        return self.shared + own - self.most_of_one if own > self.most_of_one else self.shared

    cdef void cap(self, Py_ssize_t most) noexcept:
        cdef int slot
        self.most_of_one, self.shared = most, 0
        for slot in range(SLOTS):
            self.shared += min(<Py_ssize_t>self.slots[slot], most)

    cdef void take(self, double now) noexcept:
        """A prediction is to go there."""
        if now - self.since >= _RATE_SECONDS:
            self.before, self.taken, self.since = self.rate(now), 0, now
        self.taken += 1

    cpdef double rate(self, double now) noexcept:
        """How many predictions a second go there."""
        if not self.since or now - self.since < _RATE_SECONDS:
            return self.before
        return self.taken / (now - self.since)

    def weigh(self, int slot):
        """The same, for whom is not native."""
        return self.seen_by(slot)

    def turn(self):
        """How many tenants were well served in the period, how many were not, and how long it took for them.

        As (well, failing, timed, seconds): `timed` tenants have a latency, whose median is `seconds`, 0.0
        without one. A new period begins.
        """
        cdef double ordered[SLOTS]
        cdef Py_ssize_t count = 0
        cdef int slot
        for slot in range(SLOTS):
            if self.answered >> slot & 1:
                _insert(ordered, count, self.seconds[slot])
                count += 1
        told = _ones(self.well), _ones(self.failing), count, ordered[count // 2] if count else 0.0
        self.answered = self.well = self.failing = 0
        return told


@cython.final
cdef class Loads:
    """The load of each cell that was called; `limiter` makes what limits one, None: nothing does."""

    def __init__(self, limiter=None):
        self._cells, self.most_of_one, self._limiter = {}, _LEAST_OF_ONE, limiter

    def __len__(self):
        return len(self._cells)

    def __iter__(self):
        return iter(self._cells.values())

    cpdef CellLoad of(self, str cell):
        """The load of a cell, for as long as it is the same process at the same place."""
        cdef PyObject* known = PyDict_GetItemWithError(self._cells, cell)
        cdef CellLoad found
        if known != NULL:
            return <CellLoad>known
        found = self._cells[cell] = CellLoad(cell, None if self._limiter is None else self._limiter())
        found.cap(self.most_of_one)
        return found

    cpdef object weigh_anew(self):
        """Have a tenant count for what cells have in the mean by now, as others see them."""
        cdef Py_ssize_t total = 0
        for load in self._cells.values():
            total += (<CellLoad>load).shared
        # Half of it as before: the mean of one moment is chance.
        self.most_of_one = max(_LEAST_OF_ONE, (self.most_of_one + total // max(1, len(self._cells))) // 2)
        for load in self._cells.values():
            (<CellLoad>load).cap(self.most_of_one)

    def in_flight(self, str cell not None):
        """How many calls it has that have not ended."""
        found = self._cells.get(cell)
        return 0 if found is None else (<CellLoad>found).in_flight

    def latency(self, str cell not None):
        """How many seconds its answers take, smoothed, without cold loads; 0.0: not known."""
        found = self._cells.get(cell)
        return 0.0 if found is None else (<CellLoad>found).latency

    def limit(self, str cell not None):
        """How many calls it may have in flight; 0.0: as many as come."""
        found = self._cells.get(cell)
        return 0.0 if found is None else (<CellLoad>found).limit

    def forget(self, cells):
        """They are at other addresses now, or gone. Calls that are under way end where they began."""
        for cell in cells:
            found = self._cells.pop(cell, None)
            if found is not None and (<CellLoad>found).limiter is not None:
                (<CellLoad>found).limiter.forget((<CellLoad>found).limit)


cpdef double after(double estimate, double seconds) noexcept:
    """What 95 of 100 calls take, after one that took `seconds`; 0.0 before the first.

    It grows by a tenth with each that took longer, and shrinks so much less with the others that it stays
    where one of twenty takes longer (Ma, Muthukrishnan and Sandler, "Frugal Streaming for Estimating
    Quantiles", 2013).
    """
    if not estimate:
        return _FIRST_TAIL * seconds
    return estimate * (_UP if seconds > estimate else _DOWN)


cdef double _allowed(double usual) noexcept:
    """What an answer may take that takes `usual` seconds without a queue."""
    return usual + max(_SLACK, _TIMES * usual)


cdef void _insert(double* ordered, Py_ssize_t count, double value) noexcept:
    """Put a value into its place among `count` others: they are few."""
    cdef Py_ssize_t at = count
    while at and ordered[at - 1] > value:
        ordered[at] = ordered[at - 1]
        at -= 1
    ordered[at] = value


cdef int _ones(uint64_t bits) noexcept:
    cdef int count = 0
    while bits:
        bits &= bits - 1
        count += 1
    return count
