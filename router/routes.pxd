from libc.stdint cimport uint64_t

cimport cython


@cython.final
cdef class Route:
    cdef readonly object model
    cdef readonly tuple choices
    cdef readonly tuple order
    cdef readonly tuple cells
    cdef readonly bytes owner
    # What its family wants of each request, if it has one; and whether that is features.
    cdef readonly object family
    cdef bint lacks
    # The owner's among the tenants that a cell tells apart: see `loads`.
    cdef int slot
    # How many of `cells`, from the first one on, may be chosen from by how busy they are; how many of these
    # serve the model now; how often it was asked for since when; and to which it moved: see `balance`.
    cdef readonly Py_ssize_t near
    cdef readonly Py_ssize_t copies
    cdef Py_ssize_t asked
    cdef double since
    cdef uint64_t moved
    # What 95 of 100 calls for it take, of how many; and which of `order` have answered it since `warm_since`,
    # and in the minute before that: see `hedges`.
    cdef public double tail
    cdef public Py_ssize_t timed
    cdef public unsigned int warm
    cdef public unsigned int warm_before
    cdef public double warm_since
    cdef Py_ssize_t owner_size
    # The generation that dealt it; 0: nobody is told.
    cdef readonly object generation
    cdef Py_ssize_t generation_size
    cdef tuple suffixes
    # Where there is no choice. Each further object to look at is one that the processor's cache may
    # not hold.
    cdef bytes suffix
    cdef uint64_t epoch
    # What records of its first choice say alike, once there was one: see `log`.
    cdef bytes line
    # Where its tenant stands on the ramp, and whether the newer generation deals to it.
    cdef readonly int point
    cdef bint is_taken_over
    # What its first choice is called where what came of its requests is counted, and all if there are more;
    # and in which rows, as of that change of who is counted at all: see `tallies`.
    cdef str version_name
    cdef tuple version_names
    cdef uint64_t counted_as
    cdef Py_ssize_t tenant_row
    cdef Py_ssize_t version_row
    cdef tuple version_rows
