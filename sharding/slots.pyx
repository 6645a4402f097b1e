"""Compares and adds up hands slot by slot, without an array of the population's slots for each sum.

Hands are given as in `population.Hands`. Nothing here needs the interpreter's lock, nor more memory than a
word for each cell.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc


def count_shared(
    const int64_t[::1] begins not None,
    const int32_t[::1] slots not None,
    const int64_t[::1] some not None,
    const int64_t[::1] others not None,
    int32_t cells,
    int64_t[::1] out not None,
):
    """Write into `out` how many cells each tenant of `some` shares with the one at its place in `others`.

    Raises:
        ValueError: there are not as many of all three, or a tenant or a cell is none.
    """
    cdef int64_t index, slot, count = some.shape[0], tenants = begins.shape[0] - 1
    cdef int64_t* stamps
    if others.shape[0] != count or out.shape[0] != count:
        raise ValueError("each tenant is compared with one other")
    for index in range(count):
        if not (0 <= some[index] < tenants and 0 <= others[index] < tenants):
            raise ValueError("there is no such tenant")
    _check(begins, slots, cells)
    stamps = _stamps(cells)
    with nogil:
        for index in range(count):
            out[index] = 0
            for slot in range(begins[some[index]], begins[some[index] + 1]):
                stamps[slots[slot]] = index
            for slot in range(begins[others[index]], begins[others[index] + 1]):
                out[index] += stamps[slots[slot]] == index
    free(stamps)


def mark_new(
    const int64_t[::1] begins_before not None,
    const int32_t[::1] before not None,
    const int64_t[::1] begins not None,
    const int32_t[::1] slots not None,
    int32_t cells,
    uint8_t[::1] out not None,
):
    """Write into `out`, for each slot, whether the same tenant did not have its cell before.

    Raises:
        ValueError: the tenants are not as many as before, or a cell is none.
    """
    cdef int64_t tenant, slot, tenants = begins.shape[0] - 1
    cdef int64_t* stamps
    if begins_before.shape[0] != begins.shape[0] or out.shape[0] != slots.shape[0]:
        raise ValueError("the hands are of other tenants than before")
    _check(begins_before, before, cells)
    _check(begins, slots, cells)
    stamps = _stamps(cells)
    with nogil:
        for tenant in range(tenants):
            for slot in range(begins_before[tenant], begins_before[tenant + 1]):
                stamps[before[slot]] = tenant
            for slot in range(begins[tenant], begins[tenant + 1]):
                out[slot] = stamps[slots[slot]] != tenant
    free(stamps)


def count_marked(
    const int64_t[::1] begins not None, const uint8_t[::1] marks not None, int64_t[::1] out not None
):
    """Write into `out` how many slots of each tenant are marked.

    Raises:
        ValueError: there are not as many tenants, or hands do not follow one another in the slots.
    """
    cdef int64_t tenant, slot, found
    if out.shape[0] != begins.shape[0] - 1:
        raise ValueError("as many counts as tenants")
    _check_begins(begins, marks.shape[0])
    with nogil:
        for tenant in range(out.shape[0]):
            found = 0
            for slot in range(begins[tenant], begins[tenant + 1]):
                found += marks[slot] != 0
            out[tenant] = found


def add_up(
    const int64_t[::1] begins not None,
    const int32_t[::1] slots not None,
    const uint8_t[::1] marks not None,
    const double[::1] unmarked not None,
    const double[::1] marked not None,
    double[::1] out not None,
):
    """Add to each cell of `out`, for each slot on it, what is said of the slot's tenant, if marked or if not.

    Raises:
        ValueError: there are not as many marks as slots or words as tenants, or a cell is none.
    """
    cdef int64_t tenant, slot, tenants = begins.shape[0] - 1
    if marks.shape[0] != slots.shape[0] or unmarked.shape[0] != tenants or marked.shape[0] != tenants:
        raise ValueError("as many marks as slots, and something of each tenant")
    _check(begins, slots, out.shape[0])
    with nogil:
        for tenant in range(tenants):
            for slot in range(begins[tenant], begins[tenant + 1]):
                out[slots[slot]] += marked[tenant] if marks[slot] else unmarked[tenant]


cdef int _check(const int64_t[::1] begins, const int32_t[::1] slots, int64_t cells) except -1:
    """Raises ValueError: reading by these would leave an array."""
    cdef int64_t index
    _check_begins(begins, slots.shape[0])
    for index in range(slots.shape[0]):
        if not 0 <= slots[index] < cells:
            raise ValueError("there is no such cell")
    return 0


cdef int _check_begins(const int64_t[::1] begins, int64_t slots) except -1:
    cdef int64_t index, before = 0
    for index in range(begins.shape[0]):
        if not before <= begins[index] <= slots:
            raise ValueError("hands follow one another")
        before = begins[index]
    return 0


cdef int64_t* _stamps(int32_t cells) except NULL:
    """Who was last seen on each cell; nobody yet."""
    cdef int32_t cell
    cdef int64_t* stamps = <int64_t*>malloc(max(cells, 1) * sizeof(int64_t))
    if stamps == NULL:
        raise MemoryError
    for cell in range(cells):
        stamps[cell] = -1
    return stamps
