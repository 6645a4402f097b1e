"""The plain requests of one tick, scored in one native call and answered as protobuf.

    add     a request's rows go into one buffer with all others', if they fit its model
    run     one call for all (model, rows) pairs, without the interpreter lock
    infer_answer, item_answer    the bytes of one answer

From `add` to `run` its models are busy (`arena.pyx`): one that another load pushes out meanwhile stays where it
is until then. A request keeps the pair that it came with: its rows lie behind one another and are scored by the model that
was found for its artifact, whose digest is compared again, so no batch can mix two models.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy

from cell.engines.native cimport Native
from cell.engines.transform_layout cimport TransformView
from cell.engines.form cimport Form, Output
from cell.codec.plain cimport Plain, Text
from croupier.buffers cimport filled, poison, unfilled
from croupier.fields cimport VARINT, put_head, put_varint, record_size, varint_size

from cell.engines import Mixed
from cell.engines.native import score_joined

cdef extern from "Python.h":
    int PyBUF_READ
    int PyBUF_WRITE

cdef enum:
    _LEAST_ROOM = 4096


cdef class Scoring:
    """One tick's requests. `cost` is an estimate of what `run` will take, in nanoseconds."""

    cdef readonly double cost
    # Of all answers, about.
    cdef readonly Py_ssize_t size
    cdef list _plains
    cdef list _forms
    # By request: the outputs that it wants.
    cdef list _outputs
    cdef list _models
    cdef list _counts
    # The places of requests whose rows are float64.
    cdef list _wide
    # By request: the labels of a model whose classes are not 0, 1, 2, …; else None.
    cdef list _labels_of
    # Where each request's first score stands, and its first label.
    cdef list _score_at
    cdef list _label_at
    # Rows, each request's as float32 or as float64; what follows counts float32.
    cdef float* _values
    cdef Py_ssize_t _room
    cdef Py_ssize_t _used
    cdef Py_ssize_t _scores
    cdef Py_ssize_t _rows
    cdef bint _has_labels
    cdef float* _out
    cdef int64_t* _labels

    def __cinit__(self):
        self._plains, self._forms, self._outputs, self._models, self._counts = [], [], [], [], []
        self._labels_of, self._score_at, self._label_at, self._wide = [], [], [], []

    def __dealloc__(self):
        free(self._values)
        free(self._out)
        free(self._labels)

    def __len__(self):
        return len(self._plains)

    def add(self, Plain plain not None, scorer, double most, Py_ssize_t most_size):
        """The place of a request among the others; -1 if it is not plain for this model.

        Nor is it where the tick would take more than `most` nanoseconds with it, or its answers more than
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
            self._wide.append(len(self._plains))
        self._used = end
        self._plains.append(plain)
        self._forms.append(form)
        self._outputs.append(outputs)
        self._models.append(model)
        self._counts.append(plain.rows)
        self._labels_of.append(model.labels)
        self._score_at.append(self._scores)
        self._label_at.append(self._rows)
        self._scores += plain.rows * form.columns
        self._rows += plain.rows
        self._has_labels |= form.has_label
        return len(self._plains) - 1

    cdef int _make_room(self, Py_ssize_t needed) except -1:
        if needed > self._room:
            self._room = max(2 * self._room, needed, _LEAST_ROOM)
            self._values = <float*>_resized(self._values, self._room * sizeof(float))
            poison(self._values + self._used, (self._room - self._used) * sizeof(float))
        return 0

    def charge(self, double nanoseconds):
        """Count other work of the tick."""
        self.cost += nanoseconds

    def let_go(self):
        """The models are busy no more; `run` does it in the end. For who does not come to run."""
        cdef Native model
        models, self._models = self._models, []
        for model in models:
            model.leave()

    def run(self):
        """Score everything that was added; then nothing can be added."""
        if not self._plains:
            return
        try:
            self._score()
        finally:
            self.let_go()

    cdef int _score(self) except -1:
        self._out = <float*>_resized(self._out, self._scores * sizeof(float))
        labels = None
        if self._has_labels:
            self._labels = <int64_t*>_resized(self._labels, self._rows * sizeof(int64_t))
            labels = _view(self._labels, self._rows * sizeof(int64_t), PyBUF_WRITE)
        score_joined(
            self._models,
            self._counts,
            _view(self._values, self._used * sizeof(float), PyBUF_READ),
            _view(self._out, self._scores * sizeof(float), PyBUF_WRITE),
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
        widths = [False] * len(self._plains)
        for place in self._wide:
            widths[place] = True
        return widths

    cdef int _rename_labels(self) except -1:
        cdef Py_ssize_t place, i, at
        cdef const int64_t[:] names
        for place in range(len(self._plains)):
            if self._labels_of[place] is not None and (<Form>self._forms[place]).has_label:
                names = self._labels_of[place]
                at = self._label_at[place]
                for i in range(at, at + <Py_ssize_t>self._counts[place]):
                    self._labels[i] = names[self._labels[i]]
        return 0

    def infer_answer(self, Py_ssize_t place):
        """The ModelInferResponse of the request at `place`, raw if the request was raw."""
        cdef Plain plain = self._plains[place]
        cdef Form form = self._forms[place]
        cdef list outputs = self._outputs[place]
        cdef Py_ssize_t size
        cdef Output output
        cdef bytes answer
        cdef uint8_t* at
        size = _text_room(plain.name) + _text_room(plain.version) + _text_room(plain.id)
        for output in outputs:
            size += record_size(self._tensor_size(place, plain, form, output))
            if plain.is_raw:
                size += record_size(_raw_size(plain, form, output))
        answer = unfilled(size)
        at = _put_text(<uint8_t*>PyBytes_AS_STRING(answer), 1, plain.name)
        at = _put_text(at, 2, plain.version)
        at = _put_text(at, 3, plain.id)
        for output in outputs:
            at = self._put_tensor(at, place, plain, form, output)
        if plain.is_raw:
            for output in outputs:
                at = self._put_raw(at, place, plain, form, output)
        return filled(answer, at)

    cdef Py_ssize_t _tensor_size(self, Py_ssize_t place, Plain plain, Form form, Output output) noexcept:
        cdef Py_ssize_t size = PyBytes_GET_SIZE(output.infer) + record_size(_shape_size(plain, form, output))
        if plain.is_raw:
            return size
        return size + record_size(record_size(self._values_size(place, plain.rows, form, output)))

    cdef uint8_t* _put_tensor(
        self, uint8_t* at, Py_ssize_t place, Plain plain, Form form, Output output
    ) noexcept:
        """An InferOutputTensor, with its values unless they go raw."""
        cdef Py_ssize_t head = PyBytes_GET_SIZE(output.infer), values
        at = put_head(at, self._tensor_size(place, plain, form, output), 5)
        memcpy(at, PyBytes_AS_STRING(output.infer), head)
        at = put_varint(put_head(at + head, _shape_size(plain, form, output), 3), plain.rows)
        if not output.is_label:
            at = put_varint(at, form.columns)
        if not plain.is_raw:
            values = self._values_size(place, plain.rows, form, output)
            at = put_head(at, record_size(values), 5)
            at = put_head(at, values, 3 if output.is_label else 6)
            at = self._put_values(at, place, plain.rows, form, output)
        return at

    cdef uint8_t* _put_raw(
        self, uint8_t* at, Py_ssize_t place, Plain plain, Form form, Output output
    ) noexcept:
        cdef Py_ssize_t size = _raw_size(plain, form, output)
        at = put_head(at, size, 6)
        if not output.is_label:
            return self._put_values(at, place, plain.rows, form, output)
        memcpy(at, self._labels + <Py_ssize_t>self._label_at[place], size)
        return at + size

    def item_answer(self, Py_ssize_t place, unsigned int took_us):
        """The Result of the item at `place`."""
        cdef Plain plain = self._plains[place]
        cdef Form form = self._forms[place]
        cdef Py_ssize_t size = 0, room
        cdef Output output
        cdef bytes answer
        cdef uint8_t* at
        for output in form.outputs:
            size += record_size(self._output_size(place, form, output))
        room = record_size(size)
        if plain.number:
            room += 1 + varint_size(plain.number)
        if took_us:
            room += 1 + varint_size(took_us)
        answer = unfilled(room)
        at = put_head(<uint8_t*>PyBytes_AS_STRING(answer), size, 1)
        for output in form.outputs:
            at = self._put_output(at, place, form, output)
        if plain.number:
            at[0] = 3 << 3 | VARINT
            at = put_varint(at + 1, plain.number)
        if took_us:
            at[0] = 4 << 3 | VARINT
            at = put_varint(at + 1, took_us)
        return filled(answer, at)

    cdef Py_ssize_t _output_size(self, Py_ssize_t place, Form form, Output output) noexcept:
        cdef Py_ssize_t values = self._values_size(place, 1, form, output)
        return PyBytes_GET_SIZE(output.item) + record_size(record_size(values))

    cdef uint8_t* _put_output(self, uint8_t* at, Py_ssize_t place, Form form, Output output) noexcept:
        cdef Py_ssize_t values = self._values_size(place, 1, form, output), head = PyBytes_GET_SIZE(output.item)
        at = put_head(at, self._output_size(place, form, output), 1)
        memcpy(at, PyBytes_AS_STRING(output.item), head)
        at = put_head(at + head, record_size(values), 3 if output.is_label else 2)
        return self._put_values(put_head(at, values, 1), place, 1, form, output)

    cdef Py_ssize_t _values_size(self, Py_ssize_t place, Py_ssize_t rows, Form form, Output output) noexcept:
        """Bytes of an output's packed values."""
        cdef Py_ssize_t i, at, size = 0
        if not output.is_label:
            return rows * form.columns * <Py_ssize_t>sizeof(float)
        at = self._label_at[place]
        for i in range(at, at + rows):
            size += varint_size(<uint64_t>self._labels[i])
        return size

    cdef uint8_t* _put_values(
        self, uint8_t* out, Py_ssize_t place, Py_ssize_t rows, Form form, Output output
    ) noexcept:
        cdef Py_ssize_t i, at, size
        if not output.is_label:
            size = rows * form.columns * <Py_ssize_t>sizeof(float)
            memcpy(out, self._out + <Py_ssize_t>self._score_at[place], size)
            return out + size
        at = self._label_at[place]
        for i in range(at, at + rows):
            out = put_varint(out, <uint64_t>self._labels[i])
        return out


cdef void* _resized(void* memory, Py_ssize_t size) except NULL:
    cdef void* resized = realloc(memory, max(size, 1))
    if resized == NULL:
        raise MemoryError
    return resized


cdef object _view(void* memory, Py_ssize_t size, int flags):
    return PyMemoryView_FromMemory(<char*>memory, size, flags)


cdef Py_ssize_t _shape_size(Plain plain, Form form, Output output) noexcept:
    return varint_size(plain.rows) + (0 if output.is_label else varint_size(form.columns))


cdef Py_ssize_t _raw_size(Plain plain, Form form, Output output) noexcept:
    if output.is_label:
        return plain.rows * <Py_ssize_t>sizeof(int64_t)
    return plain.rows * form.columns * <Py_ssize_t>sizeof(float)


cdef Py_ssize_t _text_room(Text text) noexcept:
    return record_size(text.size) if text.size else 0


cdef uint8_t* _put_text(uint8_t* at, int number, Text text) noexcept:
    if not text.size:
        return at
    at = put_head(at, text.size, number)
    memcpy(at, text.data, text.size)
    return at + text.size
