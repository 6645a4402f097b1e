"""How the rows of plain requests are filled in for models of one signature, and their outputs named.

What a form says depends on the signature alone, so models that share one share the other. A request that
does not fit, whatever the reason, is not filled in: the general way says why.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.ref cimport PyObject
from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport NAN, fabs, fabsf, isinf
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, memcpy, memset

from cell.engines.transform cimport NOT_REFUSED, code_of, refusal
from cell.engines.transform_layout cimport IS_TEXT, TransformView
from cell.codec.complete cimport (
    GIVEN,
    NOT_LISTED,
    Completion,
    allows,
    complete_named,
    complete_rows,
    give,
    placement_in,
    settle,
)
from cell.codec.plain cimport Plain
from croupier.fields cimport I64, LEN, Cursor, Field, Text, next_field
from protos.numbers cimport (
    Feature_name,
    Feature_number,
    Feature_text,
    Features_features,
)
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

    cdef bint complete(self, Plain plain) except -1:
        """Have a plain request filled in with what was fetched for it; False if it is to go elsewhere."""
        placement = placement_in(self._placements, self._columns, self.features, plain)
        if placement is None or plain.is_explained:
            return False
        if plain.features != NULL:
            return complete_named(plain, placement)
        return not self._is_apart and complete_rows(plain, placement)

    cdef bint fill(
        self, Plain plain, void* rows, Py_ssize_t count, bint as_double, const TransformView* transform
    ) noexcept:
        """Write the rows of `plain`: `count` values, each of them, as float64 or as float32.

        Of a model with a `transform`, which is NULL for others, they are float64, and what that says of its
        features is looked at as well. False if they do not fit, or hold what may not be. This is the one
        place that fills what is scored, so here it is compared, for every kind of request, that what is
        written is what was booked.
        """
        if transform != NULL:
            if not as_double or transform.header.features != self.features:
                return False
            return self._fill(plain, rows, count, True, transform) and _takes(
                transform, <double*>rows, plain.rows, FLT_MAX if self._is_bounded else DBL_MAX
            )
        return self._fill(plain, rows, count, as_double, NULL)

    cdef bint _fill(
        self, Plain plain, void* rows, Py_ssize_t count, bint as_double, const TransformView* transform
    ) noexcept:
        if count != plain.rows * self.features:
            return False
        if plain.features != NULL:
            if plain.rows != 1 or not self._places:
                return False
            return self._fill_named(plain, rows, as_double, transform)
        if self._is_apart:
            return False
        # A row by itself is in the order of the features, which every model of one wide input has.
        if plain.is_tensor and (
            plain.columns != self.features or not _is(plain.input.data, plain.input.size, self._input)
        ):
            return False
        if plain.size != count * <Py_ssize_t>(sizeof(double) if plain.is_double else sizeof(float)):
            return False
        if plain.is_double or as_double:
            return self._fill_each(plain, rows, count, as_double)
        memcpy(rows, plain.values, plain.size)
        if not self._is_finite:
            return self._accepts_missing or not _has_nan(<float*>rows, count)
        if not self._accepts_missing:
            return _are_finite(<float*>rows, count)
        return not _has_infinity(<float*>rows, count)

    cdef bint _fill_each(self, Plain plain, void* rows, Py_ssize_t count, bint as_double) noexcept:
        """From one of the two to the other, or float64 as they are."""
        cdef double value = 0.0
        cdef float single = 0.0
        cdef Py_ssize_t i
        for i in range(count):
            if plain.is_double:
                memcpy(&value, plain.values + i * sizeof(double), sizeof(double))
            else:
                memcpy(&single, plain.values + i * sizeof(float), sizeof(float))
                value = single
            if not self._put(value, i, rows, as_double):
                return False
        return True

    cdef bint _put(self, double value, Py_ssize_t place, void* row, bint as_double) noexcept nogil:
        """Write a float64, to the nearest float32 unless it is `as_double`; False if it may not be."""
        if value != value:
            if not self._accepts_missing:
                return False
        elif fabs(value) > FLT_MAX:
            if self._is_finite if isinf(value) else self._is_bounded:
                return False
        if as_double:
            (<double*>row)[place] = value
        else:
            (<float*>row)[place] = <float>value
        return True

    cdef bint _fill_named(
        self, Plain plain, void* row, bint as_double, const TransformView* transform
    ) noexcept:
        cdef uint8_t seen[_MOST_FEATURES]
        cdef Py_ssize_t i
        memset(seen, 0, self.features)
        try:
            if not self._read_features(plain, row, as_double, transform, seen):
                return False
        except Exception:
            return False
        if plain.completion is not None:
            return self._fill_rest(plain, row, as_double, transform, seen)
        for i in range(self.features):
            if not seen[i] and (self._is_complete or not self._put(NAN, i, row, as_double)):
                return False
        return True

    cdef bint _fill_rest(
        self, Plain plain, void* row, bint as_double, const TransformView* transform, const uint8_t* seen
    ) noexcept:
        """What is not `seen` is as it was fetched."""
        cdef Completion completion = plain.completion
        cdef Py_ssize_t i
        cdef int given
        cdef double value = 0.0
        for i in range(self.features):
            if seen[i]:
                continue
            given = give(completion, i, &value)
            if given == NOT_LISTED:
                if self._is_complete:
                    return False
                value = NAN
            elif given != GIVEN or (transform != NULL and transform.bits[i] & IS_TEXT and value == value):
                return False
            if not self._put(value, i, row, as_double):
                return False
        settle(completion, plain)
        return True

    cdef bint _read_features(
        self, Plain plain, void* row, bint as_double, const TransformView* transform, uint8_t* seen
    ) except -1:
        cdef Cursor cursor = Cursor(plain.features, plain.features + plain.size), inner
        cdef Field field, part
        cdef Text text = Text(NULL, 0)
        cdef PyObject* found
        cdef Py_ssize_t place = 0
        cdef double value = 0.0
        cdef bint has_name, has_value, has_text
        cdef Completion completion = plain.completion
        while next_field(&cursor, &field):
            if field.number != Features_features or field.kind != LEN:
                return False
            inner = Cursor(field.data, field.data + field.size)
            has_name = has_value = has_text = False
            while next_field(&inner, &part):
                if part.number == Feature_name and part.kind == LEN and not has_name:
                    found = PyDict_GetItem(
                        self._places, PyBytes_FromStringAndSize(<const char*>part.data, part.size)
                    )
                    if found == NULL:
                        return False
                    place = <object>found
                    has_name = True
                elif part.number == Feature_number and part.kind == I64 and not has_value and not has_text:
                    memcpy(&value, part.data, sizeof(double))
                    has_value = True
                elif part.number == Feature_text and part.kind == LEN and not has_value and not has_text:
                    text = Text(part.data, part.size)
                    has_text = True
                else:
                    return False
            if not has_name or not (has_value or has_text) or seen[place]:
                return False
            if has_text:
                if not _find(transform, place, &text, &value):
                    return False
            elif transform != NULL and transform.bits[place] & IS_TEXT and value == value:
                return False
            elif completion is not None and not allows(completion, place, value):
                return False
            if not self._put(value, place, row, as_double):
                return False
            seen[place] = 1
        return True


cdef bint _find(
    const TransformView* transform, Py_ssize_t place, const Text* text, double* value
) noexcept nogil:
    """Look up the text of a feature; False if it has none, or one that may not be valid UTF-8.

    What was found is, since all that is in dictionaries is; of others the general way looks.
    """
    if transform == NULL or not transform.bits[place] & IS_TEXT:
        return False
    value[0] = code_of(transform, place, <const char*>text.data, text.size)
    return value[0] >= 0.0 or _is_ascii(text.data, text.size)


cdef bint _is_ascii(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint8_t seen = 0
    for i in range(size):
        seen |= data[i]
    return seen < 0x80


cdef bint _takes(
    const TransformView* transform, const double* rows, Py_ssize_t count, double limit
) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint32_t feature
    cdef const double* row
    for i in range(count):
        row = rows + i * <Py_ssize_t>transform.header.features
        if refusal(transform, row, limit, &feature) != NOT_REFUSED:
            return False
    return True


def form_of(signature):
    """The form of a native model's signature, or None if its models are not asked plainly.

    They are when they take one FP32 or FP64 input of shape (-1, n), or named features of which each is an
    input of its own, FP64 or BYTES, and give FP32 outputs of shape (-1, m), all of them the same scores, and
    perhaps INT64 labels of shape (-1,).
    """
    cdef Form form = Form.__new__(Form)
    inputs, outputs = signature.inputs, signature.outputs
    form._is_apart = len(inputs) > 1 or inputs[0].datatype == "BYTES"
    form.features = _features_of(inputs, form._is_apart)
    form.columns = _columns_of(outputs)
    if not 1 <= form.features <= _MOST_FEATURES or form.columns == 0:
        return None
    form.is_wide = signature.wide
    form._input = inputs[0].name.encode()
    form._accepts_missing = signature.accepts_missing
    form._is_finite = signature.finite
    form._is_complete = signature.complete
    form._is_bounded = signature.bounded
    # A name that is not ASCII has no place, and its requests go the general way, which checks their text.
    form._places = {name.encode(): place for name, place in signature.columns.items() if name.isascii()}
    form._columns, form._placements = signature.columns, {}
    form.outputs = [_output_of(tensor) for tensor in outputs]
    form.has_label = any(tensor.name == _LABEL for tensor in outputs)
    return form


cdef Py_ssize_t _features_of(inputs, bint is_apart) except -2:
    """How many features a row has; none if rows are not given plainly, or if their size is free, -1.

    What is booked for a request is its rows times this number. No artifact leaves it free, nor may a form.
    """
    if not is_apart:
        is_matrix = inputs[0].datatype in ("FP32", "FP64") and len(inputs[0].shape) == 2
        return inputs[0].shape[1] if is_matrix else 0
    if any(tensor.shape != (-1, 1) or tensor.datatype not in ("FP64", "BYTES") for tensor in inputs):
        return 0
    return len(inputs)


cdef Py_ssize_t _columns_of(outputs) except -1:
    """How many scores a row gets, the same of every output; 0 if answers are not plain."""
    cdef Py_ssize_t columns = 0
    for tensor in outputs:
        if tensor.name == _LABEL:
            if tensor.datatype != "INT64" or tuple(tensor.shape) != (-1,):
                return 0
        elif tensor.datatype != "FP32" or len(tensor.shape) != 2 or tensor.shape[1] < 1:
            return 0
        elif columns not in (0, tensor.shape[1]):
            return 0
        else:
            columns = tensor.shape[1]
    return columns


cdef Output _output_of(tensor):
    cdef Output output = Output.__new__(Output)
    output.is_label = tensor.name == _LABEL
    output.name = tensor.name.encode()
    output.item = prediction_pb2.Output(name=tensor.name).SerializeToString()
    output.infer = _InferOutput(name=tensor.name, datatype=tensor.datatype).SerializeToString()
    return output


cdef bint _is(const uint8_t* data, Py_ssize_t size, bytes name) noexcept:
    return size == PyBytes_GET_SIZE(name) and memcmp(data, PyBytes_AS_STRING(name), size) == 0


cdef bint _has_nan(const float* values, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    cdef int found = 0
    for i in range(count):
        found |= values[i] != values[i]
    return found != 0


cdef bint _has_infinity(const float* values, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    cdef int found = 0
    for i in range(count):
        found |= fabsf(values[i]) > FLT_MAX
    return found != 0


cdef bint _are_finite(const float* values, Py_ssize_t count) noexcept nogil:
    """Neither NaN nor infinite."""
    cdef Py_ssize_t i
    cdef int are = 1
    for i in range(count):
        are &= fabsf(values[i]) <= FLT_MAX
    return are != 0
