"""What is scored without the interpreter: the rows of many models, one model after the other.

While one is scored the next one's memory is fetched, and each is named before it is scored
(`crash/slots.pyx`).
"""

from libc.stdint cimport int64_t, uint32_t

from cell.crash.slots cimport SCORING, Slot, croupier_coarse_ns, enter_at, here, leave
from cell.engines.transform cimport apply
from cell.engines.transform_layout cimport TransformView, lay_transform

cdef enum:
    # Jobs between two looks at the clock, a power of two.
    _CLOCKED = 8


cdef void _prefetch(const Job* job) noexcept nogil:
    """A model that is next, with the first lines of its transform."""
    cdef Py_ssize_t line
    job.kind.prefetch(job.data)
    if job.transform != NULL:
        for line in range(job.lines):
            PREFETCH(job.transform + line * LINE)


cdef void _score_raw(const Job* job, double* scratch) noexcept nogil:
    """Rows of a model with a transform, one by one: a raw row, the engine's columns of it, its answer."""
    cdef TransformView view
    cdef const double* row
    cdef double* columns
    cdef Py_ssize_t i
    cdef uint32_t k
    lay_transform(job.transform, &view)
    columns = scratch + job.features
    for i in range(job.count):
        if job.is_wide:
            row = <const double*>job.rows + i * job.features
        else:
            for k in range(job.features):
                scratch[k] = (<const float*>job.rows)[i * job.features + k]
            row = scratch
        apply(&view, row, columns)
        job.kind.score_wide_rows(
            job.data,
            columns,
            1,
            job.out + i * job.columns,
            NULL if job.labels == NULL else job.labels + i,
            columns + view.header.columns,
        )


cdef void run(const Job* work, Py_ssize_t count, double* scratch) noexcept nogil:
    cdef Py_ssize_t i
    cdef int64_t now = 0
    cdef Slot* slot = here()
    for i in range(count):
        if i + 1 < count:
            _prefetch(work + i + 1)
        if i & (_CLOCKED - 1) == 0:
            now = croupier_coarse_ns()
        # Should it end here, the next process knows by whom.
        enter_at(slot, work[i].digest, SCORING, now + (i & (_CLOCKED - 1)))
        if work[i].transform != NULL:
            _score_raw(work + i, scratch)
        elif work[i].is_wide:
            work[i].kind.score_wide_rows(
                work[i].data, <const double*>work[i].rows, work[i].count, work[i].out, work[i].labels, scratch
            )
        else:
            work[i].kind.score_rows(
                work[i].data, <const float*>work[i].rows, work[i].count, work[i].out, work[i].labels, scratch
            )
    leave(slot)
