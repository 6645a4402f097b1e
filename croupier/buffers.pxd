"""See buffers.pyx."""

from libc.stdint cimport uint8_t

cdef bytes unfilled(Py_ssize_t size)
cdef bytes filled(bytes made, const void* end)

# Nothing, but in a debug build.
cdef extern from *:
    """
    #ifndef CROUPIER_BUFFERS
    #define CROUPIER_BUFFERS
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>

    #ifdef CROUPIER_DEBUG
    #define CROUPIER_IS_DEBUG 1
    #if __has_include(<valgrind/memcheck.h>)
    #include <valgrind/memcheck.h>
    #else
    #define VALGRIND_MAKE_MEM_UNDEFINED(at, size) ((void) 0)
    #define VALGRIND_CHECK_MEM_IS_DEFINED(at, size) 0
    #endif

    /* As a float32, a signalling NaN: no arithmetic gives it. */
    #define CROUPIER_POISON 0x7FA5A5A5u

    static inline void croupier_poison(void *at, ptrdiff_t size) {
        static const uint32_t word = CROUPIER_POISON;
        ptrdiff_t i;
        for (i = 0; i < size; i++) ((uint8_t *) at)[i] = ((const uint8_t *) &word)[i & 3];
        (void) VALGRIND_MAKE_MEM_UNDEFINED(at, size);
    }

    static inline ptrdiff_t croupier_first_poison(const void *at, ptrdiff_t size) {
        ptrdiff_t i;
        uint32_t word;
        (void) VALGRIND_CHECK_MEM_IS_DEFINED(at, size);
        for (i = 0; i + 4 <= size; i += 4) {
            memcpy(&word, (const uint8_t *) at + i, 4);
            if (word == CROUPIER_POISON) return i;
        }
        return -1;
    }

    static inline void croupier_tell_checker(const void *at, ptrdiff_t size) {
        (void) VALGRIND_CHECK_MEM_IS_DEFINED(at, size);
    }
    #else
    #define CROUPIER_IS_DEBUG 0
    #define croupier_poison(at, size) ((void) 0)
    #define croupier_first_poison(at, size) (-1)
    #define croupier_tell_checker(at, size) ((void) 0)
    #endif
    #endif
    """
    const bint CROUPIER_IS_DEBUG
    # Make what lies there something that nobody wrote, to a memory checker too.
    void poison "croupier_poison"(void* at, Py_ssize_t size) noexcept nogil
    # Where the first number lies that nobody wrote, in bytes; -1 without one.
    Py_ssize_t first_poison "croupier_first_poison"(const void* at, Py_ssize_t size) noexcept nogil
    # Have a memory checker report what nobody wrote.
    void tell_checker "croupier_tell_checker"(const void* at, Py_ssize_t size) noexcept nogil
