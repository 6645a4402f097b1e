"""Slots: where each thread names the artifact that its native code works on, to outlive the process.

    thread ──▶ here() ──▶ its slot: digest, since when, loading or scoring        a few ns, no lock, no GIL
                            │
    SIGSEGV … SIGABRT ──────┤ the handler marks the slot of the thread that died of it
                            ▼
               a page that is shared with the journal's file, or with nothing

The pages are mapped once, at an address that stays; `attach` lays the journal's file over them and `detach`
takes it away, so that a slot may be written at any moment and costs nothing where no journal is kept. What
was stored there survives every end of the process, because the pages are the kernel's
(`cell/crash/journal.py` reads them afterwards).

A thread takes a slot when it first asks for one, and gives it back at its end. When all are taken, a thread
writes where nobody reads.

**The handler** is async-signal-safe: it compares thread ids, stores three numbers, and lets the action that
stood before it have the signal, so that the exit status is the signal's and faulthandler still prints. Each
thread that takes a slot has a stack for it, since one that overflowed has none left. A signal that another
process sent says nothing about what this thread was doing, and marks no slot.

**The beat.** A native thread writes the time ten times a second: how long an artifact had been in native code
when the process was killed is the last beat less its beginning, whoever held the interpreter's lock.

**The watchdog.** The same thread ends the process (SIGKILL) when a slot has named one artifact for longer
than `watch` allows, and marks that slot: native code that does not end cannot be ended in any other way, and
keeps its thread, and whatever it holds, for ever. It counts beats and not time, so that a process which was
stopped, or a machine which slept, is not taken for one that hangs.

`enter` costs little beside a row of any model, and most of that is the clock: where models are scored one
after the other it is looked at for several of them (`enter_at`).
"""

