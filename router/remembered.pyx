"""Routes that are remembered, and a bound of what they take in bytes.

    find ──▶ the route
    put ──▶ within the bound? ──no──▶ of a few others, what was not found for a round, and is of a tenant
                                      over its share, goes
                                      └──▶ still no, and the newcomer is of such a one: it does not stay

**The bound** follows the catalog: so many bytes for each model, which a route of each of them needs less
than. What callers can make more of are versions and labels, and each way to ask for one; only what exists is
remembered. What tenants have in common comes on top, some hundred bytes for each that has a route.

**A tenant's share** of it is that of its models in the catalog. Nothing of a tenant within its share goes for
others; while there is room, any may have more. Of a tenant's own those that were found lately stay (CLOCK,
Corbató 1968): one bit of each route, which finding sets and the search clears.

**No step is long.** Routes lie on many shelves by their hash, since a table that grows is copied in one go,
which stops the loop for tens of milliseconds where it has some 100,000. The search looks at a few for each
newcomer.

**Nothing is tracked** by the collector: neither routes nor tables of them, which hold only bytes and routes.
"""

cimport cython
from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError, PyDict_Next
from cpython.list cimport PyList_GET_ITEM
from cpython.object cimport PyObject_Hash
from cpython.ref cimport PyObject

from version_manager.model.decode import read_model
from version_manager.model.encoded import names_of
from version_manager.model.release import WHOLE
from version_manager.model.resolve import Target

cdef enum:
    SHELVES = 256
    # Of others, for each newcomer that there is no room for.
    LOOKS = 32
    MOST_NEAR = 65_535
    # What a route takes beside the bytes below: its structure, and its place in a table that is two thirds
    # full; an order that it may share with others; what it is called where it is counted; its artifact.
    ROUTE_BYTES = 192 + 64 + 88 + 88 + 80
    BYTES_BYTES = 33 + 8
    # A target, its tuples, its suffix and its name, of each version that traffic is split over.
    SPLIT_BYTES = 336

# For each model of the catalog: somewhat more than a route of it by its name alone usually takes.
BYTES_OF_MODEL = 720
# Of a catalog of fewer models.
LEAST_BYTES = 2**26


@cython.final
@cython.no_gc
cdef class Owner:
    pass


@cython.final
@cython.no_gc
cdef class Split:
    pass


@cython.final
@cython.no_gc
cdef class Route:
    """What requests that name the same model get, which has `record`.

    `choices` are (end, target): the target of the traffic up to the point `end`. `order` is every cell
    that may be asked, `cells` the order in which they are while no breaker is open. The first `near` of
    `cells` may be chosen from by how busy they are. `family` is what that wants of each request
    (`families.py`), if there is one.
    """

    def __init__(
        self,
        bytes record not None,
        tuple choices not None,
        tuple order not None,
        tuple cells not None,
        *,
        Py_ssize_t near=0,
        family=None,
    ):
        self.record, self.order, self.cells = record, order, cells
        self.near, self.copies = min(near, len(cells), MOST_NEAR), 1
        self.family, self.lacks = family, family is not None and family.features is not None
        if len(choices) == 1:
            target = choices[0][1]
            self.version, self.artifact = target.version, target.artifact
        else:
            self.split = Split.__new__(Split)
            self.split.choices, self.split.salt = choices, _salt_of(record)

    @property
    def choices(self):
        """What requests get that ask for it, by their point of the traffic."""
        if self.split is not None:
            return self.split.choices
        return ((WHOLE, Target(*names_of(self.record), self.version, self.artifact)),)


