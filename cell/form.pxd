from libc.stdint cimport uint8_t

from cell.plain cimport Plain

cdef class Output:
    """One output as it stands in answers: `infer` has its name and datatype encoded, `item` its name."""
    cdef bint is_label
    cdef bytes name
    cdef bytes infer
    cdef bytes item

cdef class Form:
    """How plain requests for models of one signature are filled in."""
    cdef readonly Py_ssize_t features
    cdef readonly Py_ssize_t columns
    cdef readonly bint has_label
    cdef bint _accepts_missing
    cdef bytes _input
    # Place of each feature by its name.
    cdef dict _places
    cdef list outputs

    cdef list chosen(self, Plain plain)
    cdef bint fill(self, Plain plain, float* rows, Py_ssize_t count) noexcept
    cdef bint _fill_named(self, Plain plain, float* row) noexcept
    cdef bint _read_features(self, Plain plain, float* row, uint8_t* seen) except -1
