"""The types with which Cython compiles attempt.py."""

cimport cython

from router.hedges cimport Hedges, note_answer, patience
from router.loads cimport CellLoad, Loads
from router.losses cimport Losses
from router.units cimport Unit, by_next_cell, settle, unsettled, untried

cdef double _never

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
    cdef readonly Loads loads
    cdef readonly Hedges hedges
    cdef set troubled
    cdef object held
    cdef object missed
    cdef dict alone
    cdef double look_at
    cdef readonly object pushbacks
    cdef object working


@cython.final
@cython.freelist(256)
cdef class CellCall:
    cdef readonly str cell
    cdef readonly list units
    cdef Run run
    cdef CellLoad load
    cdef int slot
    cdef bint is_cold
    cdef double hedge_at
    cdef CellCall partner
    cdef bint is_hedge
    cdef bint is_hedged
    cdef bint is_warm
    cdef readonly double started
    cdef double due
    cdef bint is_overdue
    cdef bint has_begun
    cdef object under_way

    cpdef object begin(self)
    @cython.locals(unit=Unit)
    cdef object start(self, double left)
    @cython.locals(unit=Unit)
    cpdef object note_cold(self, list places=*)
    cpdef object answer(self, bytes response)
    cpdef object fail(self, error)
    @cython.locals(unit=Unit, seconds=double)
    cdef object note_answer(self, double now)
    cdef object give_way(self, double now)
    cdef object note_late(self, double now)
    cdef object note_lost(self, double now)
    cdef object note_overload(self)
    cdef bint part(self) except -1
    cdef object note_error(self, bint is_cells)
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
    cdef Losses losses
    cdef object after

    cpdef object cancel(self)
    @cython.locals(call=CellCall)
    cpdef object expire(self, double now)
    cdef object begin(self, list units, double now)
    @cython.locals(now=double, outcomes=list)
    cdef object answered(self, CellCall call, bytes response)
    @cython.locals(now=double, outcomes=list)
    cdef object failed(self, CellCall call, error)
    @cython.locals(has_other=bint)
    cdef object settle(self, CellCall call, list outcomes, double now)
    @cython.locals(unit=Unit, attempts=Attempts, load=CellLoad, other=CellCall, before=Py_ssize_t)
    cdef object hedge(self, CellCall call, double now)
    @cython.locals(call=CellCall)
    cdef list wait_for(self, str cell, list units, double now)
    cdef Losses with_losses(self)
    cdef bint is_waiting(self) except -1
    @cython.locals(back=list, group=list)
    cdef object send(self, list units, double now, bint is_first)
    @cython.locals(left=double, call=CellCall)
    cdef object call(self, str cell, list units, double now, list back)
    cdef bint may_retry(self, str cell, Unit unit, double now) except -1
    @cython.locals(moment=double, call=CellCall)
    cdef object go_on(self)
    cdef object end_with(self, error)
    @cython.locals(call=CellCall, unit=Unit, now=double)
    cdef object end(self)
    cdef object note(self, CellCall call, error, double now)
    cdef object note_answers(self, CellCall call, outcomes, double now)
    cdef bint is_at_work(self, CellCall call, double now) except -1
    @cython.locals(whole=bint)
    cdef object note_silence(self, CellCall call, double now)
