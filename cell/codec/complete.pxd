cimport cython
from libc.stdint cimport int32_t, uint8_t

from cell.codec.plain cimport Plain

cdef enum:
    NOT_LISTED = 0
    GIVEN = 1
    # There is no value, and no default.
    REFUSED = 2


@cython.final
cdef class Placement:
    """What a spec of fetched features means for models of one form."""
    cdef Py_ssize_t count
    cdef Py_ssize_t features
    # How many features of the model it lists; and by feature of the model, its place in the field, or -1.
    cdef Py_ssize_t covered
    cdef int32_t* columns
    # By place in the field.
    cdef double* low
    cdef double* high


@cython.final
cdef class Completion:
    """One row of fetched values, that named features are completed with."""
    cdef Placement placement
    # Into the request's message.
    cdef const uint8_t* row
    # To the next row; 0 where one holds for all.
    cdef Py_ssize_t stride
    cdef bint may_degrade
    cdef Py_ssize_t defaults
    cdef bint is_degraded

cdef Placement placement_in(dict known, object columns, Py_ssize_t features, Plain plain)
cdef bint complete_rows(Plain plain, Placement placement) except -1
cdef bint complete_named(Plain plain, Placement placement) except -1
cdef int give(Completion completion, Py_ssize_t place, double* value) noexcept
cdef bint allows(Completion completion, Py_ssize_t place, double value) noexcept
cdef void settle(Completion completion, Plain plain) noexcept
