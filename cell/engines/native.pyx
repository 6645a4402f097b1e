"""Models that lie in the arena, and one call that scores many of them.

A model is its bytes, as they were packed, and one small object that is also its scorer: 128 bytes, and a
signature that models share. The object has no pointers into the bytes but their address, which changes when
the arena moves them. So a call marks its models busy before it gives the interpreter lock up: a busy model is
not moved, and the memory of one that is closed meanwhile goes back when the call has ended.

A read of a cell brings rows of many models, seldom two of one. `score_joined` takes them all, gives the
interpreter lock up once (`jobs.pyx` is what happens then).
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from croupier.buffers cimport first_poison, poison
from cell.crash.slots cimport LOADING, Slot, enter, here, leave
from cell.engines.jobs cimport LINE, MOST_LINES, PREFETCH, Job, run
from cell.engines.raw_rows cimport check_rows, raw_rows
from cell.engines.transform_layout cimport BLOCK_ALIGNMENT, IS_TEXT, TransformView
from cell.engines.transform_layout cimport lay_transform as lay

import numpy as np

from cell.memory.arena import default_arena
from cell.engines import ArtifactRefused, ScoringFailed
from croupier.buffers import Unfilled

cdef enum:
    # Of a SHA-256.
    _DIGEST = 32
    # Bytes that Python keeps: the object, 128 of these, the arena's note of it, and what residency keeps.
    _OBJECT = 480

cdef str _LABEL = "label"
# Raw rows among the inputs of models with a transform, in the place of all others.
cdef str _RAW = ""
cdef tuple _IN_ORDER = ("C_CONTIGUOUS", "ALIGNED")


@cython.no_gc
cdef class Native(Block):
    """A checked model in the arena: the scorer of a packed artifact. Made by its subclasses only."""

    cdef int load(self, const Kind* kind, section, arena, bytes digest) except -1:
        """Copy a section into the arena, check the copy, which nobody else can change, and keep it."""
        cdef Py_buffer buffer
        cdef const char* problem
        cdef Slot* slot = here()
        self._name(digest)
        PyObject_GetBuffer(section, &buffer, PyBUF_SIMPLE)
        try:
            self.take(default_arena() if arena is None else arena, buffer.len)
            self.place.busy += 1
            with nogil:
                enter(slot, self.digest_bytes, LOADING)
                memcpy(self.place.at, buffer.buf, buffer.len)
                problem = kind.check(<const unsigned char*>self.place.at, buffer.len, &self.shape)
                leave(slot)
            self.leave()
        finally:
            PyBuffer_Release(&buffer)
        if problem != NULL:
            self.close()
            raise ArtifactRefused(f"the {kind.name.decode()} is damaged: {problem.decode()}")
        self.kind = kind
        return 0

    cdef int adopt(
        self,
        const Kind* kind,
        const Shape* shape,
        const unsigned char* data,
        Py_ssize_t size,
        arena,
        bytes digest,
    ) except -1:
        """Copy a section into the arena that was checked where nobody else can change it; `shape` is its."""
        self._name(digest)
        self.take(default_arena() if arena is None else arena, size)
        memcpy(self.place.at, data, size)
        self.shape = shape[0]
        self.kind = kind
        return 0

    cdef int _name(self, bytes digest) except -1:
        if digest is not None:
            if len(digest) != _DIGEST:
                raise ValueError("a digest has 32 bytes")
            memcpy(self.digest_bytes, <const unsigned char*>digest, _DIGEST)
        return 0

    @property
    def features(self):
        """Values of a row."""
        return self.shape.features

    @property
    def wide(self):
        """Whether float64 rows are answered as such; else they are narrowed to float32."""
        return bool(self.shape.wide)

    @property
    def columns(self):
        """Float32 values of a row's answer."""
        return self.shape.columns

    @property
    def texts(self):
        """Of a model with a transform, whether each feature is text; else None."""
        cdef TransformView view
        if not self.shape.transform:
            return None
        self.lay_transform(&view)
        return [bool(view.bits[place] & IS_TEXT) for place in range(view.header.features)]

    cdef int lay_transform(self, TransformView* view) except -1:
        """Of a model that has one; what it points to stays until the interpreter lock is given up."""
        if self.place.at == NULL:
            raise ScoringFailed("the model was closed")
        lay(<const unsigned char*>self.place.at + self.shape.transform * BLOCK_ALIGNMENT, view)
        return 0

    @property
    def row_cost(self):
        """About what a row takes, in nanoseconds."""
        return self.shape.row_cost

    @property
    def digest(self):
        """The artifact's; zeros where nobody said."""
        return self.digest_bytes[:_DIGEST]

    @property
    def resident_bytes(self):
        """Its room in the arena, its object, and its labels."""
        if self._arena is None:
            return _OBJECT
        labels = 0 if self.labels is None else self.labels.nbytes
        return self._arena._room(self.place.size) + _OBJECT + labels

    @property
    def batchable(self):
        """Rows of several requests may go through one call."""
        return True

    @property
    def batching(self):
        """A call costs nothing beyond its rows."""
        return None

    def admitted(self, inputs, where):
        """A request's `inputs` as `score` takes them: of a model with a transform its raw rows.

        Raises:
            InvalidRequest: a feature has a value that this model does not take; `where` its caller wrote it.
            ScoringFailed: the model was closed.
        """
        return inputs if not self.shape.transform else {_RAW: self._raw_rows(inputs, where)}

    cdef object _raw_rows(self, inputs, where):
        """Checked unless `where` is None."""
        cdef TransformView view
        cdef tuple names = self.signature.features
        if len(self.signature.inputs) > 1:
            names = tuple(self.signature.input_places)
        self.lay_transform(&view)
        self.place.busy += 1
        try:
            rows = raw_rows(&view, names, inputs)
            if where is not None:
                check_rows(&view, names, rows, inputs, where, self.signature.bounded)
        except ValueError as error:
            raise ScoringFailed(str(error)) from error
        finally:
            self.leave()
        return rows

    def score(self, inputs, outputs, stop=None):
        """The named outputs for every row of `inputs`, float64 or float32. Nothing ends it before its time.

        Raises:
            ScoringFailed: the rows are not what the signature says, or the model was closed.
        """
        if self.shape.transform and _RAW not in inputs:
            rows = self._raw_rows(inputs, None)
        else:
            (rows,) = inputs.values()
        scores = np.empty((len(rows), self.shape.columns), np.float32)
        places = np.empty(len(rows), np.int64) if _LABEL in outputs else None
        dtype = np.float64 if rows.dtype.type is np.float64 else np.float32
        try:
            self.score_into(np.require(rows, dtype, _IN_ORDER), scores, places)
        except ValueError as error:
            raise ScoringFailed(str(error)) from error
        found = dict.fromkeys(outputs, scores)
        if places is not None:
            found[_LABEL] = places if self.labels is None else self.labels[places]
        return found

    def score_into(self, rows, out, labels=None):
        """Score every row of `rows`, (n, features), into `out`, float32 (n, columns), in C order.

        The rows are float64 if the buffer says so, else float32.

        `labels`, int64 (n,), gets the number of each row's class: the first of the highest scores, or with
        a single sum whether it is above 0.

        Raises:
            ValueError: an array of another size, or a closed model.
        """
        cdef bint is_wide
        with memoryview(rows) as found:
            is_wide = found.format == "d"
            count = found.nbytes // ((8 if is_wide else 4) * max(1, self.shape.features))
        score_joined((self,), (count,), rows, out, labels, (True,) if is_wide else None)


