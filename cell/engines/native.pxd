"""A model of a native engine; see native.pyx."""

from cell.engines.kinds cimport Kind, Shape
from cell.engines.transform_layout cimport TransformView
from cell.memory.block cimport Block

cdef class Native(Block):
    cdef const Kind* kind
    cdef Shape shape
    cdef unsigned char digest_bytes[32]
    # What it takes and gives; of a classifier the labels by column, or None where they are its numbers.
    cdef public object signature
    cdef public object labels

    cdef int load(self, const Kind* kind, section, arena, bytes digest) except -1
    cdef int adopt(
        self,
        const Kind* kind,
        const Shape* shape,
        const unsigned char* data,
        Py_ssize_t size,
        arena,
        bytes digest,
    ) except -1
    cdef int _name(self, bytes digest) except -1
    cdef int lay_transform(self, TransformView* view) except -1
    cdef object _raw_rows(self, inputs, where)
