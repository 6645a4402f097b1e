"""Memory for nghttp2, from Python's allocator.

nghttp2 allocates a few small things for each call, which is what Python's allocator is made for, and
takes a good part off what a call costs. Sessions run under the GIL, as it asks.
"""

from cpython.mem cimport PyObject_Calloc, PyObject_Free, PyObject_Malloc, PyObject_Realloc

from croupier.transport.http2.nghttp2 cimport nghttp2_mem

cdef nghttp2_mem memory
memory.malloc, memory.free, memory.calloc, memory.realloc = _malloc, _free, _calloc, _realloc


cdef void* _malloc(size_t size, void* user) noexcept:
    return PyObject_Malloc(size)


cdef void _free(void* what, void* user) noexcept:
    PyObject_Free(what)


cdef void* _calloc(size_t count, size_t size, void* user) noexcept:
    return PyObject_Calloc(count, size)


cdef void* _realloc(void* what, size_t size, void* user) noexcept:
    return PyObject_Realloc(what, size)