def score_joined(models, counts, rows, out, labels=None, wide=None):
    """Score `counts[i]` rows with `models[i]`, all rows in one buffer and all answers in another.

    Models' rows, and their answers, follow each other without gaps; so do the numbers of the rows' classes in
    `labels`, int64, if it is given. A call of its own, or two buffers, for each of a read's models would
    cost a good part of what a small model takes.

    Rows are float32. If `wide` is given, those of the models for which it is true are float64, and begin at a
    multiple of 8 bytes; what lies before that is zeros.

    Raises:
        ValueError: a buffer that does not have the size that the models say, or a closed model; nothing was
            scored.
        Unfilled: in a debug build, rows or answers that nobody wrote.
    """
    cdef list every = list(models), sizes = list(counts), widths = None if wide is None else list(wide)
    cdef Py_ssize_t count = len(every), held = 0, scratch_size = 1, i
    cdef Job* work = <Job*>malloc((count + 1) * sizeof(Job))
    cdef double* scratch = NULL
    cdef Py_buffer buffers[3]
    try:
        if work == NULL:
            raise MemoryError
        if len(sizes) != count:
            raise ValueError(f"{len(sizes)} counts for {count} models")
        if widths is not None and len(widths) != count:
            raise ValueError(f"{len(widths)} widths for {count} models")
        PyObject_GetBuffer(rows, &buffers[0], PyBUF_SIMPLE)
        held += 1
        PyObject_GetBuffer(out, &buffers[1], PyBUF_WRITABLE)
        held += 1
        if labels is not None:
            PyObject_GetBuffer(labels, &buffers[2], PyBUF_WRITABLE)
            held += 1
        scratch_size = _lay_out(work, every, sizes, widths, buffers, held == 3)
        scratch = <double*>malloc(scratch_size)
        if scratch == NULL:
            raise MemoryError
        if first_poison(buffers[0].buf, buffers[0].len) >= 0:
            raise Unfilled("rows that nobody wrote were to be scored")
        poison(scratch, scratch_size)
        for i in range(1, held):
            poison(buffers[i].buf, buffers[i].len)
        for i in range(count):
            (<Native>every[i]).place.busy += 1
        with nogil:
            run(work, count, scratch)
        for i in range(count):
            (<Native>every[i]).leave()
        for i in range(1, held):
            if first_poison(buffers[i].buf, buffers[i].len) >= 0:
                raise Unfilled("a model left out some of its answers")
    finally:
        for i in range(held):
            PyBuffer_Release(&buffers[i])
        free(scratch)
        free(work)


