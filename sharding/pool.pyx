"""Deals natively from a pool of seats: one hand, or a whole population's without the interpreter's lock.

The rules are those of `dealer`, whose `explain` is the plain twin; the hands are the same to the last cell.
What makes it fast is xxhash's own C (XXH3 of 16 bytes is a few multiplications once it is compiled in), and
that hardly any score is computed: of each zone only the best cells are needed, one for each round, and
-ln(u) ≥ 1 - u tells without a logarithm that most cells are behind those that were found. Scores themselves
are the same doubles as `hashing.score` gives, of the same libm.

`python -m bench sharding` measures it. Hands are written where the caller says; a call takes two words for
each seat besides.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.math cimport INFINITY, log
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #define XXH_INLINE_ALL
    #include <xxhash.h>
    #if XXH_VERSION_NUMBER < 800
    #error "XXH3 may differ before xxhash 0.8"
    #endif
    """
    ctypedef struct XXH64_canonical_t:
        pass
    uint64_t XXH3_64bits(const void* data, size_t size) noexcept nogil
    uint64_t XXH3_64bits_withSeed(const void* data, size_t size, uint64_t seed) noexcept nogil
    void XXH64_canonicalFromHash(XXH64_canonical_t* to, uint64_t hashed) noexcept nogil

cdef double UNIT = 2.0**-52
# A bound is widened by more than all roundings on the way to a score, and so never wrong.
cdef double WIDER = 1.0 + 1e-12

cdef struct Seat:
    # The 8 bytes of its key, in the order in which they are hashed.
    uint64_t key
    double weight
    int32_t cell

cdef struct Place:
    double score
    int32_t cell


cdef class Pool:
    """Seats that are dealt to the same tenants.

    `cells` are names, in their order; `zones` has each zone's seats, (key of the cell, weight, index of the
    cell), by index. Ties of scores go to the lower index, and so to the lower name.
    """

    cdef readonly tuple cells
    cdef Seat* _seats
    # Where each zone begins among the seats; and the end.
    cdef int32_t* _begins
    cdef int32_t _zones
    cdef readonly int32_t size

    def __cinit__(self, tuple cells, zones):
        cdef int32_t at = 0, zone = 0
        cdef bytes key
        self.cells = cells
        self._zones = len(zones)
        self.size = sum(map(len, zones))
        self._seats = <Seat*>PyMem_Malloc(max(self.size, 1) * sizeof(Seat))
        self._begins = <int32_t*>PyMem_Malloc((self._zones + 1) * sizeof(int32_t))
        if self._seats == NULL or self._begins == NULL:
            raise MemoryError
        for seats in zones:
            self._begins[zone] = at
            zone += 1
            for key, weight, cell in seats:
                if len(key) != 8 or not 0 <= cell < len(cells):
                    raise ValueError("a seat has a key of 8 bytes and one of the cells")
                memcpy(&self._seats[at].key, <const char*>key, 8)
                self._seats[at].weight = weight
                self._seats[at].cell = cell
                at += 1
        self._begins[zone] = at

    def __dealloc__(self):
        PyMem_Free(self._seats)
        PyMem_Free(self._begins)

    def deal(self, bytes key not None, int32_t size, tuple kept_out=()):
        """The names of the first `size` cells that `key` is dealt, but for those of `kept_out` (indices)."""
        cdef Place* work
        cdef int32_t* out
        cdef uint8_t* skip = NULL
        cdef int32_t dealt, index
        cdef uint64_t raw
        if len(key) != 8:
            raise ValueError("a key has 8 bytes")
        memcpy(&raw, <const char*>key, 8)
        size = min(size, self.size)
        if size <= 0:
            return ()
        work = _work(self.size, self._zones)
        out = <int32_t*>malloc(size * sizeof(int32_t))
        try:
            if work == NULL or out == NULL:
                raise MemoryError
            if kept_out:
                skip = <uint8_t*>malloc(len(self.cells))
                if skip == NULL:
                    raise MemoryError
                memset(skip, 0, len(self.cells))
                for index in kept_out:
                    if not 0 <= index < len(self.cells):
                        raise ValueError("there is no such cell")
                    skip[index] = 1
            dealt = self._deal(raw, size, self._rounds(size, skip), skip, work, out)
            return tuple([self.cells[out[index]] for index in range(dealt)])
        finally:
            free(work)
            free(out)
            free(skip)

    def deal_all(
        self,
        const uint64_t[::1] keys not None,
        int32_t size,
        const int64_t[::1] at not None,
        const int32_t[::1] numbers not None,
        int32_t[::1] out not None,
    ):
        """Deal `size` cells, no more than there are, by each of `keys`, into `out` from each of `at` on.

        `numbers` are what is written for each of the cells.

        Raises:
            ValueError: a hand does not fit, or has more cells than the pool, or a cell has no number.
        """
        cdef Place* work
        cdef int32_t rounds = self._rounds(size, NULL)
        cdef int64_t index, slot, count = keys.shape[0], room = out.shape[0]
        if not 0 <= size <= self.size or at.shape[0] != count or numbers.shape[0] != len(self.cells):
            raise ValueError("a hand has no more cells than there are, each has a place, each cell a number")
        if not size:
            return
        work = _work(self.size, self._zones)
        if work == NULL:
            raise MemoryError
        with nogil:
            for index in range(count):
                if not 0 <= at[index] <= room - size:
                    break
                self._deal(keys[index], size, rounds, NULL, work, &out[at[index]])
                for slot in range(at[index], at[index] + size):
                    out[slot] = numbers[out[slot]]
            else:
                index = count
        free(work)
        if index < count:
            raise ValueError("a hand does not fit")

    cdef int32_t _rounds(self, int32_t size, const uint8_t* skip) noexcept nogil:
        """How many rounds it takes to deal `size` cells, or all."""
        cdef int32_t rounds = 0, zone, free_cells, dealt = -1, before = -2, seat
        while dealt < size and dealt != before:
            before, dealt = dealt, 0
            rounds += 1
            for zone in range(self._zones):
                free_cells = self._begins[zone + 1] - self._begins[zone]
                if skip != NULL:
                    for seat in range(self._begins[zone], self._begins[zone + 1]):
                        free_cells -= skip[self._seats[seat].cell]
                dealt += min(free_cells, rounds)
        return rounds

    cdef int32_t _deal(
        self, uint64_t key, int32_t size, int32_t rounds, const uint8_t* skip, Place* work, int32_t* out
    ) noexcept nogil:
        """Write the hand into `out`; returns how many cells it has."""
        # Behind a list of places for each zone: their lengths, and those whose turn it is.
        cdef Place* turn = work + self.size
        cdef int32_t* counts = <int32_t*>(turn + self._zones)
        cdef int32_t zone, index, waiting, wanted, dealt = 0, rank = 0
        cdef Place place
        for zone in range(self._zones):
            counts[zone] = self._rank(key, zone, rounds, skip, work + self._begins[zone])
        while dealt < size:
            waiting = 0
            wanted = size - dealt
            for zone in range(self._zones):
                if rank < counts[zone]:
                    place = work[self._begins[zone] + rank]
                    waiting = _insert(turn, waiting, wanted, place)
            if not waiting:
                break
            for index in range(waiting):
                out[dealt] = turn[index].cell
                dealt += 1
            rank += 1
        return dealt

    cdef inline int32_t _rank(
        self, uint64_t key, int32_t zone, int32_t most, const uint8_t* skip, Place* ranked
    ) noexcept nogil:
        """The `most` best cells of a zone, the best first; returns how many there are."""
        cdef uint64_t pair[2]
        cdef double u, bound = INFINITY
        cdef int32_t found = 0, index
        cdef Place place
        cdef const Seat* seat
        pair[0] = key
        for index in range(self._begins[zone], self._begins[zone + 1]):
            seat = &self._seats[index]
            if skip != NULL and skip[seat.cell]:
                continue
            pair[1] = seat.key
            u = (<double><int64_t>(XXH3_64bits(pair, 16) >> 12) + 0.5) * UNIT
            if 1.0 - u > bound * seat.weight:
                continue
            place.score = -log(u) / seat.weight
            place.cell = seat.cell
            found = _insert(ranked, found, most, place)
            if found == most:
                bound = ranked[found - 1].score * WIDER
        return found


