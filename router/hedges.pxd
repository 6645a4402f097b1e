"""The types with which Cython compiles hedges.py."""

cimport cython

from router.loads cimport CellLoad, after
from router.remembered cimport Route

cdef double _warm, _floor, _never
cdef Py_ssize_t _enough, _most_cells


@cython.final
cdef class Hedges:
    cdef readonly double share
    cdef readonly double most
    cdef public double tokens

    cpdef object deposit(self)
    cpdef bint take(self, budget, double now) except -1


cpdef object note_answer(Route route, str cell, double seconds, bint is_cold, double now)


@cython.locals(tail=double)
cpdef double patience(Route route, CellLoad load, str cell, double now) except -1


@cython.locals(order=tuple, place=Py_ssize_t, count=Py_ssize_t)
cdef unsigned int _bit(Route route, str cell) except? 0
