"""Where an artifact's section lies, found without the interpreter.

A hint: `croupier.artifacts.format.view` reads artifacts, and has the last word
(`cell/loading/file_image.pyx`). What it accepts of a native engine is found here just so
(`tests/cell/loading/test_section.py` compares them on mutated artifacts); what it refuses may be anything.
"""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

from cell.engines.kinds cimport Kind, kind_of

# It imports all native engines, whose kinds become known so.
import cell.engines.packed  # no-cython-lint

cdef enum:
    _HEADER = 32
    _SECTION = 16
    _TENSOR = 32
    _MOST_SECTIONS = 64
    _MOST_ENGINE = 32


cdef void find_section(const unsigned char* data, int64_t size, Found* found) noexcept nogil:
    """The section that has its engine's name, if that is a native one; safe with any bytes."""
    cdef uint32_t names_size
    cdef uint16_t counts[4]
    cdef int64_t names_at, end, at, begin
    cdef const unsigned char* zero
    cdef int64_t length
    cdef int section
    cdef uint64_t span[2]
    cdef const Kind* kind
    if size < _HEADER:
        return
    memcpy(&names_size, data + 12, 4)
    memcpy(counts, data + 24, 8)
    if counts[3] > _MOST_SECTIONS:
        return
    names_at = _HEADER + _SECTION * <int64_t>counts[3] + _TENSOR * (<int64_t>counts[1] + counts[2])
    end = names_at + names_size
    if end > size or names_size == 0:
        return
    zero = <const unsigned char*>memchr(data + names_at, 0, names_size)
    length = zero - (data + names_at) if zero != NULL else -1
    if not 0 < length <= _MOST_ENGINE:
        return
    kind = kind_of(<const char*>data + names_at, length)
    if kind == NULL:
        return
    # The sections' names are the last ones.
    at = end
    for section in range(counts[3] - 1, -1, -1):
        begin = at
        while begin > names_at and data[begin - 1] != 0:
            begin -= 1
        if at - begin == length and memcmp(data + begin, data + names_at, length) == 0:
            memcpy(span, data + _HEADER + _SECTION * section, sizeof(span))
            if span[0] <= <uint64_t>size and span[1] <= <uint64_t>size - span[0] and span[0] % 64 == 0:
                found.kind = kind
                found.at, found.size = <int64_t>span[0], <int64_t>span[1]
            return
        if begin <= names_at:
            return
        at = begin - 1


cdef int64_t size_of_tables(const unsigned char* data, int64_t size) noexcept nogil:
    """Bytes of the tables of tensors and names, as the header says."""
    cdef uint32_t names_size
    cdef uint16_t counts[2]
    if size < _HEADER:
        return 0
    memcpy(&names_size, data + 12, 4)
    memcpy(counts, data + 26, 4)
    return names_size + _TENSOR * (<int64_t>counts[0] + counts[1])


def section_of(const unsigned char[:] data not None):
    """(begin, size) of what `find_section` finds in `data`, or None."""
    cdef Found found = Found(NULL, 0, 0)
    if data.shape[0]:
        find_section(&data[0], data.shape[0], &found)
    return None if found.kind == NULL else (found.at, found.size)
