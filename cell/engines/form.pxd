from libc.stdint cimport uint8_t

from cell.engines.transform_layout cimport TransformView
from cell.codec.plain cimport Plain

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
    # Rows of float64 are scored as such; else they are narrowed.
    cdef readonly bint is_wide
    cdef bint _accepts_missing
    cdef bint _is_finite
    cdef bint _is_complete
    # Nothing but infinity lies beyond float32.
    cdef bint _is_bounded
    # Every feature is an input of its own: named ones are plain, tensors and dense rows are not.
    cdef bint _is_apart
    cdef bytes _input
    # Place of each feature by its name.
    cdef dict _places
    # The same of all features, by their names as text.
    cdef object _columns
    # What specs of fetched features mean, by their bytes.
    cdef dict _placements
    cdef list outputs

    cdef bint complete(self, Plain plain) except -1
    cdef list chosen(self, Plain plain)
    cdef bint fill(
        self, Plain plain, void* rows, Py_ssize_t count, bint as_double, const TransformView* transform
    ) noexcept
    cdef bint _fill(
        self, Plain plain, void* rows, Py_ssize_t count, bint as_double, const TransformView* transform
    ) noexcept
    cdef bint _fill_each(self, Plain plain, void* rows, Py_ssize_t count, bint as_double) noexcept
    cdef bint _put(self, double value, Py_ssize_t place, void* row, bint as_double) noexcept nogil
    cdef bint _fill_named(
        self, Plain plain, void* row, bint as_double, const TransformView* transform
    ) noexcept
    cdef bint _fill_rest(
        self, Plain plain, void* row, bint as_double, const TransformView* transform, const uint8_t* seen
    ) noexcept
    cdef bint _read_features(
        self, Plain plain, void* row, bint as_double, const TransformView* transform, uint8_t* seen
    ) except -1
