cdef extern from *:
    """
    #include <semaphore.h>
    """
    ctypedef struct sem_t:
        pass

cdef struct Permits:
    sem_t free
    int running
    int peak
    # The gate's own, and one of each reader.
    int users

cdef void join(Permits* permits) noexcept nogil
cdef void part_from(Permits* permits) noexcept nogil
cdef void enter(Permits* permits) noexcept nogil
cdef void leave(Permits* permits) noexcept nogil


cdef class Gate:
    cdef Permits* permits
    cdef readonly int most
