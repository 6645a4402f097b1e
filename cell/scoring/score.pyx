"""The plain requests of one read, scored in one native call.

    add     a request's rows go into one buffer with all others', if they fit its model
    run     one call for all (model, rows) pairs, without the interpreter lock

`encode.pyx` makes the answers of what was scored.

From `add` to `run` its models are busy (`memory/arena.pyx`): one that another load pushes out meanwhile stays
where it is until then. A request keeps the pair that it came with: its rows lie behind one another and are
scored by the model that was found for its artifact, whose digest is compared again, so no batch can mix two
models.
"""

from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp

from cell.engines.native cimport Native
from cell.engines.transform_layout cimport TransformView
from cell.engines.form cimport Form
from cell.codec.plain cimport Plain
from croupier.buffers cimport poison

from cell.engines import Mixed
from cell.engines.native import score_joined

cdef extern from "Python.h":
    int PyBUF_READ
    int PyBUF_WRITE

cdef enum:
    _LEAST_ROOM = 4096


cdef class Scoring:
    """One read's requests; see score.pxd."""

    def __cinit__(self):
        self.plains, self.forms, self.outputs, self._models, self._counts = [], [], [], [], []
        self._labels_of, self.score_at, self.label_at, self._wide = [], [], [], []

    def __dealloc__(self):
        free(self._values)
        free(self.scores)
        free(self.labels)

    def __len__(self):
        return len(self.plains)

    def add(self, Plain plain not None, scorer, double most, Py_ssize_t most_size):
        """The place of a request among the others; -1 if it is not plain for this model.

        Nor is it where the read would take more than `most` nanoseconds with it, or its answers more than
        `most_size` bytes.
        """
        cdef Native model
        cdef Form form
        cdef Py_ssize_t count, at, end
        cdef double cost
        cdef Py_ssize_t size
        cdef bint is_wide
        cdef TransformView laid
        cdef const TransformView* transform = NULL
        if not isinstance(scorer, Native):
            return -1
        model = scorer
        form = model.signature.form
        if form is None:
            return -1
        if memcmp(model.digest_bytes, <const char*>plain.artifact, sizeof(model.digest_bytes)) != 0:
            raise Mixed("a request was given another artifact's model")
        outputs = form.chosen(plain)
        cost = self.cost + plain.rows * model.shape.row_cost
        if outputs is None or cost > most:
            return -1
        # A row's classes take 8 bytes, and what else there is fits what the limit leaves above it.
        size = self.size + plain.rows * (form.columns * <Py_ssize_t>sizeof(float) * len(outputs) + 8)
        if size > most_size:
            return -1
        if plain.fetched.data != NULL and not form.complete(plain):
            return -1
        if model.shape.transform:
            model.lay_transform(&laid)
            transform = &laid
        count = plain.rows * form.features
        is_wide = form.is_wide and (plain.is_double or plain.features != NULL or transform != NULL)
        # Float64 begin at a multiple of 8 bytes.
        at = self._used + (self._used & 1 if is_wide else 0)
        end = at + (2 * count if is_wide else count)
        self._make_room(end)
        if not form.fill(plain, self._values + at, count, is_wide, transform):
            # What was filled in until then is nobody's.
            poison(self._values + at, (end - at) * sizeof(float))
            return -1
        model.place.busy += 1
        self.cost, self.size = cost, size
        if is_wide:
            if at > self._used:
                self._values[self._used] = 0.0
            self._wide.append(len(self.plains))
        self._used = end
        return self._note(plain, model, form, outputs)

    cdef Py_ssize_t _note(self, Plain plain, Native model, Form form, object outputs) except -1:
        """Have a request whose rows are filled in scored with the others; returns its place."""
        self.plains.append(plain)
        self.forms.append(form)
        self.outputs.append(outputs)
        self._models.append(model)
        self._counts.append(plain.rows)
        self._labels_of.append(model.labels)
        self.score_at.append(self._score_count)
        self.label_at.append(self._row_count)
        self._score_count += plain.rows * form.columns
        self._row_count += plain.rows
        self._has_labels |= form.has_label
        return len(self.plains) - 1

    cdef int _make_room(self, Py_ssize_t needed) except -1:
        if needed > self._room:
            self._room = max(2 * self._room, needed, _LEAST_ROOM)
            self._values = <float*>_resized(self._values, self._room * sizeof(float))
            poison(self._values + self._used, (self._room - self._used) * sizeof(float))
        return 0

    def charge(self, double nanoseconds):
        """Count other work of the read."""
        self.cost += nanoseconds

    def let_go(self):
        """The models are busy no more; `run` does it in the end. For who does not come to run."""
        cdef Native model
        models, self._models = self._models, []
        for model in models:
            model.leave()

    def run(self):
        """Score everything that was added; then nothing can be added."""
        if not self.plains:
            return
        try:
            self._score()
        finally:
            self.let_go()

    cdef int _score(self) except -1:
        self.scores = <float*>_resized(self.scores, self._score_count * sizeof(float))
        labels = None
        if self._has_labels:
            self.labels = <int64_t*>_resized(self.labels, self._row_count * sizeof(int64_t))
            labels = _view(self.labels, self._row_count * sizeof(int64_t), PyBUF_WRITE)
        score_joined(
            self._models,
            self._counts,
            _view(self._values, self._used * sizeof(float), PyBUF_READ),
            _view(self.scores, self._score_count * sizeof(float), PyBUF_WRITE),
            labels,
            self._widths(),
        )
        if labels is not None:
            self._rename_labels()
        return 0

    cdef list _widths(self):
        """By request, whether its rows are float64; None if none are."""
        cdef list widths
        if not self._wide:
            return None
        widths = [False] * len(self.plains)
        for place in self._wide:
            widths[place] = True
        return widths

    cdef int _rename_labels(self) except -1:
        cdef Py_ssize_t place, i, at
        cdef const int64_t[:] names
        for place in range(len(self.plains)):
            if self._labels_of[place] is not None and (<Form>self.forms[place]).has_label:
                names = self._labels_of[place]
                at = self.label_at[place]
                for i in range(at, at + <Py_ssize_t>self._counts[place]):
                    self.labels[i] = names[self.labels[i]]
        return 0


cdef void* _resized(void* memory, Py_ssize_t size) except NULL:
    cdef void* resized = realloc(memory, max(size, 1))
    if resized == NULL:
        raise MemoryError
    return resized


cdef object _view(void* memory, Py_ssize_t size, int flags):
    return PyMemoryView_FromMemory(<char*>memory, size, flags)
