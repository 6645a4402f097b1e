# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Threads that read artifacts, and never take the interpreter's lock.

    submit ──▶ queue ──▶ a thread: open, read, SHA-256, the engine's check, the copy for the disk cache
                                    │
    take   ◀── done  ◀──────────────┘   one byte count in an eventfd wakes the event loop for all that are done

A Python thread that reads waits for the interpreter lock at each of its turns, and the event loop waits for
it: eight of them raised the 99th percentile of hot models' calls from 0.5 ms to a hundred. These are threads
of the C library's that run no Python at all, so that the event loop meets their work only as something that
is done.

The processor is the other thing to share. A thread runs at a lower priority than the event loop
(`priority.pyx`), and what costs time beside the disk's, the digest and the check,
passes a `Gate` that lets one thread less through than there are cores: whatever loads, one is left for
the event loop. Who waits for a disk or for a file server is not in the gate, so that one that hangs keeps
nobody from another.

What was read is an `Image`: bytes that match their digest and that nobody else can change. If a native engine
may have it, its section was found and checked here as well; `find_section` is a hint that the plain
reader (`croupier.artifacts.format.view`) has the last word on.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from libc.errno cimport EINTR, ELOOP, ENOENT, ENXIO, errno
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memchr, memcmp, memcpy, strdup

from cell.engines.lane cimport LOADING, Lane, enter, here, leave
from cell.engines.native cimport Kind, Native, Shape, kind_of
from cell.priority cimport lower, shorten

import _hashlib
import ctypes
import errno as errors
import os
from ctypes.util import find_library

