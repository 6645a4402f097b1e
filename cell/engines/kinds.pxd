"""What an engine can do with a model's bytes, and which engines there are; see kinds.pyx."""

from libc.stdint cimport int64_t, uint32_t

# Values of a row and of its answer, bytes that scoring works in, and nanoseconds of a row, about.
cdef struct Shape:
    uint32_t features
    uint32_t columns
    uint32_t scratch
    float row_cost
    # Float64 rows are answered as such. Without it they are what is left of them as float32: whoever fills
    # rows in may narrow them already.
    bint wide
    # Where the transform lies that makes the engine's rows of raw ones, in 64 bytes; 0 if there is none. With
    # one, all that is said here is about raw rows, but `score_rows` and `score_wide_rows` take the engine's.
    uint32_t transform

# Returns what is wrong with a model, or NULL and its shape.
ctypedef const char* (*Check)(const unsigned char* data, Py_ssize_t size, Shape* shape) noexcept nogil
# Scores `count` rows. `labels` may be NULL; `scratch` has as many bytes as the shape says.
ctypedef void (*ScoreRows)(
    const unsigned char* data,
    const float* rows,
    Py_ssize_t count,
    float* out,
    int64_t* labels,
    double* scratch
) noexcept nogil
# The same for rows of float64, of any model.
ctypedef void (*ScoreWideRows)(
    const unsigned char* data,
    const double* rows,
    Py_ssize_t count,
    float* out,
    int64_t* labels,
    double* scratch
) noexcept nogil
# Has a model fetched whose first line is in the cache already.
ctypedef void (*Prefetch)(const unsigned char* data) noexcept nogil

# What an engine can do with a checked model's bytes, wherever they lie.
cdef struct Kind:
    const char* name
    Check check
    ScoreRows score_rows
    ScoreWideRows score_wide_rows
    Prefetch prefetch

# The kind of the models whose artifacts name this engine, or NULL; and how a kind becomes known.
cdef const Kind* kind_of(const char* engine, Py_ssize_t size) noexcept nogil
cdef int know(const char* engine, const Kind* kind) except -1