from libc.signal cimport SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <pthread.h>
    #include <signal.h>
    #include <sys/mman.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    static __thread char croupier_stack[16384];

    static int croupier_gettid(void) { return (int)syscall(SYS_gettid); }
    static void croupier_resend(int number) { syscall(SYS_tgkill, getpid(), croupier_gettid(), number); }
    static int croupier_take(int *taken) {
        int free = 0;
        return __atomic_compare_exchange_n(taken, &free, 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
    static void croupier_give(int *taken) { __atomic_store_n(taken, 0, __ATOMIC_RELEASE); }

    /* A stack for handlers, unless the thread has one. */
    static void croupier_set_stack(void) {
        stack_t now, ours;
        if (sigaltstack(NULL, &now) || !(now.ss_flags & SS_DISABLE)) return;
        ours.ss_sp = croupier_stack;
        ours.ss_size = sizeof croupier_stack;
        ours.ss_flags = 0;
        sigaltstack(&ours, NULL);
    }
    static void croupier_drop_stack(void) {
        stack_t now, none;
        if (sigaltstack(NULL, &now) || now.ss_sp != croupier_stack) return;
        none.ss_sp = NULL;
        none.ss_size = 0;
        none.ss_flags = SS_DISABLE;
        sigaltstack(&none, NULL);
    }

    static void croupier_catch(
        int number, void (*handler)(int, siginfo_t *, void *), struct sigaction *before
    ) {
        struct sigaction ours;
        memset(&ours, 0, sizeof ours);
        ours.sa_sigaction = handler;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigemptyset(&ours.sa_mask);
        sigaction(number, &ours, before);
    }

    /* The process's signals are for other threads. */
    static int croupier_start(void *(*work)(void *)) {
        sigset_t all, before;
        pthread_t thread;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int error = pthread_create(&thread, NULL, work, NULL);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (!error) pthread_detach(thread);
        return error;
    }
    static void croupier_nap(void) {
        struct timespec tenth = {0, 100000000};
        nanosleep(&tenth, NULL);
    }
    static int64_t croupier_now_ns(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }
    """
    ctypedef struct siginfo_t:
        int si_code
        int si_pid
    ctypedef struct sigaction_t "struct sigaction":
        pass
    ctypedef int pthread_key_t
    int croupier_gettid() noexcept nogil
    void croupier_resend(int number) noexcept nogil
    bint croupier_take(int* taken) noexcept nogil
    void croupier_give(int* taken) noexcept nogil
    void croupier_set_stack() noexcept nogil
    void croupier_drop_stack() noexcept nogil
    void croupier_catch(
        int number, void (*handler)(int, siginfo_t*, void*) noexcept nogil, sigaction_t* before
    ) noexcept nogil
    int croupier_start(void* (*work)(void*) noexcept nogil) noexcept nogil
    void croupier_nap() noexcept nogil
    int64_t croupier_now_ns() noexcept nogil
    int sigaction(int number, const sigaction_t* action, sigaction_t* before) noexcept nogil
    int getpid() noexcept nogil
    int kill(int process, int number) noexcept nogil
    int SIGKILL
    int pthread_key_create(pthread_key_t* key, void (*destroy)(void*) noexcept nogil) noexcept nogil
    int pthread_setspecific(pthread_key_t key, const void* value) noexcept nogil
    void* mmap(void* address, size_t size, int protection, int flags, int file, long offset) noexcept nogil
    int PROT_READ, PROT_WRITE, MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS, MAP_FIXED
    void* MAP_FAILED

cdef extern from *:
    """
    static __thread void *croupier_mine;
    """
    void* croupier_mine

cdef enum:
    _SLOTS = 127
    _SIZE = 64 * (_SLOTS + 1)
    _MARKED_SIGNALS = 5
    _BEATS_A_SECOND = 10
    _HUNG = -1

# The first 64 bytes of the pages, as `cell/crash/journal.py` writes and reads them.
cdef struct Head:
    unsigned char constant[40]
    # The last beat, in nanoseconds of CLOCK_MONOTONIC.
    int64_t beat
    # The signal that one of its threads raised and the process died of.
    int32_t signal
    int32_t is_closed
    int32_t spare[2]

cdef struct Pages:
    Head head
    Slot slots[_SLOTS]

cdef Pages* _pages = <Pages*>mmap(NULL, _SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
if _pages == <Pages*>MAP_FAILED:
    raise MemoryError

cdef int _taken[_SLOTS]
# Where threads write that found no slot.
cdef Slot _nowhere
cdef pthread_key_t _key
cdef sigaction_t[_MARKED_SIGNALS] _before
cdef int[_MARKED_SIGNALS] _signals
_signals[:] = [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT]
cdef bint _is_catching = False
cdef bint _is_attached = False
cdef bint _is_beating = False
# By phase: after so many beats in one place a slot is hung; 0 for never. And what the last beats saw.
cdef int[3] _most_beats
cdef int64_t[_SLOTS] _seen
cdef int[_SLOTS] _beats

SIZE = _SIZE
COUNT = _SLOTS
LOAD = LOADING
SCORE = SCORING
HUNG = _HUNG


cdef Slot* here() noexcept nogil:
    """The slot of this thread; the same one until the thread ends."""
    if croupier_mine == NULL:
        _settle()
    return <Slot*>croupier_mine


cdef void _settle() noexcept nogil:
    global croupier_mine
    cdef int i
    for i in range(_SLOTS):
        if croupier_take(_taken + i):
            croupier_mine = &_pages.slots[i]
            (<Slot*>croupier_mine).phase = IDLE
            (<Slot*>croupier_mine).thread = croupier_gettid()
            pthread_setspecific(_key, croupier_mine)
            croupier_set_stack()
            return
    croupier_mine = &_nowhere


cdef void _give_back(void* slot) noexcept nogil:
    """Runs at the end of a thread that has `slot`."""
    global croupier_mine
    (<Slot*>slot).phase = IDLE
    (<Slot*>slot).thread = 0
    croupier_mine = &_nowhere
    croupier_drop_stack()
    croupier_give(_taken + (<Slot*>slot - _pages.slots))


cdef void _on_signal(int number, siginfo_t* info, void* context) noexcept nogil:
    cdef int i, thread = croupier_gettid()
    cdef bint is_sent = info.si_code <= 0
    if not is_sent or info.si_pid == getpid():
        _pages.head.signal = number
        for i in range(_SLOTS):
            if _pages.slots[i].thread == thread:
                _pages.slots[i].signal = number
    for i in range(_MARKED_SIGNALS):
        if _signals[i] == number:
            sigaction(number, _before + i, NULL)
    # A fault comes again when the handler returns; a signal that was sent does not.
    if is_sent:
        croupier_resend(number)


cdef void* _beat(void* nothing) noexcept nogil:
    while True:
        _pages.head.beat = croupier_now_ns()
        _end_if_hung()
        croupier_nap()


cdef void _end_if_hung() noexcept nogil:
    cdef int i, phase
    cdef bint is_hung = False
    for i in range(_SLOTS):
        phase = _pages.slots[i].phase
        if phase == IDLE or _pages.slots[i].since != _seen[i]:
            _seen[i], _beats[i] = _pages.slots[i].since, 0
            continue
        _beats[i] += 1
        if _most_beats[phase] and _beats[i] >= _most_beats[phase]:
            _pages.slots[i].signal = _HUNG
            is_hung = True
    if is_hung:
        kill(getpid(), SIGKILL)


def catch_signals():
    """Mark the slot of a thread that dies of a signal, from now on."""
    global _is_catching
    cdef int i
    if _is_catching:
        return
    _is_catching = True
    for i in range(_MARKED_SIGNALS):
        croupier_catch(_signals[i], _on_signal, _before + i)
    _begin_beat()


def watch(double scoring, double loading):
    """End this process when one artifact is scored or loaded for longer than so many seconds; 0 for never."""
    _most_beats[SCORING] = <int>(scoring * _BEATS_A_SECOND)
    _most_beats[LOADING] = <int>(loading * _BEATS_A_SECOND)
    _begin_beat()


cdef int _begin_beat() except -1:
    global _is_beating
    if not _is_beating:
        if croupier_start(_beat):
            raise MemoryError("no thread for the beat")
        _is_beating = True
    return 0


def attach(int file, bytes constant not None):
    """Share the pages with `file`, open for writing and `SIZE` bytes long; its head begins with `constant`.

    Raises:
        ValueError: another file is attached.
        OSError: it cannot be mapped.
    """
    global _is_attached
    if _is_attached:
        raise ValueError("this process has a journal already")
    if len(constant) != sizeof(_pages.head.constant):
        raise ValueError(f"a head begins with {sizeof(_pages.head.constant)} bytes")
    if not _remap(MAP_SHARED, file):
        raise OSError("the journal cannot be mapped")
    memcpy(_pages.head.constant, <const unsigned char*>constant, len(constant))
    _is_attached = True


def detach():
    """Say in the file that the process ended of its own accord, and go on without it.

    Raises:
        MemoryError: there are no pages to go on with.
    """
    global _is_attached
    if _is_attached:
        _pages.head.is_closed = 1
        if not _remap(MAP_PRIVATE | MAP_ANONYMOUS, -1):
            raise MemoryError
        _is_attached = False


cdef bint _remap(int flags, int file) except -1:
    """Other pages at the same address, empty but for who has which slot."""
    cdef Pages kept
    cdef int i
    memset(&kept, 0, _SIZE)
    for i in range(_SLOTS):
        kept.slots[i].thread = _pages.slots[i].thread
    kept.head.beat = croupier_now_ns()
    if mmap(_pages, _SIZE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, file, 0) == MAP_FAILED:
        return False
    memcpy(_pages, &kept, _SIZE)
    return True


cdef class Naming:
    """`with Naming(digest, LOAD):` names an artifact while native code that Python calls works on it.

    What is named inside the block by native code is not named any more after it.
    """

    cdef Slot* _slot
    cdef bytes _digest
    cdef int32_t _phase

    def __init__(self, bytes digest not None, int32_t phase):
        if len(digest) != 32:
            raise ValueError("a digest has 32 bytes")
        self._digest, self._phase = digest, phase

    def __enter__(self):
        self._slot = here()
        enter(self._slot, <const unsigned char*>self._digest, self._phase)

    def __exit__(self, *error):
        leave(self._slot)


if pthread_key_create(&_key, _give_back):
    raise MemoryError
