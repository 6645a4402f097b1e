"""Sections that native code has checked before their engine sees them; see checked.pyx."""
from cell.engines.kinds cimport Kind, Shape

cdef struct Checked:
    # What checked it, and what it says of it.
    const Kind* kind
    const Shape* shape
    const unsigned char* at
    Py_ssize_t size

cdef class CheckedFile:
    cdef bint checked(self, Checked* found) noexcept
