# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Models that lie in a buffer, and one call that scores many of them.

A tick of a cell brings rows of many models, seldom two of one. `score_many` and `score_joined` take them
all, give the interpreter lock up once, and while one model is scored have the next one's memory fetched.
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
    cdef list every = list(jobs)
    cdef tuple each
    cdef Py_ssize_t count = len(every), held = 0, scratch_size = 1, i
    cdef Job* work = <Job*>malloc((count + 1) * sizeof(Job))
    cdef Py_buffer* buffers = <Py_buffer*>malloc((_EACH * count + 1) * sizeof(Py_buffer))
    cdef double* scratch = NULL
    cdef Native model
    try:
        if work == NULL or buffers == NULL:
            raise MemoryError
        for i in range(count):
            each = every[i]
            found, rows, out, labels = each
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
            _run(work, count, scratch)
    finally:
        for i in range(held):
            PyBuffer_Release(buffers + i)
        free(scratch)
        free(buffers)
        free(work)


def score_joined(models, counts, rows, out):
    """Score `counts[i]` rows with `models[i]`, all rows in one buffer and all answers in another.

    Models' rows, and their answers, follow each other without gaps. It is `score_many` without its two
    buffers a job, which cost 0.2 µs: half of what 50 trees of depth 5 take.

    Raises:
        ValueError: a buffer that does not have the size that the models say; nothing was scored.
    """
    cdef list every = list(models), sizes = list(counts)
    cdef Py_ssize_t count = len(every), held = 0, scratch_size = 1, row_at = 0, out_at = 0, i, number
    cdef Job* work = <Job*>malloc((count + 1) * sizeof(Job))
    cdef double* scratch = NULL
    cdef Py_buffer buffers[2]
    cdef Native model
    try:
        if work == NULL:
            raise MemoryError
        if len(sizes) != count:
            raise ValueError(f"{len(sizes)} counts for {count} models")
        PyObject_GetBuffer(rows, &buffers[0], PyBUF_SIMPLE)
        held += 1
        PyObject_GetBuffer(out, &buffers[1], PyBUF_WRITABLE)
        held += 1
        for i in range(count):
            found = every[i]
            if not isinstance(found, Native) or (<Native>found).view == NULL:
                raise TypeError("this is no model")
            model = found
            number = sizes[i]
            # So large a count cannot be true, and the products below stay within 64 bits.
            if not 0 <= number <= buffers[0].len:
                raise ValueError(f"{number} rows are not in the buffer")
            _set(
                work + i, model, <const char*>buffers[0].buf + row_at, <char*>buffers[1].buf + out_at, number
            )
            row_at += number * model.features * <Py_ssize_t>sizeof(float)
            out_at += number * model.columns * <Py_ssize_t>sizeof(float)
            if row_at > buffers[0].len or out_at > buffers[1].len:
                raise ValueError("the buffers are too short")
            scratch_size = max(scratch_size, model.scratch)
        if row_at != buffers[0].len or out_at != buffers[1].len:
            raise ValueError(f"the models take {row_at} bytes and give {out_at}")
        scratch = <double*>malloc(scratch_size)
        if scratch == NULL:
            raise MemoryError
        with nogil:
            _run(work, count, scratch)
    finally:
        for i in range(held):
            PyBuffer_Release(&buffers[i])
        free(scratch)
        free(work)


cdef void _run(const Job* work, Py_ssize_t count, double* scratch) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        if i + 1 < count:
            work[i + 1].prefetch(work[i + 1].view)
        work[i].score_rows(work[i].view, work[i].rows, work[i].count, work[i].out, work[i].labels, scratch)


cdef inline void _set(Job* job, Native model, const void* rows, void* out, Py_ssize_t count) noexcept:
    job.view = model.view
    job.score_rows = model.score_rows
    job.prefetch = model.prefetch
    job.rows = <const float*>rows
    job.out = <float*>out
    job.labels = NULL
    job.count = count


cdef int _fill(Job* job, Native model, const Py_buffer* arrays) except -1:
    cdef Py_ssize_t row = model.features * sizeof(float), answer = model.columns * sizeof(float), count
    if model.view == NULL:
        raise TypeError("a model without a view")
    count = arrays[0].len // row
    if arrays[0].len != count * row or arrays[1].len != count * answer:
        raise ValueError(
            f"the model takes {row} bytes a row and gives {answer}; "
            f"these are {arrays[0].len} and {arrays[1].len}"
        )
    _set(job, model, arrays[0].buf, arrays[1].buf, count)
    return 0
