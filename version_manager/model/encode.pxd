"""See encode.pyx."""

cdef bytes piece(int number, bytes value)
