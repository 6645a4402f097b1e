"""The types with which Cython compiles losses.py."""

cimport cython

from router.units cimport Unit, unsettled


@cython.final
cdef class Losses:
    cdef object suspects
    cdef double deadline
    cdef list waiting
    cdef double resume_at
    cdef double wait_until

    cdef list resume(self)
    @cython.locals(unit=Unit, outcomes=list, is_alone=bint, is_culprit=bint)
    cdef list lose(self, str cell, list units, error, double now)
    @cython.locals(unit=Unit, free=list, cells=tuple, is_last=bint)
    cdef list wait_for(self, str cell, list units, in_flight, double now)
    @cython.locals(unit=Unit, let=list, cells=tuple, until=double, goes_alone=bint)
    cdef list let_in(self, str cell, list units, double now)
    cdef object put_aside(self, Unit unit, double now, bint is_slow)
    cdef tuple waited_for(self, Unit unit, double now)
    @cython.locals(left=double)
    cdef double patience(self, bint is_last, double now) except -1
