"""Threads that read artifacts, and never take the interpreter's lock.

    submit ──▶ given ──▶ a thread: `file_image.pyx`, without the interpreter
                                    │
    take   ◀── done  ◀──────────────┘   one count in an eventfd wakes the event loop for all that are done

A Python thread that reads waits for the interpreter lock at each of its turns, and the event loop waits for
it: a few of them raise the 99th percentile of hot models' calls many times over (decision 16). These are
threads of the C library's that run no Python at all, so that the event loop meets their work only as
something that is done. Nor does it ever wait for a lock that one of them has (`handover.pxd`).

The processor is the other thing to share. A thread runs at a lower priority than the event loop
(`priority.pyx`), and what costs time beside the disk's passes a `Gate` (`gate.pyx`).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, strdup

from cell.loading.file_image cimport Image, Job, do_job, free_job
from cell.loading.file_io cimport close
from cell.loading.gate cimport Gate, Permits, join, part_from, sem_t
from cell.loading.handover cimport Link, give, take_all
from croupier.priority cimport lower, shorten

from croupier.priority import NICE

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE 1
    #endif
    #include <pthread.h>
    #include <semaphore.h>
    #include <signal.h>
    #include <stdint.h>
    #include <sys/eventfd.h>
    #include <sys/mman.h>
    #include <time.h>
    #include <unistd.h>

    /* A signal that a thread raises itself has to find its handler (cell/crash/slots.pyx); no other does. */
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

    static int reader_add(int *count, int more) { return __atomic_add_fetch(count, more, __ATOMIC_ACQ_REL); }
    static void reader_wake(int event) {
        uint64_t one = 1;
        ssize_t done = write(event, &one, 8);
        (void) done;
    }
    static void reader_woken(int event) {
        uint64_t count;
        ssize_t done = read(event, &count, 8);
        (void) done;
    }
    """
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    int pthread_mutex_init(pthread_mutex_t* lock, const void* how) noexcept nogil
    int pthread_mutex_destroy(pthread_mutex_t* lock) noexcept nogil
    int pthread_mutex_lock(pthread_mutex_t* lock) noexcept nogil
    int pthread_mutex_unlock(pthread_mutex_t* lock) noexcept nogil
    int pthread_cond_init(pthread_cond_t* some, const void* how) noexcept nogil
    int pthread_cond_destroy(pthread_cond_t* some) noexcept nogil
    int pthread_cond_broadcast(pthread_cond_t* some) noexcept nogil
    int sem_init(sem_t* permits, int shared, unsigned int count) noexcept nogil
    int sem_destroy(sem_t* permits) noexcept nogil
    int sem_wait(sem_t* permits) noexcept nogil
    int sem_post(sem_t* permits) noexcept nogil
    int eventfd(unsigned int count, int flags) noexcept nogil
    int EFD_NONBLOCK, EFD_CLOEXEC
    int reader_start(void* (*work)(void*) noexcept nogil, void* argument) noexcept nogil
    void reader_name() noexcept nogil
    void reader_populate(void* memory, int64_t size) noexcept nogil
    void reader_wait_until(pthread_cond_t* some, pthread_mutex_t* lock, double seconds) noexcept nogil
    int reader_add(int* count, int more) noexcept nogil
    void reader_wake(int event) noexcept nogil
    void reader_woken(int event) noexcept nogil

cdef enum:
    _SLICE = 100
    _DIGEST = 32


cdef struct Shared:
    # What was submitted and what is done, the newest first; and how much was submitted that no thread has.
    Link* given
    Link* done
    sem_t some
    # Among the threads alone, but for the end: what one of them took off `given` for all.
    pthread_mutex_t lock
    pthread_cond_t gone
    Link* first
    int event
    int nice
    int is_closed
    int threads
    # The reader's own, and one of each thread.
    int users
    Permits* gate


cdef void _free_all(Link* link) noexcept nogil:
    cdef Link* following
    while link != NULL:
        following = link.next
        free_job(<Job*>link)
        link = following


