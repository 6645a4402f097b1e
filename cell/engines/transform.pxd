"""What a pipeline does before its estimator; see transform.pyx. Every view is of a checked block."""

from libc.stdint cimport uint32_t

from cell.engines.transform_layout cimport TransformView

# Why a raw row is refused.
cdef enum:
    NOT_REFUSED = 0
    MISSING_REFUSED = 1
    INFINITE_REFUSED = 2
    UNKNOWN_REFUSED = 3
    TOO_LARGE_REFUSED = 4

cdef const char* check_block(const unsigned char* data, Py_ssize_t size, TransformView* view) noexcept nogil
# The columns of one raw row, all of them.
cdef void apply(const TransformView* view, const double* raw, double* columns) noexcept nogil
# The number of a text in the dictionary of a text feature; -1 if it is not there.
cdef double code_of(
    const TransformView* view, uint32_t feature, const char* text, Py_ssize_t size
) noexcept nogil
# Why a raw row is refused, and for which feature; of what its steps make, too, if that is finite and above
# `limit`.
cdef int refusal(const TransformView* view, const double* raw, double limit, uint32_t* feature) noexcept nogil
# About what a row takes, in nanoseconds, with looking up its texts.
cdef float row_cost(const TransformView* view) noexcept nogil
