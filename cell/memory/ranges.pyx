"""Room for blocks that are larger than any slot: one mapping for each power of two, cut into places of that
size.

A block touches only the pages that it fills, and they go back to the system with it.
"""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free, realloc

cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void* address, size_t length, int protection, int flags, int file, long offset)
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE
    int MADV_NOHUGEPAGE, MADV_DONTDUMP
    void* MAP_FAILED


class ArenaFull(MemoryError):
    """More bytes than the arena was made for. Its caller keeps accounts, so this is a bug of ours."""


cdef class Ranges:
    """See ranges.pxd."""

    def __cinit__(self, Py_ssize_t above, Py_ssize_t capacity):
        """From above `above`, the largest slot, and from a page, up to the capacity.

        Blocks fill more than half of their places, so that no range runs out within the capacity.
        """
        cdef Py_ssize_t power = 1
        while power < PAGE or power <= above:
            power *= 2
            self._first_power += 1
        while power // 2 < capacity:
            power *= 2
            self._count += 1
        self._stride = power
        self._ranges = <Range*>calloc(self._count + 1, sizeof(Range))
        if self._ranges == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef Py_ssize_t i
        if self._ranges != NULL:
            for i in range(self._count):
                free(self._ranges[i].freed)
                if self._ranges[i].base != NULL:
                    munmap(self._ranges[i].base, self._stride)
        free(self._ranges)

    cdef char* take(self, Py_ssize_t size) except NULL:
        cdef int power = 0
        cdef Range* found = self._range_of(size, &power)
        cdef uint32_t* freed
        cdef uint32_t place
        if found.base == NULL:
            found.base = map_memory(self._stride)
        if found.count:
            found.count -= 1
            place = found.freed[found.count]
        else:
            place = found.fresh
            if place == self._stride >> power:
                raise ArenaFull(f"the arena has no place of {<Py_ssize_t>1 << power} bytes left")
            # Every place that was ever used can be freed without asking for memory.
            if found.room == place:
                freed = <uint32_t*>realloc(found.freed, 2 * (place + 8) * sizeof(uint32_t))
                if freed == NULL:
                    raise MemoryError
                found.freed = freed
                found.room = 2 * (place + 8)
            found.fresh += 1
        return found.base + (<Py_ssize_t>place << power)

    cdef void give(self, char* at, Py_ssize_t size) noexcept:
        cdef int power = 0
        cdef Range* found = self._range_of(size, &power)
        madvise(at, in_pages(size), MADV_DONTNEED)
        found.freed[found.count] = (at - found.base) >> power
        found.count += 1

    cdef Range* _range_of(self, Py_ssize_t size, int* power) except NULL:
        power[0] = self._first_power
        while (<Py_ssize_t>1 << power[0]) < size:
            power[0] += 1
        if power[0] - self._first_power >= self._count:
            raise ArenaFull(f"{size} bytes do not fit into the arena")
        return self._ranges + (power[0] - self._first_power)


cdef char* map_memory(Py_ssize_t size) except NULL:
    cdef void* found = mmap(
        NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0
    )
    if found == MAP_FAILED:
        raise MemoryError(f"there is no address space of {size} bytes")
    # Customers' models do not belong into a core file.
    madvise(found, size, MADV_DONTDUMP)
    madvise(found, size, MADV_NOHUGEPAGE)
    return <char*>found
