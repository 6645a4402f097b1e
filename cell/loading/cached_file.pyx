"""A file's bytes, if they can be had without waiting for a disk.

`openat2` with RESOLVE_CACHED opens only what the kernel's directory cache knows, and `preadv2` with
RWF_NOWAIT reads only what lies in the page cache: both say EAGAIN where others would sleep. What is no
regular file (a FIFO waits for its writer) is told by O_NONBLOCK and a look at it. So the event loop may ask.
Where the kernel (below 5.12), the file system or a sandbox has neither, every file is one that has to be
waited for.

The interpreter lock is kept: letting it go costs more than reading a small file.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize


cdef extern from *:
    """
    #define _GNU_SOURCE 1
    #include <fcntl.h>
    #include <stdint.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <sys/uio.h>
    #include <unistd.h>

    #ifndef RWF_NOWAIT
    #define RWF_NOWAIT 0x00000008
    #endif
    #ifndef SYS_openat2
    #define SYS_openat2 437
    #endif

    /* As linux/openat2.h has it, which older systems lack. */
    struct croupier_open_how { uint64_t flags, mode, resolve; };
    #define CROUPIER_RESOLVE_CACHED 0x20

    static int croupier_open(const char *path) {
        struct croupier_open_how how = {
            O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY, 0, CROUPIER_RESOLVE_CACHED
        };
        return (int) syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
    }

    static long long croupier_size(int descriptor) {
        struct stat status;
        if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) return -1;
        return (long long) status.st_size;
    }

    static long long croupier_read(int descriptor, char *into, long long size) {
        struct iovec vector = { into, (size_t) size };
        return (long long) preadv2(descriptor, &vector, 1, 0, RWF_NOWAIT);
    }
    """
    int croupier_open(const char *path)
    long long croupier_size(int descriptor)
    long long croupier_read(int descriptor, char *into, long long size)


cdef extern from "unistd.h":
    int close(int descriptor)


def read_cached(bytes path not None, long long limit):
    """The bytes of the file at `path`; None when it is absent, above `limit` bytes, or must be waited for."""
    cdef int descriptor = croupier_open(path)
    cdef long long size
    if descriptor < 0:
        return None
    try:
        size = croupier_size(descriptor)
        if size < 0 or size > limit:
            return None
        data = PyBytes_FromStringAndSize(NULL, size)
        if croupier_read(descriptor, PyBytes_AS_STRING(data), size) != size:
            return None
        return data
    finally:
        close(descriptor)
