"""The types with which Cython compiles attempt.py."""

cimport cython

from router.units cimport Unit, by_next_cell, settle, unsettled, untried

cdef class CellCall
cdef class Run


@cython.final
cdef class Attempts:
    cdef readonly object breakers
    cdef readonly object budget
    cdef readonly object wheel
    cdef readonly object clock
    cdef readonly double timeout
    cdef readonly object suspects
    cdef set troubled
    cdef object held
    cdef object missed
    cdef dict alone
    cdef object working
    cdef int apart


@cython.final
@cython.freelist(256)
cdef class CellCall:
    cdef readonly str cell
    cdef readonly list units
    cdef Run run
    cdef double started
    cdef double due
    cdef bint is_overdue
    cdef bint has_begun
    cdef object under_way

    cpdef object begin(self)
    @cython.locals(unit=Unit)
    cpdef object note_cold(self)
    cpdef object answer(self, bytes response)
    cpdef object fail(self, error)
    @cython.locals(unit=Unit)
    cdef set artifacts(self)
    cdef object end(self, bint is_answered, double now)


@cython.final
@cython.freelist(256)
cdef class Run:
    cdef public object slot
    cdef Attempts attempts
    cdef object exchange
    cdef double deadline
    cdef object ended
    cdef tuple args
    cdef list units
    cdef Py_ssize_t left
    cdef list calls
    cdef list waiting
    cdef double resume_at
    cdef double wait_until
    cdef bint has_lost
    cdef object after

    cpdef object cancel(self)
    @cython.locals(call=CellCall)
    cpdef object expire(self, double now)
    cdef object begin(self, list units, double now)
    @cython.locals(now=double, outcomes=list)
    cdef object answered(self, CellCall call, bytes response)
    @cython.locals(now=double, outcomes=list)
    cdef object failed(self, CellCall call, error)
    cdef object settle(self, CellCall call, list outcomes, double now)
    @cython.locals(unit=Unit, outcomes=list, is_alone=bint, is_culprit=bint)
    cdef list lose(self, CellCall call, error, double now)
    @cython.locals(unit=Unit, free=list, cells=tuple, is_last=bint)
    cdef list wait_for(self, str cell, list units, double now)
    @cython.locals(call=CellCall)
    cdef bint is_in_flight_to(self, str cell) except -1
    cdef object put_aside(self, Unit unit, double now, bint is_slow)
    @cython.locals(unit=Unit, let=list, cells=tuple, until=double, goes_alone=bint)
    cdef list let_in(self, str cell, list units, double now)
    cdef tuple waited_for(self, Unit unit, double now)
    @cython.locals(left=double)
    cdef double patience(self, bint is_last, double now) except -1
    @cython.locals(unit=Unit)
    cdef object note_answers(self, CellCall call, list outcomes, double now)
    @cython.locals(back=list, group=list)
    cdef object send(self, list units, double now, bint is_first)
    @cython.locals(left=double, call=CellCall)
    cdef object call(self, str cell, list units, double now, list back)
    cdef bint may_retry(self, double now) except -1
    @cython.locals(moment=double, call=CellCall)
    cdef object go_on(self)
    cdef object end_with(self, error)
    @cython.locals(call=CellCall, unit=Unit)
    cdef object end(self)
    cdef object note(self, CellCall call, error, double now)
    cdef bint is_at_work(self, CellCall call, double now) except -1
    @cython.locals(whole=bint)
    cdef object note_silence(self, CellCall call, double now)
