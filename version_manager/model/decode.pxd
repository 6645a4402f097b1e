"""See decode.pyx."""

from croupier.fields cimport Field

cdef str text_of(Field* field)
