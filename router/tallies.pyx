"""Counts of what came of requests, for those tenants and versions that ask for most.

    ended ──▶ the route knows its rows ──▶ a few additions
                  └──none: nobody counts it──▶ one of many is offered to `busiest`, which may admit it

A request's route remembers in which rows it counts, until anybody is admitted: then it looks again, once, by
names that it keeps. So what a request costs does not depend on how many are counted, or who asks; and there
is no row but of those that are, whatever their number.

Native, because every request comes here. `croupier.latencies` has the buckets.
"""

cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

from croupier.codes cimport *
from router.remembered cimport Route
from router.units cimport Unit

from croupier.transport.status import code_of
from version_manager.model.encoded import names_of

cdef enum Came:
    # Of a request.
    WELL
    REFUSED
    FAILED

cdef enum:
    # What the caller did, or its quota, by code; the others are failures.
    _REFUSALS = (
        1 << CANCELLED | 1 << INVALID_ARGUMENT | 1 << NOT_FOUND | 1 << ALREADY_EXISTS
        | 1 << PERMISSION_DENIED | 1 << RESOURCE_EXHAUSTED | 1 << ABORTED | 1 << OUT_OF_RANGE
        | 1 << UNIMPLEMENTED | 1 << UNAUTHENTICATED
    )


@cython.final
cdef class Table:
    """A row for each of `room` names at most. `clock` is monotonic; `seed` decides who is offered.

    Of those that have no row, one of `one_in` requests is told to `offer(name)`, which may `admit`.
    """

    cdef Tally* rows
    cdef readonly Py_ssize_t room
    cdef readonly uint64_t changes
    cdef readonly list names
    cdef dict places
    cdef uint64_t admissions
    cdef object clock
    cdef public object offer
    cdef public uint64_t one_in
    cdef uint64_t left
    cdef uint64_t random

    def __cinit__(self, Py_ssize_t room, clock, *, uint64_t seed):
        self.rows = <Tally*>PyMem_Calloc(max(room, 1), sizeof(Tally))
        if self.rows == NULL:
            raise MemoryError
        self.room, self.clock = room, clock
        self.names, self.places = [], {}
        self.changes = self.one_in = self.left = 1
        self.random = seed or 1

    def __dealloc__(self):
        PyMem_Free(self.rows)

    def __len__(self):
        return len(self.names)

    @property
    def nbytes(self):
        """The memory of the rows."""
        return self.room * sizeof(Tally)

    def admit(self, str name not None, Py_ssize_t place=-1, long long young=0, long long old=0):
        """Count for `name` from now on, in a new row or in that of whoever has `place`.

        It asked for so much as is estimated since the periods began, the younger one and the older one.
        """
        if name in self.places:
            raise ValueError("it is counted already")
        if place < 0:
            place = len(self.names)
            if place >= self.room:
                raise ValueError("there is no room")
            self.names.append(name)
        else:
            del self.places[self.names[place]]
            self.names[place] = name
        cdef Tally* row = &self.rows[place]
        memset(row, 0, sizeof(Tally))
        self.admissions += 1
        row.admission, row.since, row.young, row.old = self.admissions, self.clock(), -young, -old
        self.places[name] = place
        self.changes += 1

    def weights(self):
        """What each asked for since the older period began."""
        cdef Py_ssize_t place
        cdef list found = []
        for place in range(len(self.names)):
            found.append(<long long>self.rows[place].requests - self.rows[place].old)
        return found

    def turn(self):
        """A new period begins, and the younger one becomes the older one."""
        cdef Py_ssize_t place
        for place in range(len(self.names)):
            self.rows[place].old = self.rows[place].young
            self.rows[place].young = <long long>self.rows[place].requests

    def state(self, Py_ssize_t place):
        """Its admission, and how many requests were counted in it."""
        self.check(place)
        return self.rows[place].admission, self.rows[place].requests

    def since(self, Py_ssize_t place):
        """When counting began, on `clock`."""
        self.check(place)
        return self.rows[place].since

    def counts(self, Py_ssize_t place):
        """Requests, refused, failed, cold, retried, slow; the first bucket with any, and all from there."""
        self.check(place)
        return counts_of(&self.rows[place])

    cdef int check(self, Py_ssize_t place) except -1:
        if not 0 <= place < len(self.names):
            raise IndexError(place)
        return 0

    cdef Py_ssize_t place_of(self, str name) except -2:
        """Where `name` is counted; -1 for nowhere."""
        place = self.places.get(name)
        return -1 if place is None else place

    cdef bint is_due(self) noexcept:
        """Whether this request of somebody without a row is one to be offered.

        At random, for what comes at regular intervals: a count of them would always meet the same.
        """
        self.left -= 1
        if self.left:
            return False
        # xorshift64 (Marsaglia 2003).
        self.random ^= self.random << 13
        self.random ^= self.random >> 7
        self.random ^= self.random << 17
        # From one to twice as many, so that it is `one_in` on average.
        self.left = 1 + self.random % (2 * self.one_in - 1)
        return True


