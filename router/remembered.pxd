from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

cimport cython

cdef enum:
    # What records of a request that is logged say alike is kept up to this size.
    MOST_LINE = 160


@cython.final
@cython.no_gc
cdef class Owner:
    """What all routes of a tenant have alike, but for their cells' order."""

    # Whose requests they are, and behind it which generation deals them, as fields for the cell.
    cdef bytes marks
    cdef uint16_t owner_size
    cdef uint16_t generation_size
    # The generation that deals; 0: nobody is told.
    cdef object generation
    # The tenant's among the tenants that a cell tells apart: see `loads`.
    cdef int slot
    # What its cells and their order depend on, and how often that changed; as of which map.
    cdef bytes basis
    cdef uint32_t deals
    cdef uint64_t seen
    # What its routes take, in bytes; and how many models it has, as of which view.
    cdef str tenant
    cdef Py_ssize_t taken
    cdef Py_ssize_t models
    cdef uint64_t counted


@cython.final
@cython.no_gc
cdef class Split:
    """What a route has for each version that traffic is split over."""

    # (end, target): the target of the traffic up to the point `end`.
    cdef tuple choices
    # Of the release: what changes which point a key falls on.
    cdef str salt
    cdef tuple suffixes
    # As `version_name` and `version_row` of a route.
    cdef tuple names
    cdef tuple rows


# Without the collector, which would look at each of very many: nothing that a route has leads back to it.
@cython.final
@cython.no_gc
cdef class Route:
    # The model's, which the catalog has too.
    cdef readonly bytes record
    # Where there is no choice: the version, and its artifact. Each further object to look at is one that
    # the processor's cache may not hold.
    cdef readonly object version
    cdef readonly bytes artifact
    cdef bytes suffix
    cdef Split split
    cdef readonly tuple order
    cdef readonly tuple cells
    cdef Owner owner
    # What its family wants of each request, if it has one; and whether that is features.
    cdef readonly object family
    # What records of its first choice say alike, once there was one: see `log`.
    cdef bytes line
    # What its only version is called where what came of its requests is counted; and in which rows, as of
    # that change of who is counted at all: see `tallies`.
    cdef str version_name
    cdef uint64_t counted_as
    cdef int32_t tenant_row
    cdef int32_t version_row
    # The view that it was last seen to hold in, and the owner's deal that it was made by.
    cdef uint64_t epoch
    cdef uint32_t deal
    # How often it was asked for since when, and to which of `cells` it moved: see `balance`.
    cdef uint32_t asked
    cdef double since
    cdef uint64_t moved
    # What 95 of 100 calls for it take, of how many; and which of `order` have answered it since `warm_since`,
    # and in the minute before that: see `hedges`.
    cdef public double tail
    cdef public double warm_since
    cdef public uint32_t timed
    cdef public unsigned int warm
    cdef public unsigned int warm_before
    # How many of `cells`, from the first one on, may be chosen from by how busy they are; how many of these
    # serve the model now.
    cdef readonly uint16_t near
    cdef readonly uint16_t copies
    cdef uint8_t lacks
    # Found since it was last looked at whether it may go.
    cdef uint8_t is_used


@cython.final
cdef class Remembered:
    cdef list _shelves
    cdef list _owners
    cdef Py_ssize_t _least
    cdef Py_ssize_t _most
    cdef Py_ssize_t _taken
    cdef object _catalog
    cdef Py_ssize_t _models
    cdef uint64_t _epoch
    # Where the search for what may go has come to: a shelf, and a place on it.
    cdef Py_ssize_t _shelf
    cdef Py_ssize_t _place
    cdef bint _may_count

    cdef int follow(self, catalog, uint64_t epoch) except -1
    cdef Route find(self, bytes key)
    cdef Owner owner_of(self, str tenant)
    cdef int put(self, bytes key, str tenant, Route route) except -1
    cdef int drop(self, bytes key, Route route) except -1
    cdef bint _has_room(self, Owner newcomer, Py_ssize_t more) except -1
    cdef bint _is_over(self, Owner owner, Py_ssize_t more) except -1
    cdef int _drop(self, dict shelf, bytes key, Route route) except -1
    cdef void _take(self, Owner owner, Py_ssize_t size) noexcept
