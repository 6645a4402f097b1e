from libc.stdint cimport int32_t

from croupier.transport.http2.callbacks cimport Callbacks
from croupier.transport.http2.nghttp2 cimport nghttp2_option, nghttp2_session_callbacks


cdef class Session(Callbacks):
    cdef readonly object limits
    # What a session is called in the log.
    cdef str role
    cdef Py_ssize_t unsent
    cdef int32_t first_window

    cdef int _open(self) except -1
    cdef int _submit_settings(self) except -1
    cdef int open_handle(self, nghttp2_session_callbacks* callbacks, nghttp2_option* option) except -1
    cdef int check(self, int result) except -1
