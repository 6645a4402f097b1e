"""Routes that are remembered: what was decided for a model is decided once.

For the same tenant, model, version and label, every request gets the same choice of versions and the
same cells, until the view changes. So a `Route` is found by those names as they stand in the message, without
decoding them; only where a traffic split leaves a choice is the request's own point looked at. Deciding
one takes many times longer than finding it.

**A view that changes** takes no route with it that it does not touch: versions are published all the
time, and each makes a new view. Where shard maps and cells are still the same ones, a route holds for as
long as the catalog has the very same model, which is looked up once for each route and view. So does a step
of a ramp: it takes along the routes of the tenants that it came to, and no others.

**The bound.** Routes lie in two generations. When the young one is full, it becomes the old one,
and what was in the old one is forgotten, but for the routes that were found there again. A generation has
room for a route of every model of the catalog: so requests for all of them, none more often than others, find
theirs. See decision 71.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

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
from router.units cimport Unit, new_unit

from router.envelope import check_items, generation_field, infer_suffix, item_suffix, read_model
from router.route import NOWHERE
from version_manager.model.release import WHOLE, split_point

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef enum:
    # Longer names are refused (`croupier.names`), and an error is not remembered.
    MAX_NAME = 128
    MAX_VERSION_TEXT = 19
    MAX_KEY = 3 * MAX_NAME + MAX_VERSION_TEXT + 4

# Of a catalog of fewer models. What makes several routes of one is versions and labels that callers name.
REMEMBERED_ROUTES = 2**17


@cython.final
cdef class Route:
    """What requests that name the same model get.

    `choices` are (end, target): the target of the traffic up to the point `end`. `order` is every cell
    that may be asked, `cells` the order in which they are while no breaker is open. `owner` is whose requests
    these are, as a field for the cell (`envelope.owner_field`). `point` is where the tenant stands on the
    ramp of the generation that takes over, below any ramp where none does (`route.point_of`); `generation`
    is the number of the one that dealt it, which cells are told. The first `near` of `cells` may be chosen
    from by how busy they are. `family` is what that wants of each request (`families.py`), if there is one.
    """

    def __init__(
        self,
        model,
        tuple choices not None,
        tuple order not None,
        tuple cells not None,
        bytes owner not None=b"",
        int point=NOWHERE,
        generation=0,
        Py_ssize_t near=0,
        family=None,
    ):
        self.model, self.choices, self.order, self.cells, self.owner = model, choices, order, cells, owner
        self.point, self.generation = point, generation
        self.near, self.copies = min(near, len(cells)), 1
        self.family, self.lacks = family, family is not None and family.features is not None
        self.owner_size = PyBytes_GET_SIZE(owner)
        # Its last bytes are as good as any: it is a hash.
        self.slot = owner[self.owner_size - 1] % SLOTS if owner else 0
        if self.owner_size > 1:
            self.slot += owner[self.owner_size - 2] % AGAIN * SLOTS


@cython.final
cdef class Routes:
    """Finds the route of each request; `decide` makes those that are not known.

    `decide(view, tenant, ask)` returns a Route or raises CroupierError; `random` gives numbers from 0 to 1,
    which place requests without a key on a traffic split. At most `remembered` routes are kept, or twice as
    many as the catalog has models.
    """

    cdef readonly object view
    cdef object _decide
    cdef object _random
    cdef Py_ssize_t _least_room
    cdef Py_ssize_t _room
    cdef uint64_t _epoch
    cdef int _ramp
    cdef dict _young
    cdef dict _old

    def __init__(self, decide, random, *, Py_ssize_t remembered=REMEMBERED_ROUTES):
        self._decide, self._random = decide, random
        self._least_room = self._room = max(1, remembered // 2)
        self._young, self._old = {}, {}

    def __len__(self):
        return len(self._young) + len(self._old)

    def follow(self, view):
        """Routes are for `view` from now on."""
        held = self.view
        if held is None or not (
            view.cells is held.cells
            and view.current is held.current
            and view.previous is held.previous
            and view.families is held.families
        ):
            self._young, self._old = {}, {}
        self.view, self._ramp = view, view.ramp
        self._room = max(self._least_room, view.catalog.size)
        self._epoch += 1

    def infer(self, str tenant not None, bytes request not None):
        """The unit for a ModelInferRequest, in a list. Raises CroupierError."""
        cdef Names names
        cdef Py_ssize_t size = PyBytes_GET_SIZE(request)
        read_infer_names(<const uint8_t*>PyBytes_AS_STRING(request), size, &names)
        cdef Text owner = _utf8(tenant)
        # A claim about another tenant is not part of the key: `decide` refuses it.
        cdef bint is_own = not names.tenant.size or _is_same(names.tenant, owner)
        key = _key(owner, b"I", &names, names.version) if is_own else None
        cdef Route route = self._find(key)
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
        cdef Route route = self._find(key)
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
        unit.route, unit.cells = route, route.cells
        unit.slot, unit.near, unit.lacks = route.slot, route.near, route.lacks
        unit.owner_size, unit.generation_size = route.owner_size, route.generation_size
        if route.suffix is not None:
            check_text(names.key)
            unit.suffix = route.suffix
            return unit
        if names.key.size:
            point = split_point(tenant, decoded(names.model), decoded(names.key))
        else:
            point = int(self._random() * WHOLE)
        while point >= route.choices[unit.choice][0]:
            unit.choice += 1
        unit.suffix = route.suffixes[unit.choice]
        return unit

    cdef Route _find(self, bytes key):
        """The route that is remembered and still holds; None without."""
        if key is None:
            return None
        cdef PyObject* found = PyDict_GetItemWithError(self._young, key)
        cdef bint is_old = found == NULL
        if is_old:
            found = PyDict_GetItemWithError(self._old, key)
            if found == NULL:
                return None
        cdef Route route = <Route>found
        if route.epoch != self._epoch:
            if route.is_taken_over != (route.point < self._ramp):
                return None
            if self.view.catalog.find(route.model.tenant, route.model.name) is not route.model:
                return None
            route.epoch = self._epoch
        if is_old:
            self._remember(key, route)
        return route

    cdef Route _decided(self, bytes key, str tenant, ask, suffix_of):
        cdef Route route = self._decide(self.view, tenant, ask)
        # What not every cell knows last, and of that the newer behind the older: it is cut off (`units.pyx`).
        marks = route.owner + generation_field(route.generation)
        route.generation_size = len(marks) - route.owner_size
        route.suffixes = tuple([suffix_of(target) + marks for _, target in route.choices])
        if len(route.suffixes) == 1:
            route.suffix = route.suffixes[0]
        route.epoch, route.is_taken_over = self._epoch, route.point < self._ramp
        if key is not None:
            self._remember(key, route)
        return route

    cdef int _remember(self, bytes key, Route route) except -1:
        if len(self._young) >= self._room:
            self._old, self._young = self._young, {}
        self._young[key] = route
        return 0


cdef bytes _key(Text tenant, const char* kind, Names* names, Text version):
    """The names that decide a route, each behind its length; None if one is too long to be a name."""
    cdef uint8_t key[MAX_KEY]
    cdef uint8_t* out = key
    if tenant.size > MAX_NAME or names.model.size > MAX_NAME or names.label.size > MAX_NAME:
        return None
    if version.size > MAX_VERSION_TEXT:
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
