from libc.stdint cimport uint8_t, uint64_t

from croupier.fields cimport Text

# What a request names, as the bytes in the message; absent and empty are the same.
cdef struct Names:
    Text model
    Text version  # of a ModelInferRequest
    uint64_t number  # the version of an Item
    Text label
    Text key
    Text tenant

# What the items of a request share.
cdef class Shared:
    # The message itself.
    cdef readonly bytes message
    # Its features as the field of each item; empty without any.
    cdef readonly bytes features
    cdef bytes _entity
    # What stands in for an item's own.
    cdef Text entity

cdef int fields_of(Py_ssize_t items) noexcept
cdef int read_infer_names(const uint8_t* data, Py_ssize_t size, Names* names) except -1
cdef int read_item_names(
    const uint8_t* data, Py_ssize_t size, Names* names, int* left, Text entity
) except -1
cdef Shared shared_of(list parts, Py_ssize_t items)
cdef object ask_of(Names* names)
cdef str decoded(Text text)
cdef int check_text(Text text) except -1
