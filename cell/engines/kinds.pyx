"""The kinds of native models, by the engines that artifacts name: `forest` and `linear` add theirs when they
are imported.

Threads that read files look kinds up without the interpreter.
"""

from libc.string cimport memcmp, strlen

cdef enum:
    _MOST_KINDS = 8

cdef struct Known:
    const char* engine
    const Kind* kind

cdef Known _known[_MOST_KINDS]
cdef int _kinds = 0


cdef int know(const char* engine, const Kind* kind) except -1:
    """Both outlive the process's threads."""
    global _kinds
    if _kinds == _MOST_KINDS:
        raise RuntimeError("too many kinds of models")
    _known[_kinds].engine, _known[_kinds].kind = engine, kind
    _kinds += 1
    return 0


cdef const Kind* kind_of(const char* engine, Py_ssize_t size) noexcept nogil:
    cdef int i
    for i in range(_kinds):
        if <Py_ssize_t>strlen(_known[i].engine) == size and memcmp(_known[i].engine, engine, size) == 0:
            return _known[i].kind
    return NULL
