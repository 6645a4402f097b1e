from croupier.transport.nghttp2 cimport nghttp2_mem

cdef nghttp2_mem memory
