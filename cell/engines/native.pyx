# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Models that lie in a buffer, and one call that scores many of them.

A tick of a cell brings rows of many models, seldom two of one. `score_many` takes them all, gives the
interpreter lock up once, and while one model is scored has the next one's memory fetched.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport free, malloc

cdef enum:
    _ALIGNMENT = 8
    # Buffers of a job: rows, scores and labels.
    _EACH = 3

cdef struct Job:
    const void* view
    ScoreRows score_rows
    Prefetch prefetch
    const float* rows
    float* out
    int64_t* labels
    Py_ssize_t count


cdef class Native:
    """A checked model in a buffer, which is held and must not change. Made by its subclasses only."""

    def __dealloc__(self):
        if self._is_held:
            PyBuffer_Release(&self._buffer)

    cdef const unsigned char* hold(self, buffer) except NULL:
        """The buffer's address, good for as long as this object lives."""
        PyObject_GetBuffer(buffer, &self._buffer, PyBUF_SIMPLE)
        self._is_held = True
        if <uintptr_t>self._buffer.buf % _ALIGNMENT:
            raise ValueError(f"the buffer is not aligned to {_ALIGNMENT} bytes")
        return <const unsigned char*>self._buffer.buf

    cdef Py_ssize_t size(self) noexcept:
        return self._buffer.len

    def score(self, rows, out, labels=None):
        """Score every row of `rows`, float32 (n, features), into `out`, float32 (n, columns), in C order.

        `labels`, int64 (n,), gets the number of each row's class: the first of the highest scores, or with
        a single sum whether it is above 0.

        Raises:
            ValueError: an array of another size.
        """
        score_many([(self, rows, out, labels)])


def score_many(jobs):
    """Score many (model, rows, out, labels or None) in one go, without the interpreter lock; as `score` each.

    Raises:
        ValueError: an array that does not have the size that its model says; nothing was scored.
    """
    cdef Py_ssize_t count = len(jobs), held = 0, scratch_size = 1, i
    cdef Job* work = <Job*>malloc((count + 1) * sizeof(Job))
    cdef Py_buffer* buffers = <Py_buffer*>malloc((_EACH * count + 1) * sizeof(Py_buffer))
    cdef double* scratch = NULL
    cdef Native model
    try:
        if work == NULL or buffers == NULL:
            raise MemoryError
        for i in range(count):
            found, rows, out, labels = jobs[i]
            if not isinstance(found, Native):
                raise TypeError("a job begins with a model")
            model = found
            PyObject_GetBuffer(rows, buffers + held, PyBUF_SIMPLE)
            held += 1
            PyObject_GetBuffer(out, buffers + held, PyBUF_WRITABLE)
            held += 1
            _fill(work + i, model, buffers + held - 2)
            if labels is not None:
                PyObject_GetBuffer(labels, buffers + held, PyBUF_WRITABLE)
                held += 1
                if buffers[held - 1].len != work[i].count * <Py_ssize_t>sizeof(int64_t):
                    raise ValueError(f"{work[i].count} rows have as many labels of 8 bytes")
                work[i].labels = <int64_t*>buffers[held - 1].buf
            scratch_size = max(scratch_size, model.scratch)
        scratch = <double*>malloc(scratch_size)
        if scratch == NULL:
            raise MemoryError
        with nogil:
            for i in range(count):
                if i + 1 < count:
                    work[i + 1].prefetch(work[i + 1].view)
                work[i].score_rows(
                    work[i].view, work[i].rows, work[i].count, work[i].out, work[i].labels, scratch
                )
    finally:
        for i in range(held):
            PyBuffer_Release(buffers + i)
        free(scratch)
        free(buffers)
        free(work)


cdef int _fill(Job* job, Native model, const Py_buffer* arrays) except -1:
    cdef Py_ssize_t row = model.features * sizeof(float), answer = model.columns * sizeof(float), count
    if model.view == NULL:
        raise TypeError("a model without a view")
    count = arrays[0].len // row
    if arrays[0].len != count * row or arrays[1].len != count * answer:
        raise ValueError(
            f"the model takes {row} bytes a row and gives {answer}; these are {arrays[0].len} and {arrays[1].len}"
        )
    job.view = model.view
    job.score_rows = model.score_rows
    job.prefetch = model.prefetch
    job.rows = <const float*>arrays[0].buf
    job.out = <float*>arrays[1].buf
    job.labels = NULL
    job.count = count
    return 0
