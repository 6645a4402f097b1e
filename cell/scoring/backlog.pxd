"""The types with which Cython compiles backlog.py."""

cimport cython

from croupier.fairness cimport Ranks


@cython.final
cdef class Backlog:
    cdef Ranks _ranks
    cdef list _codels
    cdef dict _calls

    @cython.locals(refused=list, who=tuple)
    cpdef list put(self, calls, double now)
    @cython.locals(who=tuple)
    cpdef tuple take(self, double now)
    cpdef charge(self, tuple who, double cost)
