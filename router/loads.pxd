from libc.stdint cimport uint32_t, uint64_t

cimport cython

cpdef enum:
    # So many in flight make no queue: a cell works on some, and has the next ones at hand.
    FEW = 4

cdef enum:
    # Tenants are told apart by so many slots, into which their owners are hashed.
    SLOTS = 64
    # And once more by another part of the hash, which numbers of slots from SLOTS on have.
    AGAIN = 256


@cython.final
cdef class CellLoad:
    cdef readonly str cell
    cdef readonly Py_ssize_t in_flight
    cdef readonly double latency
    # What 95 of 100 calls take: see `hedges`.
    cdef readonly double tail
    # Of `in_flight`, what counts for everybody.
    cdef Py_ssize_t shared
    # What one tenant has above this counts for itself alone.
    cdef Py_ssize_t most_of_one
    cdef uint32_t slots[SLOTS]
    cdef uint32_t again[AGAIN]
    # What was placed there: since `since`, and a second before that.
    cdef Py_ssize_t taken
    cdef double since
    cdef double before
    # Of this period: by slot, the last answer's seconds, whether there was one, and whether it failed last.
    cdef float seconds[SLOTS]
    cdef uint64_t answered
    cdef uint64_t well
    cdef uint64_t failing
    # How many calls it may have in flight, 0 for as many as come; who finds that out: see `concurrency`.
    cdef readonly double limit
    cdef readonly object limiter
    # Of the limit's period: from when to when; in flight when it began, and at most; how much was answered,
    # heard of, not let in, and not answered in time. By slot: whether the cell said that it is overloaded,
    # the shortest answer, and what that is without a queue; 0: there was none.
    cdef double began
    cdef double due
    cdef Py_ssize_t first
    cdef Py_ssize_t most
    cdef Py_ssize_t done
    cdef Py_ssize_t heard
    cdef Py_ssize_t refused
    cdef Py_ssize_t lost
    cdef uint64_t told
    cdef float least[SLOTS]
    cdef float usual[SLOTS]
    # Who was answered in this period, and in the one before. Who floods the cell, if it has enough votes.
    cdef uint64_t served
    cdef uint64_t served_before
    cdef int flooding
    cdef int votes

    cpdef object begin(self, int slot)
    cpdef object end(self, int slot)
    cpdef object note_answer(self, int slot, double seconds)
    cpdef object note_well(self, int slot)
    cpdef object note_failure(self, int slot)
    cpdef object note_delay(self, int slot, double seconds)
    cpdef object note_late(self, int slot, double seconds, bint is_lost=*)
    cpdef object note_overload(self, int slot)
    cpdef bint has_room(self, int slot, int priority) noexcept
    cdef Py_ssize_t own(self, int slot) noexcept
    cpdef object refuse(self, int slot)
    cdef void find_flood(self) noexcept
    cpdef object look(self, double now)
    cdef double wanted(self) noexcept
    cdef bint has_grown(self) noexcept
    cdef void learn(self) noexcept
    cdef double room(self, double* seconds) noexcept
    cdef void cap(self, Py_ssize_t most) noexcept
    cdef Py_ssize_t seen_by(self, int slot) noexcept
    cdef void take(self, double now) noexcept
    cpdef double rate(self, double now) noexcept


@cython.final
cdef class Loads:
    cdef dict _cells
    cdef object _limiter
    cdef readonly Py_ssize_t most_of_one

    cpdef object weigh_anew(self)
    cpdef CellLoad of(self, str cell)


cpdef double after(double estimate, double seconds) noexcept