cdef void _leave_shared(Shared* shared) noexcept nogil:
    if reader_add(&shared.users, -1) == 0:
        _free_all(shared.first)
        _free_all(take_all(&shared.given))
        _free_all(take_all(&shared.done))
        part_from(shared.gate)
        sem_destroy(&shared.some)
        pthread_mutex_destroy(&shared.lock)
        pthread_cond_destroy(&shared.gone)
        close(shared.event)
        free(shared)


cdef Job* _next(Shared* shared) noexcept nogil:
    """What was submitted first; there is one for each time that `some` lets a thread through."""
    cdef Link* first
    pthread_mutex_lock(&shared.lock)
    if shared.first == NULL:
        shared.first = take_all(&shared.given)
    first = shared.first
    if first != NULL:
        shared.first = first.next
    pthread_mutex_unlock(&shared.lock)
    return <Job*>first


cdef void* _work(void* argument) noexcept nogil:
    cdef Shared* shared = <Shared*>argument
    cdef Job* job
    lower(shared.nice)
    shorten(_SLICE)
    reader_name()
    while True:
        while sem_wait(&shared.some) != 0:
            pass
        if reader_add(&shared.is_closed, 0):
            break
        job = _next(shared)
        if job.memory_size:
            reader_populate(<void*>job.memory, job.memory_size)
            free_job(job)
            continue
        do_job(job, shared.gate)
        if give(&shared.done, &job.link):
            reader_wake(shared.event)
    pthread_mutex_lock(&shared.lock)
    shared.threads -= 1
    pthread_cond_broadcast(&shared.gone)
    pthread_mutex_unlock(&shared.lock)
    _leave_shared(shared)
    return NULL


cdef class Reader:
    """`threads` that read, of those computing no more than `gate` lets; `nice` is added to their nice value.

    `fileno` is readable when something is done. `close` it in the end.
    """

    cdef Shared* _shared
    cdef uint64_t _numbers
    cdef readonly Gate gate

    def __cinit__(self, Gate gate not None, int threads, *, int nice=NICE):
        cdef int _
        self.gate = gate
        self._shared = <Shared*>calloc(1, sizeof(Shared))
        if self._shared == NULL:
            raise MemoryError
        self._shared.event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        pthread_mutex_init(&self._shared.lock, NULL)
        sem_init(&self._shared.some, 0, 0)
        pthread_cond_init(&self._shared.gone, NULL)
        self._shared.users = 1
        self._shared.nice = nice
        self._shared.gate = gate.permits
        join(gate.permits)
        if self._shared.event < 0:
            raise OSError("no eventfd for a reader")
        for _ in range(threads):
            reader_add(&self._shared.users, 1)
            self._shared.threads += 1
            if reader_start(_work, self._shared):
                reader_add(&self._shared.users, -1)
                self._shared.threads -= 1
                raise MemoryError("no thread for a reader")

    def __dealloc__(self):
        if self._shared != NULL:
            self.close(0.0)
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
        if (path is not None and job.path == NULL) or (
            keep is not None and (job.keep == NULL or job.part == NULL)
        ):
            free_job(job)
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
        give(&self._shared.given, &job.link)
        sem_post(&self._shared.some)

    def take(self):
        """The images that are done, in the order in which they were."""
        cdef Link* link
        cdef Image image
        cdef list found = []
        reader_woken(self._shared.event)
        link = take_all(&self._shared.done)
        while link != NULL:
            image = Image.__new__(Image)
            image._job = <Job*>link
            link = link.next
            found.append(image)
        return found

    def close(self, double seconds=1.0):
        """Read nothing more; wait so long for what is being read. In a thread, if for longer than nothing."""
        cdef Shared* shared = self._shared
        cdef int _, threads
        if not reader_add(&shared.is_closed, 1) == 1:
            return
        with nogil:
            pthread_mutex_lock(&shared.lock)
            threads = shared.threads
            for _ in range(threads):
                sem_post(&shared.some)
            for _ in range(threads if seconds > 0 else 0):
                if shared.threads:
                    reader_wait_until(&shared.gone, &shared.lock, seconds)
            pthread_mutex_unlock(&shared.lock)
