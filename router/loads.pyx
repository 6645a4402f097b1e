"""What this router has each cell do: calls in flight and how long they take, by its own count.

    begin ──▶ in flight, one more ──▶ end, however it ends ──▶ one fewer
                                       └─ before that: answered after so long, or with an error; or failed

By its own count alone: what cells report is a second old when it arrives, and of what others sent them too.

**No tenant speaks for a cell.** Tenants are told apart by slots, into which their owners are hashed. What one
has in flight counts to others for no more than what a cell has in the mean, and to itself wholly (`seen_by`):
so whoever sends a cell very much moves its own requests on, and hardly those of others. In a period each slot
has one latency and one outcome, the last ones (`turn`): so one slow model, or one that always fails, is one
voice of many, however often it is asked.

Native, because every call comes here twice; a few additions each time, and nothing is allocated.
"""

cimport cython
from cpython.dict cimport PyDict_GetItemWithError
from cpython.ref cimport PyObject
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    # One answer's part of the smoothed latency: one of so many.
    _SMOOTHED_OVER = 16
    # A tenant counts to others for so many calls, however few a cell has in the mean.
    _LEAST_OF_ONE = 8

cdef double _RATE_SECONDS = 1.0

# The estimate of what 95 of 100 take: what it begins at, of the first answer, and its steps.
cdef double _FIRST_TAIL = 2.0
cdef double _UP = 1.1
cdef double _DOWN = _UP ** (-5 / 95.0)


@cython.final
cdef class CellLoad:
    """What one cell is doing; `latency` in seconds is smoothed, without cold loads, 0.0 before any answer."""

    def __init__(self, str cell not None):
        self.cell, self.most_of_one = cell, _LEAST_OF_ONE

    cpdef object begin(self, int slot):
        """A call of the tenant at `slot` starts."""
        self.in_flight += 1
        if self.slots[slot % SLOTS] < <uint32_t>self.most_of_one:
            self.shared += 1
        self.slots[slot % SLOTS] += 1

    cpdef object end(self, int slot):
        """It is over, however it ended."""
        self.in_flight -= 1
        self.slots[slot % SLOTS] -= 1
        if self.slots[slot % SLOTS] < <uint32_t>self.most_of_one:
            self.shared -= 1

    cpdef object note_answer(self, int slot, double seconds):
        """The cell answered after so many seconds, and had loaded nothing for it."""
        if self.latency:
            self.latency += (seconds - self.latency) / _SMOOTHED_OVER
        else:
            self.latency = seconds
        self.tail = after(self.tail, seconds)
        self.seconds[slot % SLOTS] = seconds
        self.answered |= <uint64_t>1 << (slot % SLOTS)
        self.note_well(slot)

    cpdef object note_well(self, int slot):
        """It answered: with an error that is the caller's, or after a load."""
        self.well |= <uint64_t>1 << (slot % SLOTS)
        self.failing &= ~(<uint64_t>1 << (slot % SLOTS))

    cpdef object note_failure(self, int slot):
        """It did not answer, or could not."""
        self.failing |= <uint64_t>1 << (slot % SLOTS)
        self.well &= ~(<uint64_t>1 << (slot % SLOTS))

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
        cdef Py_ssize_t count = 0, at
        cdef int slot
        for slot in range(SLOTS):
            if self.answered >> slot & 1:
                # Insertion: they are few.
                at = count
                while at and ordered[at - 1] > self.seconds[slot]:
                    ordered[at] = ordered[at - 1]
                    at -= 1
                ordered[at] = self.seconds[slot]
                count += 1
        told = _ones(self.well), _ones(self.failing), count, ordered[count // 2] if count else 0.0
        self.answered = self.well = self.failing = 0
        return told


@cython.final
cdef class Loads:
    """The load of each cell that was called."""

    def __cinit__(self):
        self._cells, self.most_of_one = {}, _LEAST_OF_ONE

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
        found = self._cells[cell] = CellLoad(cell)
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

    def forget(self, cells):
        """They are at other addresses now, or gone. Calls that are under way end where they began."""
        for cell in cells:
            self._cells.pop(cell, None)


cpdef double after(double estimate, double seconds) noexcept:
    """What 95 of 100 calls take, after one that took `seconds`; 0.0 before the first.

    It grows by a tenth with each that took longer, and shrinks so much less with the others that it stays
    where one of twenty takes longer (Ma, Muthukrishnan and Sandler, "Frugal Streaming for Estimating
    Quantiles", 2013).
    """
    if not estimate:
        return _FIRST_TAIL * seconds
    return estimate * (_UP if seconds > estimate else _DOWN)


cdef int _ones(uint64_t bits) noexcept:
    cdef int count = 0
    while bits:
        bits &= bits - 1
        count += 1
    return count
