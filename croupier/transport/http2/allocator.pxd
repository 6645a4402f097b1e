from croupier.transport.http2.nghttp2 cimport nghttp2_mem

cdef nghttp2_mem memory
