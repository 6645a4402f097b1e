"""Routes that are remembered: what was decided for a model is decided once.

For the same tenant, model, version and label, every request gets the same choice of versions and the
same cells, until the view changes. So a `Route` is found by those names as they stand in the message, without
decoding them; only where a traffic split leaves a choice is the request's own point looked at. Deciding
one takes many times longer than finding it.

**A view that changes** takes no route with it that it does not touch, and nothing is done for all routes when
it comes: whether one still holds is looked at where it is found.

- The catalog has the very same model, and its family wants the same of requests: looked at once for each
  route and view. Versions are published all the time, and each makes a new view.
- The tenant's cells, their states and the order of both hands are as they were (`route.deal`): looked at
  once for each tenant and map. A new generation, a step of a ramp or a cell that drains has routes made again
  of those tenants alone whose hands it changed; which generation dealt stands with the tenant.

How many are remembered, and whose go first, is told in `remembered.pyx`.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from sys import intern

from croupier.errors import CroupierError
from router.envelope cimport (
    Names,
    Shared,
    Text,
    ask_of,
    check_text,
    decoded,
    fields_of,
    read_infer_names,
    read_item_names,
    shared_of,
)
from croupier.fields cimport LEN, MOST_FIELDS, Cursor, Field, bytes_of, cursor_of, next_field, next_of
from protos.numbers cimport PredictRequest_items, PredictRequest_shared
from router.loads cimport AGAIN, SLOTS
from router.remembered cimport Owner, Remembered, Route
from router.units cimport Unit, new_unit

from router.envelope import check_items, generation_field, infer_suffix, item_suffix, read_model
from router.remembered import LEAST_BYTES
from router.route import deal as usual_deal
from version_manager.model.encoded import names_of
from version_manager.model.release import WHOLE, split_point

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef enum:
    # Longer names are refused (`croupier.names`), and an error is not remembered.
    MAX_NAME = 128
    MAX_VERSION_TEXT = 19
    MAX_KEY = 3 * MAX_NAME + sizeof(uint64_t) + 4
    # Orders of cells that routes share; beyond so many, most are the only ones of theirs anyway.
    MOST_ORDERS = 4_096


@cython.final
cdef class Routes:
    """Finds the route of each request; `decide` makes those that are not known.

    `decide(view, tenant, ask)` returns a Route or raises CroupierError; `random` gives numbers from 0 to 1,
    which place requests without a key on a traffic split. `deal(view, tenant)` returns the tenant's
    `router.route.Deal`, `wanted(view, tenant, model)` what a route's family is by now. At most `least` bytes
    of routes are kept, or more if the catalog has more models (`remembered`).
    """

    cdef readonly object view
    cdef readonly Remembered remembered
    cdef object _decide
    cdef object _random
    cdef object _deal
    cdef object _wanted
    cdef dict _orders
    # Numbers of views: of this one; of the last one that may deal to tenants otherwise than the one before;
    # and of the last one that has other families.
    cdef uint64_t _epoch
    cdef uint64_t _map
    cdef uint64_t _families

    def __init__(self, decide, random, *, deal=usual_deal, wanted=None, Py_ssize_t least=LEAST_BYTES):
        self._decide, self._random, self._deal, self._wanted = decide, random, deal, wanted
        self.remembered, self._orders = Remembered(least), {}

    def __len__(self):
        return len(self.remembered)

    def follow(self, view):
        """Routes are for `view` from now on."""
        held = self.view
        self._epoch += 1
        if held is None or not (
            view.cells is held.cells
            and view.current is held.current
            and view.previous is held.previous
            and view.ramp == held.ramp
        ):
            self._map = self._epoch
        if held is None or view.families is not held.families:
            self._families = self._epoch
        self.view = view
        self.remembered.follow(view.catalog, self._epoch)

    def infer(self, str tenant not None, bytes request not None):
        """The unit for a ModelInferRequest, in a list. Raises CroupierError."""
        cdef Names names
        cdef Py_ssize_t size = PyBytes_GET_SIZE(request)
        read_infer_names(<const uint8_t*>PyBytes_AS_STRING(request), size, &names)
        cdef Text owner = _utf8(tenant)
        # A claim about another tenant is not part of the key: `decide` refuses it.
        cdef bint is_own = not names.tenant.size or _is_same(names.tenant, owner)
        cdef Text version = Text(<const uint8_t*>&names.number, sizeof(uint64_t))
        key = None
        if is_own and _number_of(names.version, &names.number):
            version.size = sizeof(uint64_t) if names.number else 0
            key = _key(owner, b"I", &names, version)
        cdef Route route = self._find(tenant, key)
        if route is None:
            route = self._decided(key, tenant, ask_of(&names), infer_suffix)
        return [self._aim(new_unit(request, 0, size), route, tenant, &names)]

    def model(self, str tenant not None, bytes request not None):
        """The unit for a ModelMetadataRequest, in a list; nothing is remembered. Raises CroupierError."""
        cdef Names names
        memset(&names, 0, sizeof(Names))
        cdef Route route = self._decided(None, tenant, read_model(request), infer_suffix)
        cdef Unit unit = self._aim(new_unit(request, 0, PyBytes_GET_SIZE(request)), route, tenant, &names)
        unit.near = 0
        return [unit]

    def items(self, str tenant not None, bytes request not None, Py_ssize_t most):
        """A unit for each item of a PredictRequest; one that has no route has its error for an outcome.

        Raises:
            InvalidRequest: malformed, no item, more than `most`, or what they share is too large for so many.
        """
        cdef Cursor cursor = cursor_of(request)
        cdef const uint8_t* begin = cursor.at
        cdef Field field
        cdef Text owner = _utf8(tenant), entity = Text(NULL, 0)
        cdef list units = [], parts = []
        cdef Unit unit
        cdef Py_ssize_t count = _count_items(cursor, parts)
        cdef int left = fields_of(count)
        cdef Shared shared = None
        check_items(count, most)
        if parts:
            shared = shared_of(parts, count)
            entity = shared.entity
        while next_field(&cursor, &field):
            if field.number == PredictRequest_items and field.kind == LEN:
                unit = new_unit(request, field.data - begin, field.size)
                if shared is not None:
                    unit.told, unit.shared = shared.message, shared.features
                units.append(self._item(unit, &field, tenant, owner, &left, entity))
        return units

    cdef Unit _item(self, Unit unit, Field* field, str tenant, Text owner, int* left, Text entity):
        cdef Names names
        read_item_names(field.data, field.size, &names, left, entity)
        cdef Text version = Text(<const uint8_t*>&names.number, sizeof(uint64_t) if names.number else 0)
        key = _key(owner, b"P", &names, version)
        cdef Route route = self._find(tenant, key)
        if route is None:
            # Text that is not UTF-8 makes the whole request malformed: protobuf would not read it either.
            ask = ask_of(&names)
            try:
                route = self._decided(key, tenant, ask, item_suffix)
            except CroupierError as error:
                unit.outcome = error.without_frames()
                return unit
        return self._aim(unit, route, tenant, &names)

    cdef Unit _aim(self, Unit unit, Route route, str tenant, Names* names):
        """Point `unit` at the version that its request gets."""
        cdef Owner owner = route.owner
        unit.route, unit.cells, unit.near, unit.lacks = route, route.cells, route.near, route.lacks
        unit.slot, unit.generation, unit.origin = owner.slot, owner.generation, owner.marks
        unit.owner_size, unit.generation_size = owner.owner_size, owner.generation_size
        if route.split is None:
            check_text(names.key)
            unit.suffix = route.suffix
            return unit
        if names.key.size:
            point = split_point(tenant, decoded(names.model), decoded(names.key), route.split.salt)
        else:
            point = int(self._random() * WHOLE)
        while point >= route.split.choices[unit.choice][0]:
            unit.choice += 1
        unit.suffix = route.split.suffixes[unit.choice]
        return unit

    cdef Route _find(self, str tenant, bytes key):
        """The route that is remembered and still holds; None without."""
        if key is None:
            return None
        cdef Route route = self.remembered.find(key)
        if route is None:
            return None
        if route.owner.seen != self._map:
            self._look(route.owner, tenant)
        if route.deal != route.owner.deals or (route.epoch != self._epoch and not self._holds(route)):
            self.remembered.drop(key, route)
            return None
        route.is_used = True
        return route

    cdef bint _holds(self, Route route) except -1:
        """Whether a route of an earlier view is one of this: what else it depends on is as it was."""
        tenant, name = names_of(route.record)
        if self.view.catalog.find_record(tenant, name) != route.record:
            return False
        if route.epoch < self._families and self._wanted is not None:
            if self._wanted(self.view, tenant, name) is not route.family:
                return False
        route.epoch = self._epoch
        return True

    cdef int _look(self, Owner owner, str tenant) except -1:
        """See what a tenant is dealt now; its routes are made again if they depend on what changed."""
        found = self._deal(self.view, tenant)
        if owner.basis != found.basis:
            owner.basis = found.basis
            owner.deals += 1
        _mark(owner, found)
        owner.seen = self._map
        return 0

    cdef Route _decided(self, bytes key, str tenant, ask, suffix_of):
        cdef Route route = self._decide(self.view, tenant, ask)
        cdef Owner owner = self.remembered.owner_of(tenant)
        if owner is None:
            owner = Owner.__new__(Owner)
        if owner.seen != self._map or owner.marks is None:
            self._look(owner, tenant)
        route.owner, route.deal, route.epoch = owner, owner.deals, self._epoch
        if route.split is None:
            # It has what is asked of a target, and none need be made.
            route.suffix = suffix_of(route)
        else:
            route.split.suffixes = tuple([suffix_of(target) for _, target in route.split.choices])
        if key is not None:
            self._share(route)
            self.remembered.put(key, tenant, route)
        return route

    cdef int _share(self, Route route) except -1:
        """Have routes whose cells stand in one order have one tuple of them."""
        is_usual = route.cells is route.order
        route.order = self._shared(route.order)
        route.cells = route.order if is_usual else self._shared(route.cells)
        return 0

    cdef tuple _shared(self, tuple order):
        found = self._orders.get(order)
        if found is None:
            if len(self._orders) >= MOST_ORDERS:
                self._orders = {}
            # A name is the same one in all of them, by which `hedges` knows it.
            found = tuple([intern(cell) for cell in order])
            self._orders[found] = found
        return found


cdef int _mark(Owner owner, deal) except -1:
    """What requests of a tenant say for it."""
    cdef bytes name = deal.owner
    # What not every cell knows last, and of that the newer behind the older: it is cut off (`units.pyx`).
    owner.marks = name + generation_field(deal.generation)
    owner.owner_size, owner.generation = PyBytes_GET_SIZE(name), deal.generation
    owner.generation_size = PyBytes_GET_SIZE(owner.marks) - owner.owner_size
    # Its last bytes are as good as any: it is a hash.
    owner.slot = name[owner.owner_size - 1] % SLOTS if name else 0
    if owner.owner_size > 1:
        owner.slot += name[owner.owner_size - 2] % AGAIN * SLOTS
    return 0


cdef bytes _key(Text tenant, const char* kind, Names* names, Text version):
    """What decides a route, names behind their lengths; None if one is too long to be a name."""
    cdef uint8_t key[MAX_KEY]
    cdef uint8_t* out = key
    if tenant.size > MAX_NAME or names.model.size > MAX_NAME or names.label.size > MAX_NAME:
        return None
    out[0] = kind[0]
    out = _put(_put(_put(out + 1, tenant), names.model), version)
    # The last one needs no length.
    memcpy(out, names.label.data, names.label.size)
    return PyBytes_FromStringAndSize(<const char*>key, out - key + names.label.size)


cdef uint8_t* _put(uint8_t* out, Text name) noexcept nogil:
    out[0] = name.size
    memcpy(out + 1, name.data, name.size)
    return out + 1 + name.size


cdef bint _number_of(Text text, uint64_t* number) noexcept nogil:
    """Whether a text may be a version, and which: however it is written, it is the same one."""
    cdef Py_ssize_t at
    number[0] = 0
    if text.size > MAX_VERSION_TEXT:
        return False
    for at in range(text.size):
        if not c"0" <= text.data[at] <= c"9":
            return False
        number[0] = 10 * number[0] + (text.data[at] - c"0")
    return not text.size or number[0] != 0


cdef bint _is_same(Text one, Text other) noexcept nogil:
    return one.size == other.size and memcmp(one.data, other.data, one.size) == 0


cdef Text _utf8(str name):
    cdef Text text
    text.data = <const uint8_t*>PyUnicode_AsUTF8AndSize(name, &text.size)
    return text


cdef Py_ssize_t _count_items(Cursor cursor, list shared) except -1:
    """How many items there are; what they share goes into `shared`."""
    cdef Field field
    cdef int left = MOST_FIELDS
    cdef Py_ssize_t count = 0
    while next_of(&cursor, &field, &left):
        if field.kind == LEN:
            count += field.number == PredictRequest_items
            if field.number == PredictRequest_shared:
                shared.append(bytes_of(&field))
    return count