@cython.final
cdef class Remembered:
    """Routes by key, of at most `least` bytes, or so many for each model of the catalog that is followed."""

    def __init__(self, Py_ssize_t least):
        self._least = self._most = least
        self._shelves = [{} for _ in range(SHELVES)]
        self._owners = [{} for _ in range(SHELVES)]

    def __len__(self):
        return sum(map(len, self._shelves))

    @property
    def taken(self):
        """What they take, in bytes."""
        return self._taken

    cdef int follow(self, catalog, uint64_t epoch) except -1:
        """Shares are by the models of `catalog` from now on."""
        self._catalog, self._models, self._epoch = catalog, catalog.size, epoch
        self._most = max(self._least, BYTES_OF_MODEL * self._models)
        return 0

    cdef Route find(self, bytes key):
        cdef dict shelf = <dict>PyList_GET_ITEM(self._shelves, _shelf_of(key))
        cdef PyObject* found = PyDict_GetItemWithError(shelf, key)
        return None if found == NULL else <Route>found

    cdef Owner owner_of(self, str tenant):
        """None, if no route of the tenant is remembered."""
        return self._owners[_shelf_of(tenant)].get(tenant)

    cdef int put(self, bytes key, str tenant, Route route) except -1:
        """Remember a route, whose owner may be one that `owner_of` does not know yet."""
        cdef dict shelf = self._shelves[_shelf_of(key)]
        cdef Owner owner = route.owner
        cdef Route before = shelf.get(key)
        if before is not None:
            self._drop(shelf, key, before)
        cdef Py_ssize_t size = _size_of(key, route)
        owner.tenant = tenant
        if self._taken + size > self._most and not self._has_room(owner, size):
            return 0
        if not owner.taken:
            self._owners[_shelf_of(tenant)][tenant] = owner
        shelf[key] = route
        self._take(owner, size)
        return 0

    cdef int drop(self, bytes key, Route route) except -1:
        """Forget what `find` found."""
        return self._drop(self._shelves[_shelf_of(key)], key, route)

    cdef bint _has_room(self, Owner newcomer, Py_ssize_t more) except -1:
        """Whether so much more may be kept for an owner, once what may go of a few routes has gone."""
        cdef PyObject* key
        cdef PyObject* found
        cdef Route route
        self._may_count = True
        cdef bint is_over = self._is_over(newcomer, more)
        self._may_count = True
        for _ in range(LOOKS):
            if self._taken + more <= self._most:
                return True
            if not PyDict_Next(self._shelves[self._shelf], &self._place, &key, &found):
                self._shelf, self._place = (self._shelf + 1) % SHELVES, 0
                continue
            route = <Route>found
            if route.is_used:
                route.is_used = False
            elif is_over if route.owner is newcomer else self._is_over(route.owner, 0):
                self._drop(self._shelves[self._shelf], <bytes>key, route)
        return self._taken + more <= self._most or not is_over

    cdef bint _is_over(self, Owner owner, Py_ssize_t more) except -1:
        """Whether it has more than its share, with so much more."""
        # Counting takes as long as ten routes that are found: of a newcomer and one other, else as it was.
        if owner.counted != self._epoch and self._may_count:
            owner.models, owner.counted = self._catalog.count(owner.tenant), self._epoch
            self._may_count = False
        if not owner.counted:
            return False
        return owner.taken + more > <double>self._most * owner.models / max(1, self._models)

    cdef int _drop(self, dict shelf, bytes key, Route route) except -1:
        cdef Owner owner = route.owner
        self._take(owner, -_size_of(key, route))
        del shelf[key]
        if not owner.taken:
            del self._owners[_shelf_of(owner.tenant)][owner.tenant]
        return 0

    cdef void _take(self, Owner owner, Py_ssize_t size) noexcept:
        owner.taken += size
        self._taken += size


cdef str _salt_of(bytes record):
    release = read_model(record).release
    return "" if release is None else release.salt


cdef Py_ssize_t _shelf_of(key) except -1:
    # Others of its bits than those that its table goes by.
    return (<size_t>PyObject_Hash(key) >> 24) % SHELVES


cdef Py_ssize_t _size_of(bytes key, Route route) except -1:
    cdef Py_ssize_t size = ROUTE_BYTES + 2 * BYTES_BYTES + PyBytes_GET_SIZE(key)
    if route.family is not None and route.family.family.log is not None:
        size += MOST_LINE
    if route.split is not None:
        return size + SPLIT_BYTES * len(route.split.choices)
    return size + PyBytes_GET_SIZE(route.suffix)
