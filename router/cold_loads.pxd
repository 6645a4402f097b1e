"""The types with which Cython compiles cold_loads.py."""

cimport cython

from router.buckets cimport Account
from router.units cimport Unit


@cython.final
cdef class ColdLoads:
    cdef object _admission
    cdef object _charged

    @cython.locals(unit=Unit)
    cpdef ended(self, Account account, list units, double arrived, double now)
    cdef _refusal(self, Account account, double now)


cdef bint _is_refused(Unit unit)
cdef bint _may_be_cold(Unit unit)
