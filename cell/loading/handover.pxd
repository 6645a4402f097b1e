"""What two kinds of threads hand each other, without a lock that one could wait for while the other has it.

A thread of low priority that holds a lock may be kept from the processor, and whoever waits for the lock with
it: the event loop waited long for readers that it had itself pushed aside. Here whoever gives adds to
a chain in one atomic step, and whoever takes has the whole chain in one.
"""

cdef extern from *:
    """
    #ifndef CROUPIER_HANDOVER
    #define CROUPIER_HANDOVER
    #include <stddef.h>

    typedef struct croupier_link { struct croupier_link *next; } croupier_link;

    /* Whether nothing was there. */
    static inline int croupier_give(croupier_link **chain, croupier_link *one) {
        croupier_link *before = __atomic_load_n(chain, __ATOMIC_RELAXED);
        do one->next = before;
        while (!__atomic_compare_exchange_n(chain, &before, one, 1, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
        return before == NULL;
    }

    /* All that was given, the first one first. */
    static inline croupier_link *croupier_take_all(croupier_link **chain) {
        croupier_link *newest = __atomic_exchange_n(chain, NULL, __ATOMIC_ACQ_REL), *first = NULL;
        while (newest != NULL) {
            croupier_link *older = newest->next;
            newest->next = first;
            first = newest;
            newest = older;
        }
        return first;
    }
    #endif
    """
    ctypedef struct Link "croupier_link":
        Link* next
    bint give "croupier_give"(Link** chain, Link* one) noexcept nogil
    Link* take_all "croupier_take_all"(Link** chain) noexcept nogil
