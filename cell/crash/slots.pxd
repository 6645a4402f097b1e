"""For native code: the slot of this thread, and the few stores that name an artifact in it."""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #include <stdint.h>
    #include <time.h>
    /* What is stored before this is in memory before what is stored after it. All that ever reads a slot
       runs on this thread (a signal handler) or after the process: the compiler is who must not reorder. */
    #define croupier_fence() __atomic_signal_fence(__ATOMIC_SEQ_CST)
    static inline int64_t croupier_coarse_ns(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }
    """
    void croupier_fence() noexcept nogil
    int64_t croupier_coarse_ns() noexcept nogil

cdef enum:
    IDLE = 0
    LOADING = 1
    SCORING = 2

# 64 bytes, as `cell/crash/journal.py` reads them.
cdef struct Slot:
    unsigned char digest[32]
    # When the artifact was entered: nanoseconds of CLOCK_MONOTONIC, to a few milliseconds.
    int64_t since
    # The id that the kernel knows the thread by; 0 for a slot that nobody has.
    int32_t thread
    int32_t phase
    # The signal that this thread died of; 0 for none.
    int32_t signal
    int32_t spare[3]

cdef Slot* here() noexcept nogil


cdef inline void enter_at(
    Slot* slot, const unsigned char* digest, int32_t phase, int64_t since
) noexcept nogil:
    """Name the artifact of `digest`, 32 bytes; no half of a name is ever in force.

    `since` is another one at each time, as `croupier_coarse_ns` says it or some nanoseconds later.
    """
    slot.phase = IDLE
    croupier_fence()
    memcpy(slot.digest, digest, 32)
    slot.since = since
    croupier_fence()
    slot.phase = phase


cdef inline void enter(Slot* slot, const unsigned char* digest, int32_t phase) noexcept nogil:
    """As `enter_at`, now."""
    enter_at(slot, digest, phase, croupier_coarse_ns())


cdef inline void leave(Slot* slot) noexcept nogil:
    croupier_fence()
    slot.phase = IDLE
