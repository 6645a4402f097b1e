"""Who gives way to whom on a processor: threads with long work to event loops, by the kernel's own means.

In Linux a thread has a nice value of its own, and, from 6.12 on, a slice of its own: how long it may run
before another that has woken gets its turn. Whoever wakes while a thread runs on its core waits for the end
of that one's slice, whatever their nice values: up to some milliseconds or a tick of the kernel's. A thread
that loads or digests has the shortest slice there is, and so have the event loops of routers and cells,
which is what lets them in at once when they wake, beside other processes too. Beside a thread with as short
a slice they wait for the kernel's next tick, and a thread inherits the slice of who starts it. So threads
that score have the longest one: whoever wakes with a shorter one goes before, and all have as much in the
end. An older kernel ignores what it does not know.
"""

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE 1
    #endif
    #include <stdint.h>
    #include <string.h>
    #include <sys/resource.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    /* As linux/sched/types.h has it, which cannot be included beside sched.h. */
    struct croupier_sched_attr {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    };

    static void croupier_lower(int nice) {
        setpriority(PRIO_PROCESS, (id_t) syscall(SYS_gettid), getpriority(PRIO_PROCESS, 0) + nice);
    }

    static void croupier_slice(int microseconds) {
        struct croupier_sched_attr attr;
        memset(&attr, 0, sizeof attr);
        attr.size = sizeof attr;
        if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) != 0 || attr.policy != 0) return;
        attr.runtime = (uint64_t) microseconds * 1000;
        syscall(SYS_sched_setattr, 0, &attr, 0);
    }
    """
    void croupier_lower(int nice) noexcept nogil
    void croupier_slice(int microseconds) noexcept nogil

# Added to the nice value of threads that load: beside a thread that does not yield they get a tenth.
NICE = 10
# The shortest slice that the kernel gives, and the longest one.
SLICE_MICROSECONDS = 100
LONG_SLICE_MICROSECONDS = 100_000


cdef void lower(int nice) noexcept nogil:
    croupier_lower(nice)


cdef void shorten(int microseconds) noexcept nogil:
    croupier_slice(microseconds)


def step_back(int nice=NICE):
    """Have this thread's nice value higher by `nice`, and its slices as short as can be."""
    croupier_lower(nice)
    croupier_slice(SLICE_MICROSECONDS)


def take_short_slices():
    """Have this thread let in others soon, and be let in as soon by others."""
    croupier_slice(SLICE_MICROSECONDS)


def take_long_slices():
    """Have this thread let in at once whoever wakes with shorter ones, at the same priority."""
    croupier_slice(LONG_SLICE_MICROSECONDS)