cdef inline int32_t _insert(Place* places, int32_t count, int32_t most, Place place) noexcept nogil:
    """Put `place` where it belongs among the `most` best, by score and cell; returns how many there are."""
    cdef int32_t at = count
    if count == most:
        if not _is_before(place, places[count - 1]):
            return count
        at = count - 1
    else:
        count += 1
    while at > 0 and _is_before(place, places[at - 1]):
        places[at] = places[at - 1]
        at -= 1
    places[at] = place
    return count


cdef inline bint _is_before(Place one, Place other) noexcept nogil:
    return one.score < other.score or (one.score == other.score and one.cell < other.cell)


cdef Place* _work(int32_t seats, int32_t zones) noexcept:
    return <Place*>malloc((seats + zones) * sizeof(Place) + zones * sizeof(int32_t))


def name_keys(names not None, uint64_t seed, uint64_t[::1] out not None):
    """Write into `out` the key by which each of `names` (strings) is dealt: the 8 bytes that `key64` gives.

    Raises:
        ValueError: there are not as many places as names.
        UnicodeEncodeError: a name cannot be written as UTF-8.
    """
    cdef Py_ssize_t size, room = 0, index = 0
    cdef const char* text
    cdef char* buffer = NULL
    cdef size_t prefix = 7
    if len(names) != out.shape[0]:
        raise ValueError("as many keys as names")
    try:
        for name in names:
            text = PyUnicode_AsUTF8AndSize(name, &size)
            if buffer == NULL or size > room:
                free(buffer)
                room = 2 * size + 256
                buffer = <char*>malloc(prefix + room)
                if buffer == NULL:
                    raise MemoryError
                memcpy(buffer, b"tenant\0", prefix)
            memcpy(buffer + prefix, text, size)
            XXH64_canonicalFromHash(
                <XXH64_canonical_t*>&out[index], XXH3_64bits_withSeed(buffer, prefix + size, seed)
            )
            index += 1
    finally:
        free(buffer)
