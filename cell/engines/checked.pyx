"""A model over a section that a thread has found and checked already, while it read the file."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_GET_SIZE

from cell.engines.kinds cimport kind_of
from cell.engines.native cimport Native


cdef class CheckedFile:
    """A file's bytes, which nobody can change."""

    cdef bint checked(self, Checked* found) noexcept:
        """Say which section was found sound; False if none was."""
        return False


def adopt(
    CheckedFile file not None, section, str engine not None, type made not None, arena, bytes digest not None
):
    """A model of the native `engine` over a copy of `section`, a slice of `file`; of the class `made`.

    None if just this section was not found, or was found damaged: its engine then says what is wrong.

    Raises:
        ArenaFull: there is no room for it.
    """
    cdef Checked found
    cdef Native model
    cdef Py_buffer buffer
    cdef bytes name = engine.encode()
    if not file.checked(&found) or found.kind != kind_of(name, PyBytes_GET_SIZE(name)):
        return None
    PyObject_GetBuffer(section, &buffer, PyBUF_SIMPLE)
    try:
        if <const unsigned char*>buffer.buf != found.at or buffer.len != found.size:
            return None
        model = made.__new__(made)
        model.adopt(found.kind, found.shape, found.at, found.size, arena, digest)
        return model
    finally:
        PyBuffer_Release(&buffer)
