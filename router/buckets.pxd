"""The types with which Cython compiles buckets.py."""

cimport cython

cdef class Account


@cython.final
cdef class Bucket:
    cdef readonly double step
    cdef readonly double depth
    cdef readonly double full_at

    cpdef double wait(self, double now)
    cpdef double wait_behind(self, double cost, double now)
    cpdef take(self, double cost, double now)
    @cython.locals(step=double, owed=double, depth=double, debt=double)
    cpdef change(self, double rate, double now)
    cpdef double fill(self, double now)


@cython.final
@cython.freelist(256)
cdef class Account:
    cdef readonly str tenant
    cdef readonly Py_ssize_t in_flight
    cdef readonly Py_ssize_t most
    cdef unsigned long long epoch
    cdef readonly bint is_limited
    cdef bint is_listed
    cdef readonly double share
    cdef readonly object limits
    cdef readonly Bucket rate
    cdef readonly Bucket volume
    cdef readonly Bucket rows
    cdef readonly Bucket cold

    cpdef bint is_empty(self, double now)
    cpdef bint is_full(self, double now)
    cpdef tuple longest(self, double now)
    cpdef list buckets(self)
    cpdef bint charge(self, Py_ssize_t requests, double rows, double now)
    cpdef give_back(self, Py_ssize_t requests, Py_ssize_t size, double rows, double now)
    cpdef set(self, limits, double share, Py_ssize_t most, double began, double now)


cdef Bucket _changed(Bucket bucket, limit, double share, double began, double now)


@cython.final
cdef class Buckets:
    cdef public Py_ssize_t limit
    cdef public Py_ssize_t per_tenant
    cdef readonly Py_ssize_t in_flight
    cdef readonly dict accounts
    cdef object _refuse
    cdef double _began
    cdef Py_ssize_t _room
    cdef Py_ssize_t _most
    cdef object _limits
    cdef object _own
    cdef list _spare
    cdef object _share_of
    cdef unsigned long long _epoch
    cdef list _listed
    cdef Py_ssize_t _hand

    @cython.locals(account=Account)
    cpdef Account enter(self, str tenant, Py_ssize_t size, double now, int priority=*)
    @cython.locals(account=Account)
    cpdef check(self, str tenant, Py_ssize_t ahead, double now)
    cpdef leave(self, Account account)
    @cython.locals(account=Account)
    cdef Account _with_room(self, str tenant, double now, int priority)
    @cython.locals(account=Account)
    cpdef list at_most(self)
    @cython.locals(account=Account)
    cdef Account _open(self, str tenant, double now)
    @cython.locals(share=double)
    cdef _look_at(self, Account account, double now)
    @cython.locals(old=Account)
    cdef _list(self, Account account, double now)
    cdef _forget(self, Account account)
    cdef _let_go(self, Account account)
    cdef _refusal(self, Account account, double now)