@cython.final
cdef class Tallies:
    """Counts for the busiest of `tenants` and of `versions`; `slow_seconds` as in the log, infinity for none.

    A version's name is its tenant, model and number with slashes between, which no name has.
    """

    cdef readonly Table tenants
    cdef readonly Table versions
    cdef double slow_seconds
    cdef Tally total

    def __init__(self, Table tenants not None, Table versions not None, *, double slow_seconds):
        self.tenants, self.versions, self.slow_seconds = tenants, versions, slow_seconds

    @property
    def all(self):
        """As `Table.counts`, of every request."""
        return counts_of(&self.total)

    def ended(self, str tenant not None, units, double seconds):
        """A request has ended after so long; each of its units counts as one."""
        cdef Unit unit
        cdef Py_ssize_t bucket = bucket_of(seconds)
        cdef bint is_slow = seconds >= self.slow_seconds
        for unit in units:
            self.count(unit, tenant, bucket, is_slow)

    def refused(self, str tenant not None, int code, double seconds):
        """A request has ended, for which nothing was tried."""
        cdef Came came = came_of(code)
        cdef Py_ssize_t bucket = bucket_of(seconds)
        cdef bint is_slow = seconds >= self.slow_seconds
        add(&self.total, came, bucket, is_slow)
        cdef Py_ssize_t place = self.place_of_tenant(tenant)
        if place >= 0:
            add(&self.tenants.rows[place], came, bucket, is_slow)

    cdef int count(self, Unit unit, str tenant, Py_ssize_t bucket, bint is_slow) except -1:
        cdef Came came = WELL
        cdef Route route = <Route>unit.route
        cdef Py_ssize_t place
        if type(unit.outcome) is not bytes:
            came = FAILED if unit.outcome is None else came_of(code_of(unit.outcome))
        elif unit.code:
            came = came_of(unit.code)
        note_way(add(&self.total, came, bucket, is_slow), unit)
        if route is None:
            place = self.place_of_tenant(tenant)
            if place >= 0:
                note_way(add(&self.tenants.rows[place], came, bucket, is_slow), unit)
            return 0
        # Neither count goes down, so that their sum names a state of both.
        if route.counted_as != self.tenants.changes + self.versions.changes:
            self.look_up(route, tenant)
        if route.tenant_row < 0 and self.tenants.is_due():
            self.tenants.offer(tenant)
            self.look_up(route, tenant)
        if route.tenant_row >= 0:
            note_way(add(&self.tenants.rows[route.tenant_row], came, bucket, is_slow), unit)
        place = route.version_row if route.split is None else route.split.rows[unit.choice]
        if place < 0 and self.versions.is_due():
            name = route.version_name if route.split is None else route.split.names[unit.choice]
            self.versions.offer(name)
            place = self.versions.place_of(name)
        if place >= 0:
            note_way(add(&self.versions.rows[place], came, bucket, is_slow), unit)
        return 0

    cdef Py_ssize_t place_of_tenant(self, str tenant) except -2:
        """Where it is counted, if there is no route that knows; -1 for nowhere."""
        cdef Py_ssize_t place = self.tenants.place_of(tenant)
        if place < 0 and self.tenants.is_due():
            self.tenants.offer(tenant)
            place = self.tenants.place_of(tenant)
        return place

    cdef int look_up(self, Route route, str tenant) except -1:
        route.tenant_row = self.tenants.place_of(tenant)
        if route.split is not None:
            if route.split.names is None:
                route.split.names = tuple(
                    [_name(tenant, target.model, target.version) for _, target in route.split.choices])
            route.split.rows = tuple([self.versions.place_of(name) for name in route.split.names])
        else:
            if route.version_name is None:
                # To make it takes ten times as long as to look it up.
                route.version_name = _name(tenant, names_of(route.record)[1], route.version)
            route.version_row = self.versions.place_of(route.version_name)
        route.counted_as = self.tenants.changes + self.versions.changes
        return 0


cdef str _name(str tenant, str model, version):
    return f"{tenant}/{model}/{version}"


cdef Came came_of(int code) noexcept:
    return REFUSED if 0 <= code < 32 and _REFUSALS >> code & 1 else FAILED


cdef inline Tally* add(Tally* row, Came came, Py_ssize_t bucket, bint is_slow) noexcept:
    row.requests += 1
    row.refused += came == REFUSED
    row.failed += came == FAILED
    row.slow += is_slow
    row.buckets[bucket] += 1
    return row


cdef inline void note_way(Tally* row, Unit unit) noexcept:
    row.cold += unit.is_cold
    row.retried += unit.tried > 1


cdef Py_ssize_t bucket_of(double seconds) noexcept:
    """As `latencies.bucket_of`: the exponent, and of the digits behind it the first two."""
    cdef uint64_t bits
    memcpy(&bits, &seconds, sizeof(double))
    # Not a number, and what is below zero, are no latencies: the first bucket.
    if not seconds >= 2.0**FIRST_OCTAVE:
        return 0
    if seconds >= 2.0**(FIRST_OCTAVE + OCTAVES):
        return BUCKETS - 1
    return 1 + <Py_ssize_t>((bits >> 50) - <uint64_t>((1023 + FIRST_OCTAVE) * PER_OCTAVE))


cdef tuple counts_of(Tally* row):
    cdef Py_ssize_t first = 0, end = BUCKETS, place
    while first < end and not row.buckets[first]:
        first += 1
    while first < end and not row.buckets[end - 1]:
        end -= 1
    buckets = [row.buckets[place] for place in range(first, end)]
    if first == end:
        first = 0
    return row.requests, row.refused, row.failed, row.cold, row.retried, row.slow, first, buckets


def bucket(double seconds):
    """The bucket of a latency."""
    return bucket_of(seconds)
