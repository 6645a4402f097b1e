"""How many of the threads that load may compute at a time: one less than there are cores.

Whatever loads, one core is left for the event loop. Who waits for a disk or for a file server is not in the
gate, so that one that hangs keeps nobody from another.
"""

from libc.stdlib cimport calloc, free

import os

cdef extern from *:
    """
    static int gate_add(int *count, int more) { return __atomic_add_fetch(count, more, __ATOMIC_ACQ_REL); }
    static void gate_peak(int *peak, int now) {
        int seen = __atomic_load_n(peak, __ATOMIC_RELAXED);
        while (
            now > seen
            && !__atomic_compare_exchange_n(peak, &seen, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
        );
    }
    """
    int gate_add(int* count, int more) noexcept nogil
    void gate_peak(int* peak, int now) noexcept nogil
    int sem_init(sem_t* permits, int shared, unsigned int count) noexcept nogil
    int sem_destroy(sem_t* permits) noexcept nogil
    int sem_wait(sem_t* permits) noexcept nogil
    int sem_post(sem_t* permits) noexcept nogil


cdef void join(Permits* permits) noexcept nogil:
    """Somebody more keeps it."""
    gate_add(&permits.users, 1)


cdef void part_from(Permits* permits) noexcept nogil:
    if gate_add(&permits.users, -1) == 0:
        sem_destroy(&permits.free)
        free(permits)


cdef void enter(Permits* permits) noexcept nogil:
    while sem_wait(&permits.free) != 0:
        pass
    gate_peak(&permits.peak, gate_add(&permits.running, 1))


cdef void leave(Permits* permits) noexcept nogil:
    gate_add(&permits.running, -1)
    sem_post(&permits.free)


cdef class Gate:
    """Lets so many threads of its readers compute at a time; 0 is one less than this process has cores."""

    def __cinit__(self, int most=0):
        self.most = most if most > 0 else max(1, len(os.sched_getaffinity(0)) - 1)
        self.permits = <Permits*>calloc(1, sizeof(Permits))
        if self.permits == NULL:
            raise MemoryError
        self.permits.users = 1
        sem_init(&self.permits.free, 0, self.most)

    def __dealloc__(self):
        if self.permits != NULL:
            part_from(self.permits)

    @property
    def peak(self):
        """How many have ever computed at the same time."""
        return self.permits.peak
