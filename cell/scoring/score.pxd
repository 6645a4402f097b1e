"""What was scored, for who encodes it; see score.pyx."""

from libc.stdint cimport int64_t

from cell.codec.plain cimport Plain
from cell.engines.form cimport Form
from cell.engines.native cimport Native

cdef class Scoring:
    """One read's requests, each at its place. `cost` is an estimate of what `run` takes, in nanoseconds."""

    cdef readonly double cost
    # Of all answers, about.
    cdef readonly Py_ssize_t size
    cdef list plains
    cdef list forms
    # By request: the outputs that it wants.
    cdef list outputs
    # Where each request's first score stands, and its first label.
    cdef list score_at
    cdef list label_at
    # Of all requests, after `run`; labels are NULL if no model has any.
    cdef float* scores
    cdef int64_t* labels
    cdef list _models
    cdef list _counts
    # The places of requests whose rows are float64.
    cdef list _wide
    # By request: the labels of a model whose classes are not 0, 1, 2, …; else None.
    cdef list _labels_of
    # Rows, each request's as float32 or as float64; what follows counts float32.
    cdef float* _values
    cdef Py_ssize_t _room
    cdef Py_ssize_t _used
    cdef Py_ssize_t _score_count
    cdef Py_ssize_t _row_count
    cdef bint _has_labels

    cdef Py_ssize_t _note(self, Plain plain, Native model, Form form, object outputs) except -1
    cdef int _make_room(self, Py_ssize_t needed) except -1
    cdef int _score(self) except -1
    cdef list _widths(self)
    cdef int _rename_labels(self) except -1
