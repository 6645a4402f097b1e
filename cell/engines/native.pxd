"""What `forest` and `linear` models share; see native.pyx."""

from libc.stdint cimport int64_t, uint32_t

# Scores `count` rows. `labels` may be NULL; `scratch` has the model's `scratch` bytes.
ctypedef void (*ScoreRows)(
    const void* view, const float* rows, Py_ssize_t count, float* out, int64_t* labels, double* scratch
) noexcept nogil
ctypedef void (*Prefetch)(const void* view) noexcept nogil

cdef class Native:
    # Float32 values of a row, and of its answer.
    cdef readonly uint32_t features
    cdef readonly uint32_t columns
    # Set by the subclass: its checked view of the buffer, what to do with it, and what that needs.
    cdef const void* view
    cdef ScoreRows score_rows
    cdef Prefetch prefetch
    cdef Py_ssize_t scratch
    cdef Py_buffer _buffer
    cdef bint _is_held

    cdef const unsigned char* hold(self, buffer) except NULL
    cdef Py_ssize_t size(self) noexcept
