from libc.stdint cimport uint8_t, uint32_t

from croupier.fields cimport Field

cdef enum:
    # Messages in messages. Ours are six deep.
    DEEPEST = 8

cdef struct Kind:
    uint32_t number
    # Of the submessage in the field; -1 for another field.
    int message
    # Added for each time that the field stands there, and for each number of those that are packed in it.
    int weight
    int width
    int wire
    # Stands in a message as often as it likes: a submessage or a text of many.
    bint is_part

cdef struct Level:
    # Of a message: where it ends, its place among the types, and how many fields may stand there for nothing.
    Py_ssize_t end
    int message
    int once


cdef class Scale:
    cdef int max_fields
    # What is known of each type in a row, and where in it each type begins.
    cdef Kind* kinds
    cdef int* begins

    cdef Weighing arriving(self, Py_ssize_t size)
    cdef Weighing begin(self, Py_ssize_t size)
    cdef Level level(self, int message, Py_ssize_t end) noexcept nogil
    cdef Kind* find(self, int message, uint32_t number) noexcept nogil


cdef class Weighing:
    cdef Scale scale
    # Where the next field begins, and how many stand before it.
    cdef readonly Py_ssize_t at
    cdef readonly int fields
    # What may still come: memory, fields that need not be there, fields at the outside.
    cdef Py_ssize_t left
    cdef int spare
    cdef int outside
    cdef bint is_whole
    # Of the innermost message: its level, and the groups in it that are open.
    cdef int depth
    cdef int groups
    cdef Level levels[DEEPEST]

    cdef int look(self, const uint8_t* data, Py_ssize_t here) except -1
    cdef Py_ssize_t numbers(self, Field* packed, int wire) noexcept nogil
