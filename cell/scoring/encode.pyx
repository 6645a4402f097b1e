"""The answers to plain requests that were scored, as protobuf: each in one buffer of just its size."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from cell.codec.plain cimport Plain
from cell.engines.form cimport Form, Output
from cell.scoring.score cimport Scoring
from croupier.buffers cimport filled, unfilled
from croupier.fields cimport VARINT, Text, put_head, put_varint, record_size, varint_size
from protos.numbers cimport InferParameter_int64_param, Result_defaults, Result_degraded

# Of an entry of the parameters, the name as its field.
cdef bytes _DEFAULTS = b"\x0a\x11croupier.defaults"
# A whole entry, up to its value, which is one byte.
cdef bytes _DEGRADED = b"\x22\x17\x0a\x11croupier.degraded\x12\x02\x08"


def infer_answer(Scoring scoring not None, Py_ssize_t place):
    """The ModelInferResponse of the request at `place`, raw if the request was raw."""
    cdef Plain plain = scoring.plains[place]
    cdef Form form = scoring.forms[place]
    cdef list outputs = scoring.outputs[place]
    cdef Py_ssize_t size
    cdef Output output
    cdef bytes answer
    cdef uint8_t* at
    size = _text_room(plain.name) + _text_room(plain.version) + _text_room(plain.id)
    for output in outputs:
        size += record_size(_tensor_size(scoring, place, plain, form, output))
        if plain.is_raw:
            size += record_size(_raw_size(plain, form, output))
    if plain.is_completed:
        size += _told_size(plain)
    answer = unfilled(size)
    at = _put_text(<uint8_t*>PyBytes_AS_STRING(answer), 1, plain.name)
    at = _put_text(at, 2, plain.version)
    at = _put_text(at, 3, plain.id)
    if plain.is_completed:
        at = _put_told(at, plain)
    for output in outputs:
        at = _put_tensor(scoring, at, place, plain, form, output)
    if plain.is_raw:
        for output in outputs:
            at = _put_raw(scoring, at, place, plain, form, output)
    return filled(answer, at)


cdef Py_ssize_t _told_size(Plain plain) noexcept:
    """Of the parameters that say how many defaults were used, and whether the answer is degraded."""
    cdef Py_ssize_t head = PyBytes_GET_SIZE(_DEFAULTS)
    return record_size(head + record_size(1 + varint_size(plain.defaults))) + PyBytes_GET_SIZE(_DEGRADED) + 1


cdef uint8_t* _put_told(uint8_t* at, Plain plain) noexcept:
    cdef Py_ssize_t head = PyBytes_GET_SIZE(_DEFAULTS), value = 1 + varint_size(plain.defaults)
    at = put_head(at, head + record_size(value), 4)
    memcpy(at, PyBytes_AS_STRING(_DEFAULTS), head)
    at = put_head(at + head, value, 2)
    at[0] = InferParameter_int64_param << 3 | VARINT
    at = put_varint(at + 1, plain.defaults)
    memcpy(at, PyBytes_AS_STRING(_DEGRADED), PyBytes_GET_SIZE(_DEGRADED))
    at += PyBytes_GET_SIZE(_DEGRADED)
    at[0] = plain.is_degraded
    return at + 1


cdef Py_ssize_t _tensor_size(
    Scoring scoring, Py_ssize_t place, Plain plain, Form form, Output output
) noexcept:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(output.infer) + record_size(_shape_size(plain, form, output))
    if plain.is_raw:
        return size
    return size + record_size(record_size(_values_size(scoring, place, plain.rows, form, output)))


cdef uint8_t* _put_tensor(
    Scoring scoring, uint8_t* at, Py_ssize_t place, Plain plain, Form form, Output output
) noexcept:
    """An InferOutputTensor, with its values unless they go raw."""
    cdef Py_ssize_t head = PyBytes_GET_SIZE(output.infer), values
    at = put_head(at, _tensor_size(scoring, place, plain, form, output), 5)
    memcpy(at, PyBytes_AS_STRING(output.infer), head)
    at = put_varint(put_head(at + head, _shape_size(plain, form, output), 3), plain.rows)
    if not output.is_label:
        at = put_varint(at, form.columns)
    if not plain.is_raw:
        values = _values_size(scoring, place, plain.rows, form, output)
        at = put_head(at, record_size(values), 5)
        at = put_head(at, values, 3 if output.is_label else 6)
        at = _put_values(scoring, at, place, plain.rows, form, output)
    return at


cdef uint8_t* _put_raw(
    Scoring scoring, uint8_t* at, Py_ssize_t place, Plain plain, Form form, Output output
) noexcept:
    cdef Py_ssize_t size = _raw_size(plain, form, output)
    at = put_head(at, size, 6)
    if not output.is_label:
        return _put_values(scoring, at, place, plain.rows, form, output)
    memcpy(at, scoring.labels + <Py_ssize_t>scoring.label_at[place], size)
    return at + size


def item_answer(Scoring scoring not None, Py_ssize_t place, unsigned int took_us):
    """The Result of the item at `place`."""
    cdef Plain plain = scoring.plains[place]
    cdef Form form = scoring.forms[place]
    cdef Py_ssize_t size = 0, room
    cdef Output output
    cdef bytes answer
    cdef uint8_t* at
    for output in form.outputs:
        size += record_size(_output_size(scoring, place, form, output))
    room = record_size(size)
    if plain.number:
        room += 1 + varint_size(plain.number)
    if took_us:
        room += 1 + varint_size(took_us)
    if plain.defaults:
        room += 1 + varint_size(plain.defaults)
    if plain.is_degraded:
        room += 2
    answer = unfilled(room)
    at = put_head(<uint8_t*>PyBytes_AS_STRING(answer), size, 1)
    for output in form.outputs:
        at = _put_output(scoring, at, place, form, output)
    if plain.number:
        at[0] = 3 << 3 | VARINT
        at = put_varint(at + 1, plain.number)
    if took_us:
        at[0] = 4 << 3 | VARINT
        at = put_varint(at + 1, took_us)
    if plain.defaults:
        at[0] = Result_defaults << 3 | VARINT
        at = put_varint(at + 1, plain.defaults)
    if plain.is_degraded:
        at[0], at[1] = Result_degraded << 3 | VARINT, 1
        at += 2
    return filled(answer, at)


cdef Py_ssize_t _output_size(Scoring scoring, Py_ssize_t place, Form form, Output output) noexcept:
    cdef Py_ssize_t values = _values_size(scoring, place, 1, form, output)
    return PyBytes_GET_SIZE(output.item) + record_size(record_size(values))


cdef uint8_t* _put_output(Scoring scoring, uint8_t* at, Py_ssize_t place, Form form, Output output) noexcept:
    cdef Py_ssize_t values = _values_size(scoring, place, 1, form, output)
    cdef Py_ssize_t head = PyBytes_GET_SIZE(output.item)
    at = put_head(at, _output_size(scoring, place, form, output), 1)
    memcpy(at, PyBytes_AS_STRING(output.item), head)
    at = put_head(at + head, record_size(values), 3 if output.is_label else 2)
    return _put_values(scoring, put_head(at, values, 1), place, 1, form, output)


cdef Py_ssize_t _values_size(
    Scoring scoring, Py_ssize_t place, Py_ssize_t rows, Form form, Output output
) noexcept:
    """Bytes of an output's packed values."""
    cdef Py_ssize_t i, at, size = 0
    if not output.is_label:
        return rows * form.columns * <Py_ssize_t>sizeof(float)
    at = scoring.label_at[place]
    for i in range(at, at + rows):
        size += varint_size(<uint64_t>scoring.labels[i])
    return size


cdef uint8_t* _put_values(
    Scoring scoring, uint8_t* out, Py_ssize_t place, Py_ssize_t rows, Form form, Output output
) noexcept:
    cdef Py_ssize_t i, at, size
    if not output.is_label:
        size = rows * form.columns * <Py_ssize_t>sizeof(float)
        memcpy(out, scoring.scores + <Py_ssize_t>scoring.score_at[place], size)
        return out + size
    at = scoring.label_at[place]
    for i in range(at, at + rows):
        out = put_varint(out, <uint64_t>scoring.labels[i])
    return out


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
