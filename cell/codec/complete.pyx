"""Completes plain requests with numbers that a router fetched for them (field 1004, `croupier/fetched.py`).

What is completed, and with what, says `given.py`, the general way, which also says what is wrong: here
nothing is refused, only left to it. Texts among the fetched features, what is shared, and answers that
explain go there too.

What a spec means for the models of a form is remembered by its bytes. Rows of values are written anew, as
float64, into bytes that their request keeps; named features are asked for one by one as they are filled in
(`cell/engines/form.pyx`). All of a field is looked at, its last origin too: the general way reads all of it.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.dict cimport PyDict_GetItem
from cpython.ref cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from cell.codec.plain cimport Plain
from croupier.buffers cimport filled, unfilled
from croupier.fetched import DEGRADED, FORMAT, MOST_FEATURES, MOST_SPEC_BYTES, BadFetched, Origin, read_spec

cdef enum:
    _HEADER_BYTES = 20
    # A value, its event time and its origin.
    _VALUE_BYTES = 17
    _NUMBER_BYTES = 8
    _TIME_BYTES = 8
    # So many specs are remembered for a form.
    _MOST_SPECS = 64

cdef uint8_t _FORMAT = FORMAT, _DEGRADED = DEGRADED
cdef uint8_t _STORE = Origin.STORE, _DOWN = Origin.DOWN, _ABSENT = Origin.ABSENT
cdef Py_ssize_t _MOST_FEATURES = MOST_FEATURES, _MOST_SPEC_BYTES = MOST_SPEC_BYTES

# Stands for a spec that the general way reads.
cdef Placement _ELSEWHERE = Placement.__new__(Placement)

cdef packed struct _Header:
    uint8_t format
    uint8_t flags
    uint16_t count
    uint32_t rows
    int64_t now_ms
    uint32_t spec_size


@cython.final
cdef class Placement:
    """See complete.pxd; made by `placement_in`."""

    def __dealloc__(self):
        free(self.columns)
        free(self.low)
        free(self.high)


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Completion:
    """See complete.pxd."""


cdef Placement placement_in(dict known, object columns, Py_ssize_t features, Plain plain):
    """What the spec in `plain` means, of those that are `known` or a new one; None if it is not for here.

    `columns` are the places of the model's features, of which there are `features`.
    """
    cdef _Header header
    cdef PyObject* found
    cdef Placement placement
    cdef Py_ssize_t row_bytes
    if plain.fetched.size < _HEADER_BYTES:
        return None
    memcpy(&header, plain.fetched.data, _HEADER_BYTES)
    if header.format != _FORMAT or header.flags & ~_DEGRADED or not 1 <= header.count <= _MOST_FEATURES:
        return None
    if header.spec_size > _MOST_SPEC_BYTES or (header.rows != 1 and header.rows != plain.rows):
        return None
    row_bytes = sizeof(uint32_t) + header.count * _VALUE_BYTES
    if plain.fetched.size != _HEADER_BYTES + <Py_ssize_t>header.spec_size + header.rows * row_bytes:
        return None
    spec = PyBytes_FromStringAndSize(<const char*>plain.fetched.data + _HEADER_BYTES, header.spec_size)
    found = PyDict_GetItem(known, spec)
    if found == NULL:
        if len(known) >= _MOST_SPECS:
            known.clear()
        known[spec] = placement = _placement_of(spec, header.count, columns, features)
    else:
        placement = <Placement>found
    return placement if placement.count == header.count and _are_rows(plain, &header) else None


cdef Placement _placement_of(bytes spec, Py_ssize_t count, object columns, Py_ssize_t features):
    cdef Placement placement = Placement.__new__(Placement)
    cdef Py_ssize_t i, place
    try:
        listed = read_spec(spec, count)
    except BadFetched:
        return _ELSEWHERE
    if any(feature.is_text for feature in listed):
        return _ELSEWHERE
    placement.count, placement.features = count, features
    placement.columns = <int32_t*>_room(features * sizeof(int32_t))
    placement.low = <double*>_room(count * sizeof(double))
    placement.high = <double*>_room(count * sizeof(double))
    for i in range(features):
        placement.columns[i] = -1
    for i, feature in enumerate(listed):
        placement.low[i], placement.high[i] = feature.low, feature.high
        found = columns.get(feature.name)
        if found is not None:
            place = found
            placement.columns[place] = i
            placement.covered += 1
    return placement


cdef void* _room(Py_ssize_t size) except NULL:
    cdef void* made = malloc(size)
    if made == NULL:
        raise MemoryError
    return made


cdef bint _are_rows(Plain plain, const _Header* header) noexcept nogil:
    """Whether each row is of numbers alone, and of origins that a router writes."""
    cdef const uint8_t* at = plain.fetched.data + _HEADER_BYTES + header.spec_size
    cdef Py_ssize_t j, count = header.count
    cdef uint32_t size
    for _ in range(header.rows):
        memcpy(&size, at, sizeof(size))
        if size != count * _VALUE_BYTES:
            return False
        at += sizeof(size) + count * (_NUMBER_BYTES + _TIME_BYTES)
        for j in range(count):
            if at[j] > _ABSENT:
                return False
        at += count
    return True


cdef bint complete_rows(Plain plain, Placement placement) except -1:
    """Write dense rows anew; False if they do not fit, or are to be refused."""
    cdef Py_ssize_t width = sizeof(double) if plain.is_double else sizeof(float)
    cdef Py_ssize_t columns = plain.columns
    cdef Completion completion
    cdef const uint8_t* own = plain.values
    cdef bytes made
    cdef double* out
    if not plain.is_tensor:
        columns = plain.size // width
    if plain.size != plain.rows * columns * width:
        return False
    if columns != placement.features and columns != placement.features - placement.covered:
        return False
    completion = _completion_of(plain, placement)
    made = unfilled(plain.rows * placement.features * sizeof(double))
    out = <double*>PyBytes_AS_STRING(made)
    for _ in range(plain.rows):
        if not _complete_row(completion, own, plain.is_double, columns == placement.features, out):
            return False
        own += columns * width
        out += placement.features
        completion.row += completion.stride
    filled(made, out)
    settle(completion, plain)
    plain.completion, plain.values, plain.size = made, <const uint8_t*>PyBytes_AS_STRING(made), len(made)
    plain.is_double, plain.columns = True, placement.features
    return True


cdef bint _complete_row(
    Completion completion, const uint8_t* own, bint is_double, bint is_full, double* out
) noexcept:
    cdef Placement placement = completion.placement
    cdef Py_ssize_t i
    cdef bint is_listed
    cdef double value = 0.0
    cdef float single = 0.0
    for i in range(placement.features):
        is_listed = placement.columns[i] >= 0
        if is_full or not is_listed:
            if is_double:
                memcpy(&value, own, sizeof(double))
                own += sizeof(double)
            else:
                memcpy(&single, own, sizeof(float))
                own += sizeof(float)
                value = single
        if is_listed and (not is_full or value != value):
            if give(completion, i, &value) != GIVEN:
                return False
        elif is_listed and not allows(completion, i, value):
            return False
        out[i] = value
    return True


cdef bint complete_named(Plain plain, Placement placement) except -1:
    """Have named features completed as they are filled in."""
    if plain.rows != 1:
        return False
    plain.completion = _completion_of(plain, placement)
    return True


cdef Completion _completion_of(Plain plain, Placement placement):
    """At its first row."""
    cdef Completion completion = Completion.__new__(Completion)
    cdef _Header header
    memcpy(&header, plain.fetched.data, _HEADER_BYTES)
    completion.placement = placement
    completion.row = plain.fetched.data + _HEADER_BYTES + header.spec_size
    completion.stride = sizeof(uint32_t) + placement.count * _VALUE_BYTES if header.rows > 1 else 0
    completion.may_degrade = header.flags & _DEGRADED
    return completion


cdef int give(Completion completion, Py_ssize_t place, double* value) noexcept:
    """Use the fetched value of the model's feature at `place`: GIVEN, NOT_LISTED or REFUSED."""
    cdef int32_t column = completion.placement.columns[place]
    cdef const uint8_t* values = completion.row + sizeof(uint32_t)
    cdef uint8_t origin
    if column < 0:
        return NOT_LISTED
    origin = values[completion.placement.count * (_NUMBER_BYTES + _TIME_BYTES) + column]
    if origin == _ABSENT:
        return REFUSED
    memcpy(value, values + column * _NUMBER_BYTES, sizeof(double))
    if origin != _STORE:
        completion.defaults += 1
        completion.is_degraded |= origin == _DOWN and completion.may_degrade
    return GIVEN


cdef bint allows(Completion completion, Py_ssize_t place, double value) noexcept:
    """Whether a caller's own value of the model's feature at `place` is in range; NaN is."""
    cdef int32_t column = completion.placement.columns[place]
    if column < 0:
        return True
    return not (value < completion.placement.low[column] or value > completion.placement.high[column])


cdef void settle(Completion completion, Plain plain) noexcept:
    """What the answer says of it."""
    plain.is_completed = True
    plain.defaults, plain.is_degraded = completion.defaults, completion.is_degraded
