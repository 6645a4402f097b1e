from libc.stdint cimport int64_t, uint64_t, uintptr_t

from cell.engines.checked cimport CheckedFile
from cell.engines.kinds cimport Shape
from cell.loading.gate cimport Permits
from cell.loading.handover cimport Link
from cell.loading.section cimport Found

cdef struct Job:
    # First, so that a chain of links is one of jobs.
    Link link
    uint64_t number
    # What to read: a path, or a descriptor that is ours.
    char* path
    int file
    int64_t most
    unsigned char digest[32]
    # Where a copy is kept and where it grows, or NULL; whether a file of another digest is removed.
    char* keep
    char* part
    int64_t keep_most
    bint drops_corrupt
    # Or memory whose pages are made, and nothing comes of it.
    uintptr_t memory
    int64_t memory_size
    # What came of it; of `error` and `keep_error` 0 is none.
    int outcome
    int error
    bint is_kept
    int keep_error
    unsigned char* data
    int64_t size
    # The engine's section, if it is a native one's, and what it says of it.
    Found section
    const char* problem
    Shape shape

cdef void free_job(Job* job) noexcept nogil
cdef void do_job(Job* job, Permits* gate) noexcept nogil


cdef class Image(CheckedFile):
    cdef Job* _job
