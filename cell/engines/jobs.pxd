"""Rows to score with one model, and the call that scores many of them; see jobs.pyx."""

from libc.stdint cimport int64_t, uint32_t

from cell.engines.kinds cimport Kind

cdef extern from *:
    """
    #define PREFETCH(address) __builtin_prefetch((const void*)(address), 0, 3)
    """
    void PREFETCH(const void* address) noexcept nogil

cdef enum:
    LINE = 64
    # Of a transform, that are fetched before it is used: some ten features have as many.
    MOST_LINES = 48

cdef struct Job:
    const unsigned char* data
    const Kind* kind
    # Of float64 if `is_wide`, else of float32.
    const void* rows
    bint is_wide
    float* out
    int64_t* labels
    Py_ssize_t count
    # As bytes in the model's object, which lives until the call has ended.
    const unsigned char* digest
    # Of a model with a transform, with lines of it to fetch ahead; else NULL, and the others unset. Then
    # `rows` are raw ones, of so many values, and an answer has so many.
    const unsigned char* transform
    Py_ssize_t lines
    uint32_t features
    uint32_t columns

cdef void run(const Job* work, Py_ssize_t count, double* scratch) noexcept nogil
