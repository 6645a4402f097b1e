# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""How the rows of plain requests are filled in for models of one signature, and their outputs named.

What a form says depends on the signature alone, so models that share one share the other. A request that
does not fit, whatever the reason, is not filled in: the general way says why.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.ref cimport PyObject
from libc.float cimport FLT_MAX
from libc.math cimport NAN, fabs, isinf
from libc.stdint cimport uint8_t
from libc.string cimport memcmp, memcpy, memset

from cell.plain cimport Plain
from croupier.fields cimport I64, LEN, Cursor, Field, next_field
from croupier.fields import MalformedMessage
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2

cdef enum:
    # More features go the general way.
    _MOST_FEATURES = 4096

_LABEL = "label"
_InferOutput = inference_pb2.ModelInferResponse.InferOutputTensor


cdef class Output:
    """See form.pxd."""


cdef class Form:
    """See form.pxd; made by `form_of`."""

    cdef list chosen(self, Plain plain):
        """The outputs that `plain` wants, in its order; None if it names one that is none, or one twice."""
        cdef list found = []
        cdef Output output
        cdef int i
        if not plain.output_count:
            return self.outputs
        for i in range(plain.output_count):
            for output in self.outputs:
                if _is(plain.outputs[i].data, plain.outputs[i].size, output.name) and output not in found:
                    found.append(output)
                    break
            else:
                return None
        return found

    cdef bint fill(self, Plain plain, float* rows, Py_ssize_t count) noexcept:
        """Write the rows of `plain`: `count` values, each of them.

        False if they do not fit, or hold a NaN that may not be. This is the one place that fills what is scored, so
        here it is compared, for every kind of request, that what is written is what was booked.
        """
        if count != plain.rows * self.features:
            return False
        if plain.features != NULL:
            return plain.rows == 1 and bool(self._places) and self._fill_named(plain, rows)
        if plain.is_tensor:
            if plain.columns != self.features or not _is(plain.input.data, plain.input.size, self._input):
                return False
        elif not self._places:
            return False
        if plain.size != count * <Py_ssize_t>sizeof(float):
            return False
        memcpy(rows, plain.values, plain.size)
        return self._accepts_missing or not _has_nan(rows, count)

    cdef bint _fill_named(self, Plain plain, float* row) noexcept:
        cdef uint8_t seen[_MOST_FEATURES]
        cdef Py_ssize_t i
        memset(seen, 0, self.features)
        try:
            if not self._read_features(plain, row, seen):
                return False
        except Exception:
            return False
        for i in range(self.features):
            if not seen[i]:
                if not self._accepts_missing:
                    return False
                row[i] = NAN
        return True

    cdef bint _read_features(self, Plain plain, float* row, uint8_t* seen) except -1:
        cdef Cursor cursor = Cursor(plain.features, plain.features + plain.size), inner
        cdef Field field, part
        cdef PyObject* found
        cdef Py_ssize_t place = 0
        cdef double value = 0.0
        cdef bint has_name, has_value
        while next_field(&cursor, &field):
            if field.number != 1 or field.kind != LEN:
                return False
            inner = Cursor(field.data, field.data + field.size)
            has_name = has_value = False
            while next_field(&inner, &part):
                if part.number == 1 and part.kind == LEN and not has_name:
                    found = PyDict_GetItem(
                        self._places, PyBytes_FromStringAndSize(<const char*>part.data, part.size)
                    )
                    if found == NULL:
                        return False
                    place = <object>found
                    has_name = True
                elif part.number == 2 and part.kind == I64 and not has_value:
                    memcpy(&value, part.data, sizeof(double))
                    has_value = True
                else:
                    return False
            if not has_name or not has_value or seen[place]:
                return False
            if value != value:
                if not self._accepts_missing:
                    return False
            elif fabs(value) > FLT_MAX and not isinf(value):
                return False
            row[place] = <float>value
            seen[place] = 1
        return True


def form_of(features, accepts_missing, inputs, outputs):
    """The form of a signature's parts, or None if its models are not asked plainly.

    They are when they take one FP32 input of shape (-1, n) and give FP32 outputs of shape (-1, m), all of
    them the same scores, and perhaps INT64 labels of shape (-1,).
    """
    cdef Form form = Form.__new__(Form)
    cdef Output output
    if len(inputs) != 1 or inputs[0].datatype != "FP32" or len(inputs[0].shape) != 2:
        return None
    form.features = inputs[0].shape[1]
    if form.features > _MOST_FEATURES:
        return None
    form._input = inputs[0].name.encode()
    form._accepts_missing = accepts_missing
    # A name that is not ASCII has no place, and its requests go the general way, which checks their text.
    form._places = {name.encode(): place for place, name in enumerate(features) if name.isascii()}
    form.outputs = []
    for tensor in outputs:
        output = Output.__new__(Output)
        output.is_label = tensor.name == _LABEL
        if output.is_label:
            if tensor.datatype != "INT64" or tuple(tensor.shape) != (-1,):
                return None
            form.has_label = True
        elif tensor.datatype != "FP32" or len(tensor.shape) != 2 or tensor.shape[1] < 1:
            return None
        elif form.columns not in (0, tensor.shape[1]):
            return None
        else:
            form.columns = tensor.shape[1]
        output.name = tensor.name.encode()
        output.item = prediction_pb2.Output(name=tensor.name).SerializeToString()
        output.infer = _InferOutput(name=tensor.name, datatype=tensor.datatype).SerializeToString()
        form.outputs.append(output)
    return form if form.columns else None


cdef bint _is(const uint8_t* data, Py_ssize_t size, bytes name) noexcept:
    return size == PyBytes_GET_SIZE(name) and memcmp(data, PyBytes_AS_STRING(name), size) == 0


cdef bint _has_nan(const float* values, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    cdef int found = 0
    for i in range(count):
        found |= values[i] != values[i]
    return found != 0