from cell.priority import NICE

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE 1
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <pthread.h>
    #include <semaphore.h>
    #include <signal.h>
    #include <stdint.h>
    #include <stdio.h>
    #include <string.h>
    #include <sys/eventfd.h>
    #include <sys/mman.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>

    static int reader_open(const char *path) {
        return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
    }

    /* Bytes of a regular file; -1 for anything else. */
    static int64_t reader_size(int file) {
        struct stat status;
        if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return -1;
        return (int64_t) status.st_size;
    }

    /* `size` bytes from the beginning, or less at the file's end; -1 and errno. */
    static int64_t reader_read(int file, unsigned char *into, int64_t size) {
        int64_t got = 0;
        while (got < size) {
            ssize_t some = pread(file, into + got, (size_t) (size - got), (off_t) got);
            if (some < 0 && errno == EINTR) continue;
            if (some < 0) return -1;
            if (some == 0) break;
            got += some;
        }
        return got;
    }

    /* Whole or not at all, as croupier/files.py does it; 0, or errno. */
    static int reader_keep(const char *path, const char *part, const unsigned char *data, int64_t size) {
        int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, error = 0;
        int file = open(part, flags, 0600);
        if (file < 0 && errno == ENOENT) {
            char folder[4096];
            const char *end = strrchr(part, '/');
            if (end == NULL || end - part >= (int) sizeof folder) return ENOENT;
            memcpy(folder, part, end - part);
            folder[end - part] = 0;
            if (mkdir(folder, 0700) && errno != EEXIST) return errno;
            file = open(part, flags, 0600);
        }
        if (file < 0) return errno;
        for (int64_t put = 0; put < size && !error;) {
            ssize_t some = write(file, data + put, (size_t) (size - put));
            if (some >= 0) put += some;
            else if (errno != EINTR) error = errno;
        }
        if (close(file) && !error) error = errno;
        if (!error && rename(part, path)) error = errno;
        if (error) unlink(part);
        return error;
    }

    /* A signal that a thread raises itself has to find its handler (cell/engines/lane.pyx); no other does. */
    static int reader_start(void *(*work)(void *), void *argument) {
        sigset_t others, before;
        pthread_t thread;
        sigfillset(&others);
        sigdelset(&others, SIGSEGV);
        sigdelset(&others, SIGBUS);
        sigdelset(&others, SIGFPE);
        sigdelset(&others, SIGILL);
        sigdelset(&others, SIGABRT);
        pthread_sigmask(SIG_SETMASK, &others, &before);
        int error = pthread_create(&thread, NULL, work, argument);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (!error) pthread_detach(thread);
        return error;
    }

    /* As if somebody had written there, without doing so; a kernel before 5.14 does nothing. */
    static void reader_populate(void *memory, int64_t size) {
        #ifndef MADV_POPULATE_WRITE
        #define MADV_POPULATE_WRITE 23
        #endif
        madvise(memory, (size_t) size, MADV_POPULATE_WRITE);
    }
    static void reader_name(void) { pthread_setname_np(pthread_self(), "read"); }

    static void reader_wait_until(pthread_cond_t *some, pthread_mutex_t *lock, double seconds) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        int64_t at = until.tv_sec * 1000000000LL + until.tv_nsec + (int64_t) (seconds * 1e9);
        until.tv_sec = at / 1000000000LL;
        until.tv_nsec = at % 1000000000LL;
        pthread_cond_timedwait(some, lock, &until);
    }

    static int reader_peak(int *peak, int now) {
        int seen = __atomic_load_n(peak, __ATOMIC_RELAXED);
        while (now > seen && !__atomic_compare_exchange_n(peak, &seen, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
        return seen;
    }
    static int reader_add(int *count, int more) { return __atomic_add_fetch(count, more, __ATOMIC_ACQ_REL); }
    static void reader_wake(int event) { uint64_t one = 1; ssize_t done = write(event, &one, 8); (void) done; }
    static void reader_woken(int event) { uint64_t count; ssize_t done = read(event, &count, 8); (void) done; }
    """
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    ctypedef struct sem_t:
        pass
    int pthread_mutex_init(pthread_mutex_t* lock, const void* how) noexcept nogil
    int pthread_mutex_destroy(pthread_mutex_t* lock) noexcept nogil
    int pthread_mutex_lock(pthread_mutex_t* lock) noexcept nogil
    int pthread_mutex_unlock(pthread_mutex_t* lock) noexcept nogil
    int pthread_cond_init(pthread_cond_t* some, const void* how) noexcept nogil
    int pthread_cond_destroy(pthread_cond_t* some) noexcept nogil
    int pthread_cond_wait(pthread_cond_t* some, pthread_mutex_t* lock) noexcept nogil
    int pthread_cond_signal(pthread_cond_t* some) noexcept nogil
    int pthread_cond_broadcast(pthread_cond_t* some) noexcept nogil
    int sem_init(sem_t* permits, int shared, unsigned int count) noexcept nogil
    int sem_destroy(sem_t* permits) noexcept nogil
    int sem_wait(sem_t* permits) noexcept nogil
    int sem_post(sem_t* permits) noexcept nogil
    int eventfd(unsigned int count, int flags) noexcept nogil
    int EFD_NONBLOCK, EFD_CLOEXEC
    int close(int file) noexcept nogil
    int unlink(const char* path) noexcept nogil
    int reader_open(const char* path) noexcept nogil
    int64_t reader_size(int file) noexcept nogil
    int64_t reader_read(int file, unsigned char* into, int64_t size) noexcept nogil
    int reader_keep(const char* path, const char* part, const unsigned char* data, int64_t size) noexcept nogil
    int reader_start(void* (*work)(void*) noexcept nogil, void* argument) noexcept nogil
    void reader_name() noexcept nogil
    void reader_populate(void* memory, int64_t size) noexcept nogil
    void reader_wait_until(pthread_cond_t* some, pthread_mutex_t* lock, double seconds) noexcept nogil
    int reader_peak(int* peak, int now) noexcept nogil
    int reader_add(int* count, int more) noexcept nogil
    void reader_wake(int event) noexcept nogil
    void reader_woken(int event) noexcept nogil

ctypedef unsigned char* (*Sha256)(const unsigned char* data, size_t size, unsigned char* digest) noexcept nogil


def _sha256():
    """Where libcrypto's function lies: with the processor's instructions for it, and nothing more to link with.

    It is of the library that Python's own hashlib has loaded; where that is linked into the interpreter, of the
    system's.
    """
    for name in (getattr(_hashlib, "__file__", None), find_library("crypto")):
        if name is not None and (found := getattr(ctypes.CDLL(name), "SHA256", None)) is not None:
            return ctypes.cast(found, ctypes.c_void_p).value
    raise ImportError("the digests of artifacts need libcrypto, which is not installed")


cdef Sha256 SHA256 = <Sha256><uintptr_t>_sha256()

cdef enum:
    _SLICE = 100
    _DIGEST = 32
    _HEADER = 32
    _SECTION = 16
    _TENSOR = 32
    _MOST_SECTIONS = 64
    _MOST_ENGINE = 32
    # What came of it.
    _READ = 0
    _ABSENT = 1
    _CORRUPT = 2
    _TOO_LARGE = 3
    _FAILED = 4

READ, ABSENT, CORRUPT, TOO_LARGE, FAILED = _READ, _ABSENT, _CORRUPT, _TOO_LARGE, _FAILED


cdef struct Permits:
    sem_t free
    int running
    int peak
    # The gate's own, and one of each thread.
    int users

cdef struct Job:
    Job* next
    uint64_t number
    # What to read: a path, or a descriptor that is ours.
    char* path
    int file
    int64_t most
    unsigned char digest[_DIGEST]
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
    const Kind* kind
    int64_t section_at
    int64_t section_size
    const char* problem
    Shape shape

cdef struct Shared:
    pthread_mutex_t lock
    pthread_cond_t some
    pthread_cond_t gone
    Job* first
    Job* last
    Job* done
    Job* last_done
    int event
    int nice
    bint is_closed
    int threads
    # The reader's own, and one of each thread.
    int users
    Permits* gate


cdef void _free(Job* job) noexcept nogil:
    free(job.path)
    free(job.keep)
    free(job.part)
    free(job.data)
    if job.file >= 0:
        close(job.file)
    free(job)


cdef void _free_all(Job* job) noexcept nogil:
    cdef Job* following
    while job != NULL:
        following = job.next
        _free(job)
        job = following


cdef void _leave_gate(Permits* gate) noexcept nogil:
    if reader_add(&gate.users, -1) == 0:
        sem_destroy(&gate.free)
        free(gate)


cdef void _leave_shared(Shared* shared) noexcept nogil:
    if reader_add(&shared.users, -1) == 0:
        _leave_gate(shared.gate)
        pthread_mutex_destroy(&shared.lock)
        pthread_cond_destroy(&shared.some)
        pthread_cond_destroy(&shared.gone)
        close(shared.event)
        free(shared)


cdef bint _open_and_read(Job* job) noexcept nogil:
    cdef int64_t got
    if job.file < 0:
        job.file = reader_open(job.path)
    if job.file < 0:
        job.error = errno
        job.outcome = _ABSENT if job.error == ENOENT else _FAILED
        return False
    job.size = reader_size(job.file)
    if job.size < 0:
        job.size = 0
        job.outcome, job.error = _FAILED, ENXIO
        return False
    if job.size > job.most:
        job.outcome = _TOO_LARGE
        return False
    job.data = <unsigned char*>malloc(max(job.size, 1))
    got = -1 if job.data == NULL else reader_read(job.file, job.data, job.size)
    if got < 0:
        job.outcome, job.error = _FAILED, errno
        return False
    job.size = got
    close(job.file)
    job.file = -1
    return True


cdef void _check(Job* job) noexcept nogil:
    """The digest and the section: what takes the processor."""
    cdef unsigned char digest[_DIGEST]
    cdef Lane* lane
    SHA256(job.data, job.size, digest)
    if memcmp(digest, job.digest, _DIGEST) != 0:
        job.outcome = _CORRUPT
        return
    job.outcome = _READ
    find_section(job)
    if job.kind != NULL:
        lane = here()
        enter(lane, job.digest, LOADING)
        job.problem = job.kind.check(job.data + job.section_at, job.section_size, &job.shape)
        leave(lane)


cdef void find_section(Job* job) noexcept nogil:
    """Where the section lies that has its engine's name, if that is a native one; safe with any bytes."""
    cdef const unsigned char* data = job.data
    cdef uint32_t names_size
    cdef uint16_t counts[4]
    cdef int64_t names_at, end, at, begin
    cdef const unsigned char* zero
    cdef int64_t length
    cdef int section
    cdef uint64_t span[2]
    cdef const Kind* kind
    if job.size < _HEADER:
        return
    memcpy(&names_size, data + 12, 4)
    memcpy(counts, data + 24, 8)
    if counts[3] > _MOST_SECTIONS:
        return
    names_at = _HEADER + _SECTION * <int64_t>counts[3] + _TENSOR * (<int64_t>counts[1] + counts[2])
    end = names_at + names_size
    if end > job.size or names_size == 0:
        return
    zero = <const unsigned char*>memchr(data + names_at, 0, names_size)
    length = zero - (data + names_at) if zero != NULL else -1
    if not 0 < length <= _MOST_ENGINE:
        return
    kind = kind_of(<const char*>data + names_at, length)
    if kind == NULL:
        return
    # The sections' names are the last ones.
    at = end
    for section in range(counts[3] - 1, -1, -1):
        begin = at
        while begin > names_at and data[begin - 1] != 0:
            begin -= 1
        if at - begin == length and memcmp(data + begin, data + names_at, length) == 0:
            memcpy(span, data + _HEADER + _SECTION * section, sizeof(span))
            if span[0] <= <uint64_t>job.size and span[1] <= <uint64_t>job.size - span[0] and span[0] % 64 == 0:
                job.kind = kind
                job.section_at, job.section_size = <int64_t>span[0], <int64_t>span[1]
            return
        if begin <= names_at:
            return
        at = begin - 1


cdef void _do(Job* job, Permits* gate) noexcept nogil:
    if not _open_and_read(job):
        return
    while sem_wait(&gate.free) != 0:
        pass
    reader_peak(&gate.peak, reader_add(&gate.running, 1))
    _check(job)
    reader_add(&gate.running, -1)
    sem_post(&gate.free)
    if job.outcome == _READ and job.keep != NULL and job.size <= job.keep_most:
        job.keep_error = reader_keep(job.keep, job.part, job.data, job.size)
        job.is_kept = job.keep_error == 0
    elif job.outcome == _CORRUPT and job.drops_corrupt:
        unlink(job.path)


cdef void* _work(void* argument) noexcept nogil:
    cdef Shared* shared = <Shared*>argument
    cdef Job* job
    cdef bint was_empty
    lower(shared.nice)
    shorten(_SLICE)
    reader_name()
    pthread_mutex_lock(&shared.lock)
    while True:
        while shared.first == NULL and not shared.is_closed:
            pthread_cond_wait(&shared.some, &shared.lock)
        if shared.is_closed:
            break
        job = shared.first
        shared.first = job.next
        job.next = NULL
        pthread_mutex_unlock(&shared.lock)
        if job.memory_size:
            reader_populate(<void*>job.memory, job.memory_size)
            _free(job)
            pthread_mutex_lock(&shared.lock)
            continue
        _do(job, shared.gate)
        pthread_mutex_lock(&shared.lock)
        was_empty = shared.done == NULL
        if was_empty:
            shared.done = job
        else:
            shared.last_done.next = job
        shared.last_done = job
        if was_empty:
            reader_wake(shared.event)
    shared.threads -= 1
    pthread_cond_broadcast(&shared.gone)
    pthread_mutex_unlock(&shared.lock)
    _leave_shared(shared)
    return NULL


cdef class Gate:
    """Lets so many threads of its readers compute at a time; 0 is one less than this process has cores."""

    cdef Permits* _permits

    def __cinit__(self, int most=0):
        cdef int permits = most if most > 0 else max(1, len(os.sched_getaffinity(0)) - 1)
        self._permits = <Permits*>calloc(1, sizeof(Permits))
        if self._permits == NULL:
            raise MemoryError
        self._permits.users = 1
        sem_init(&self._permits.free, 0, permits)
        self.most = permits

    cdef readonly int most

    def __dealloc__(self):
        if self._permits != NULL:
            _leave_gate(self._permits)

    @property
    def peak(self):
        """How many have ever computed at the same time."""
        return self._permits.peak


cdef class Image:
    """The bytes of one file, readable through a buffer, and what came of reading them."""

    cdef Job* _job

    def __dealloc__(self):
        if self._job != NULL:
            _free(self._job)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        if self._job.outcome != _READ:
            raise BufferError("this file was not read")
        PyBuffer_FillInfo(buffer, self, self._job.data, self._job.size, True, flags)

    @property
    def number(self):
        """What `submit` returned."""
        return self._job.number

    @property
    def outcome(self):
        """READ, ABSENT, CORRUPT, TOO_LARGE or FAILED."""
        return self._job.outcome

    @property
    def error(self):
        """The OSError that reading failed with."""
        return _os_error(self._job.error, self._job.path)

    @property
    def size(self):
        return self._job.size

    @property
    def tables_size(self):
        """Bytes of the tables of tensors and names, as the header says."""
        cdef uint32_t names_size
        cdef uint16_t counts[2]
        if self._job.outcome != _READ or self._job.size < _HEADER:
            return 0
        memcpy(&names_size, self._job.data + 12, 4)
        memcpy(counts, self._job.data + 26, 4)
        return names_size + _TENSOR * (<int64_t>counts[0] + counts[1])

    @property
    def digest(self):
        return PyBytes_FromStringAndSize(<const char*>self._job.digest, _DIGEST)

    @property
    def is_kept(self):
        """Whether there is a copy where one should be."""
        return self._job.is_kept

    @property
    def keep_error(self):
        """The OSError that keeping it failed with, or None."""
        return _os_error(self._job.keep_error, self._job.keep) if self._job.keep_error else None


def adopt(Image image not None, section, str engine not None, type made not None, arena, bytes digest not None):
    """A model of the native `engine` over a copy of `section`, a slice of `image`; of the class `made`.

    None if the reader did not find just this section, or found it damaged: its engine then says what is wrong.

    Raises:
        ArenaFull: there is no room for it.
    """
    cdef Job* job = image._job
    cdef Native model
    cdef Py_buffer buffer
    cdef bytes name = engine.encode()
    PyObject_GetBuffer(section, &buffer, PyBUF_SIMPLE)
    try:
        if job.kind == NULL or job.problem != NULL or job.kind != kind_of(name, PyBytes_GET_SIZE(name)):
            return None
        if <const unsigned char*>buffer.buf != job.data + job.section_at or buffer.len != job.section_size:
            return None
        model = made.__new__(made)
        model.adopt(job.kind, &job.shape, job.data + job.section_at, job.section_size, arena, digest)
        return model
    finally:
        PyBuffer_Release(&buffer)


cdef object _os_error(int number, const char* path):
    if number == ELOOP or number == ENXIO:
        return OSError(errors.EINVAL, "not a regular file", os.fsdecode(path) if path != NULL else None)
    return OSError(number, os.strerror(number), os.fsdecode(path) if path != NULL else None)


cdef class Reader:
    """`threads` that read, of those computing no more than `gate` lets; `nice` is added to their nice value.

    `fileno` is readable when something is done. `close` it in the end.
    """

    cdef Shared* _shared
    cdef uint64_t _numbers
    cdef readonly Gate gate

    def __cinit__(self, Gate gate not None, int threads, *, int nice=NICE):
        cdef int i
        self.gate = gate
        self._shared = <Shared*>calloc(1, sizeof(Shared))
        if self._shared == NULL:
            raise MemoryError
        self._shared.event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        pthread_mutex_init(&self._shared.lock, NULL)
        pthread_cond_init(&self._shared.some, NULL)
        pthread_cond_init(&self._shared.gone, NULL)
        self._shared.users = 1
        self._shared.nice = nice
        self._shared.gate = gate._permits
        reader_add(&gate._permits.users, 1)
        if self._shared.event < 0:
            raise OSError("no eventfd for a reader")
        for i in range(threads):
            reader_add(&self._shared.users, 1)
            self._shared.threads += 1
            if reader_start(_work, self._shared):
                reader_add(&self._shared.users, -1)
                self._shared.threads -= 1
                raise MemoryError("no thread for a reader")

    def __dealloc__(self):
        if self._shared != NULL:
            self.close(0.0)
            self._drop_all()
            _leave_shared(self._shared)

    def fileno(self):
        return self._shared.event

    def submit(
        self,
        bytes digest not None,
        int64_t most,
        *,
        bytes path=None,
        int file=-1,
        bytes keep=None,
        bytes part=None,
        int64_t keep_most=0x7FFFFFFFFFFFFFFF,
        bint drops_corrupt=False,
    ):
        """Read the file at `path`, or `file`, which belongs to the reader from now on; returns a number.

        A copy of at most `keep_most` bytes is kept at `keep`, having grown at `part`. One of more than `most`
        bytes is not read.
        """
        cdef Job* job
        if PyBytes_GET_SIZE(digest) != _DIGEST:
            raise ValueError("a digest has 32 bytes")
        job = <Job*>calloc(1, sizeof(Job))
        if job == NULL:
            raise MemoryError
        self._numbers += 1
        job.number = self._numbers
        job.file = file
        job.most = most
        job.keep_most = keep_most
        job.drops_corrupt = drops_corrupt
        memcpy(job.digest, PyBytes_AS_STRING(digest), _DIGEST)
        if path is not None:
            job.path = strdup(path)
        if keep is not None and part is not None:
            job.keep, job.part = strdup(keep), strdup(part)
        if (path is not None and job.path == NULL) or (keep is not None and (job.keep == NULL or job.part == NULL)):
            _free(job)
            raise MemoryError
        self._add(job)
        return self._numbers

    def populate(self, uintptr_t address, int64_t size):
        """Have the pages of mapped memory made, which stays mapped for as long as the process lives."""
        cdef Job* job = <Job*>calloc(1, sizeof(Job))
        if job == NULL:
            raise MemoryError
        job.file = -1
        job.memory, job.memory_size = address, size
        self._add(job)

    cdef void _add(self, Job* job) noexcept:
        cdef Shared* shared = self._shared
        pthread_mutex_lock(&shared.lock)
        if shared.first == NULL:
            shared.first = job
        else:
            shared.last.next = job
        shared.last = job
        pthread_cond_signal(&shared.some)
        pthread_mutex_unlock(&shared.lock)

    def take(self):
        """The images that are done, in the order in which they were."""
        cdef Job* job
        cdef Image image
        cdef list found = []
        reader_woken(self._shared.event)
        pthread_mutex_lock(&self._shared.lock)
        job = self._shared.done
        self._shared.done = NULL
        pthread_mutex_unlock(&self._shared.lock)
        while job != NULL:
            image = Image.__new__(Image)
            image._job = job
            job = job.next
            found.append(image)
        return found

    def close(self, double seconds=1.0):
        """Read nothing more; wait so long for what is being read. In a thread, if for longer than nothing."""
        cdef Shared* shared = self._shared
        cdef int left
        with nogil:
            pthread_mutex_lock(&shared.lock)
            shared.is_closed = True
            pthread_cond_broadcast(&shared.some)
            for left in range(shared.threads if seconds > 0 else 0):
                if shared.threads:
                    reader_wait_until(&shared.gone, &shared.lock, seconds)
            pthread_mutex_unlock(&shared.lock)

    cdef void _drop_all(self) noexcept:
        pthread_mutex_lock(&self._shared.lock)
        _free_all(self._shared.first)
        _free_all(self._shared.done)
        self._shared.first = self._shared.done = NULL
        pthread_mutex_unlock(&self._shared.lock)
