cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef struct Frame:
    uint32_t size
    uint32_t crc
    uint64_t sequence


cdef bytes line_of(
    uint64_t version, uint64_t number, str model, str family, str shadow_of, bytes artifact, bytes rule
)


@cython.final
cdef class Appender:
    cdef readonly Py_ssize_t segment_size
    # What was appended in all, and what was not.
    cdef readonly uint64_t kept
    cdef readonly uint64_t dropped
    cdef readonly uint64_t segment
    cdef object _full
    cdef uint8_t* _base
    cdef Py_ssize_t _at
    cdef uint8_t* _spare
    cdef uint64_t _spare_number
    cdef uint8_t* _retired

    cdef bint put(
        self,
        uint8_t kind,
        uint8_t flags,
        uint32_t item,
        int64_t time_us,
        uint32_t took_us,
        str request_id,
        str tenant,
        bytes line,
        const char* request,
        Py_ssize_t request_size,
        bytes shared,
        bytes features,
        bytes fetched,
        bytes reply,
    ) except -1
    cdef uint8_t* _room(self, Py_ssize_t size) except? NULL
    cdef uint8_t* _drop(self) noexcept
    cdef void _seal(self, Frame* frame, Py_ssize_t size) noexcept nogil
    cdef _turn(self)
    cdef _unmap(self, uint8_t* base)
