from libc.stdint cimport uint32_t, uint64_t

cimport cython

cdef enum:
    # Tenants are told apart by so many slots, into which their owners are hashed.
    SLOTS = 64


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
    # What was placed there: since `since`, and a second before that.
    cdef Py_ssize_t taken
    cdef double since
    cdef double before
    # Of this period: by slot, the last answer's seconds, whether there was one, and whether it failed last.
    cdef float seconds[SLOTS]
    cdef uint64_t answered
    cdef uint64_t well
    cdef uint64_t failing

    cpdef object begin(self, int slot)
    cpdef object end(self, int slot)
    cpdef object note_answer(self, int slot, double seconds)
    cpdef object note_well(self, int slot)
    cpdef object note_failure(self, int slot)
    cdef void cap(self, Py_ssize_t most) noexcept
    cdef Py_ssize_t seen_by(self, int slot) noexcept
    cdef void take(self, double now) noexcept
    cpdef double rate(self, double now) noexcept


@cython.final
cdef class Loads:
    cdef dict _cells
    cdef readonly Py_ssize_t most_of_one

    cpdef object weigh_anew(self)
    cpdef CellLoad of(self, str cell)


cpdef double after(double estimate, double seconds) noexcept