cdef Py_ssize_t _lay_out(
    Job* work, list models, list counts, list widths, const Py_buffer* buffers, bint with_labels
) except -1:
    """Fill `work` and return the scratch bytes that its models need."""
    cdef Py_ssize_t row_at = 0, out_at = 0, row = 0, scratch = 1, number, value_size, i
    cdef Native model
    cdef Job* job
    cdef object known = None
    if widths is not None and <uintptr_t>buffers[0].buf & 7:
        raise ValueError("rows of float64 begin at a multiple of 8 bytes")
    for i in range(len(models)):
        found = models[i]
        # Most are of one type, and a look at its bases takes as long as what follows.
        if type(found) is not known:
            if not isinstance(found, Native):
                raise TypeError("this is no model")
            known = type(found)
        model = <Native>found
        if model.kind == NULL or model.place.at == NULL:
            raise ValueError("the model was closed")
        number = counts[i]
        # So large a count cannot be true, and the products below stay within 64 bits.
        if not 0 <= number <= buffers[0].len:
            raise ValueError(f"{number} rows are not in the buffer")
        job = work + i
        job.data = <const unsigned char*>model.place.at
        PREFETCH(job.data)
        job.kind = model.kind
        job.is_wide = widths is not None and bool(widths[i])
        if job.is_wide:
            row_at = (row_at + 7) & ~<Py_ssize_t>7
        job.rows = <const char*>buffers[0].buf + row_at
        job.out = <float*>(<char*>buffers[1].buf + out_at)
        job.labels = <int64_t*>buffers[2].buf + row if with_labels else NULL
        job.count = number
        job.digest = model.digest_bytes
        job.transform = NULL
        if model.shape.transform:
            job.transform = job.data + <Py_ssize_t>model.shape.transform * BLOCK_ALIGNMENT
            job.lines = min(MOST_LINES, (model.place.size - (job.transform - job.data)) // LINE)
            job.features, job.columns = model.shape.features, model.shape.columns
        row += number
        value_size = <Py_ssize_t>(sizeof(double) if job.is_wide else sizeof(float))
        row_at += number * model.shape.features * value_size
        out_at += number * model.shape.columns * <Py_ssize_t>sizeof(float)
        if row_at > buffers[0].len or out_at > buffers[1].len:
            raise ValueError("the buffers are too short")
        scratch = max(scratch, <Py_ssize_t>model.shape.scratch)
    if row_at != buffers[0].len or out_at != buffers[1].len:
        raise ValueError(
            f"the models take {row_at} bytes and give {out_at}; "
            f"these are {buffers[0].len} and {buffers[1].len}"
        )
    if with_labels and buffers[2].len != row * <Py_ssize_t>sizeof(int64_t):
        raise ValueError(f"{row} rows have as many labels of 8 bytes")
    return scratch
