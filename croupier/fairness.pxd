"""The types with which Cython compiles fairness.py."""

cimport cython

cdef Py_ssize_t _priorities, _patience


@cython.final
cdef class Shares:
    cdef dict _served
    cdef set _waiting
    cdef readonly list _order
    cdef long long _entries
    cdef double _now

    cpdef join(self, owner)
    cpdef leave(self, owner)
    cpdef charge(self, owner, double cost)
    @cython.locals(passed=list, entry=tuple, served=double)
    cpdef next(self, may=*)
    cdef _push(self, owner)


@cython.final
cdef class Patience:
    cdef list _passed

    @cython.locals(all_=list)
    cpdef list order(self, list waiting)
    @cython.locals(priority=Py_ssize_t)
    cpdef turn(self, Py_ssize_t taken, list waiting)


@cython.final
cdef class Ranks:
    cdef list _shares
    cdef Patience _patience

    cpdef Py_ssize_t count(self, Py_ssize_t priority) except -1
    @cython.locals(shares=Shares)
    cpdef join(self, Py_ssize_t priority, owner)
    @cython.locals(shares=Shares)
    cpdef leave(self, Py_ssize_t priority, owner)
    @cython.locals(shares=Shares)
    cpdef charge(self, Py_ssize_t priority, owner, double cost)
    @cython.locals(shares=Shares, priority=Py_ssize_t)
    cpdef tuple next(self, may=*)
    cpdef turn(self, Py_ssize_t priority)
