"""What `forest` and `linear` models share; see native.pyx."""

from libc.stdint cimport int64_t, uint32_t

from cell.memory.arena cimport Block
from cell.engines.transform_layout cimport TransformView

# Values of a row and of its answer, bytes that scoring works in, and nanoseconds of a row, about.
cdef struct Shape:
    uint32_t features
    uint32_t columns
    uint32_t scratch
    float row_cost
    # Float64 rows are answered as such. Without it they are what is left of them as float32: whoever fills rows
    # in may narrow them already.
    bint wide
    # Where the transform lies that makes the engine's rows of raw ones, in 64 bytes; 0 if there is none. With one,
    # all that is said here is about raw rows, but `score_rows` and `score_wide_rows` take the engine's.
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

cdef class Native(Block):
    cdef const Kind* kind
    cdef Shape shape
    cdef unsigned char digest_bytes[32]
    # What it takes and gives; of a classifier the labels by column, or None where they are its numbers.
    cdef public object signature
    cdef public object labels

    cdef int load(self, const Kind* kind, section, arena, bytes digest) except -1
    cdef int adopt(
        self, const Kind* kind, const Shape* shape, const unsigned char* data, Py_ssize_t size, arena, bytes digest
    ) except -1
    cdef int _name(self, bytes digest) except -1
    cdef int lay_transform(self, TransformView* view) except -1
    cdef object _raw_rows(self, inputs, where)
