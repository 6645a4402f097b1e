"""Units: predictions on their way, and what is done to many of them at once.

A unit does not copy its request out of the message that brought it; its bytes are put together where
they go, once for each call to a cell.

Native, because a request may have a thousand of them, and each is joined and its result's status looked at.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from croupier import protocol as protocols
from croupier.errors import InternalError, Unavailable
from croupier.priorities import OVERLOADED
from croupier.stores.feature_store import StoreDown
from router.stale import StaleMap
from croupier.buffers cimport filled, unfilled
from croupier.fields cimport put_head, record_size
from router.remembered cimport Route


cdef int _OWNER = protocols.OWNER
cdef int _GENERATION = protocols.GENERATION
cdef int _MARKS = protocols.MARKS
cdef int _FETCHED = protocols.FETCHED


@cython.final
@cython.freelist(256)
cdef class Unit:
    """One prediction: the request for the cell, the cells in the order to try, and what came of it."""

    def __cinit__(self):
        self.message = self.shared = self.fetched = self.suffix = self.origin = self.marks = b""
        self.cells = self.lost_with = ()
        self.generation = 0

    def __init__(self, bytes payload not None, tuple cells not None, outcome=None):
        self.message, self.size = payload, PyBytes_GET_SIZE(payload)
        self.cells, self.outcome = cells, outcome

    @property
    def order(self):
        """Every cell that may be asked, in the model's order."""
        return self.cells if self.route is None else self.route.order

    @property
    def target(self):
        """What a cell is asked to score; None for a unit that was not routed."""
        return None if self.route is None else self.route.choices[self.choice][1]

    @property
    def artifact(self):
        """The SHA-256 of what a cell is asked to score; None for a unit that was not routed."""
        cdef Route route = self.route
        if route is None:
            return None
        return route.artifact if route.split is None else route.split.choices[self.choice][1].artifact

    @property
    def request(self):
        """What the caller sent."""
        if self.size == PyBytes_GET_SIZE(self.message):
            # Not copied, which may be megabytes.
            return self.message
        return self.message[self.start : self.start + self.size]

    @property
    def payload(self):
        """The request with the exact version, the artifact, the owner, the generation and its marks."""
        return self.payload_for(protocols.CURRENT)

    def payload_for(self, int protocol):
        """The same without what a cell that speaks `protocol` does not know."""
        cdef bytes payload = unfilled(_payload_size(self, protocol))
        return filled(payload, _put_payload(self, <uint8_t*>PyBytes_AS_STRING(payload), protocol))

    @property
    def is_settled(self):
        """Whether the outcome is final: only what is `Unavailable` may be tried at a further cell, unless an
        old shard map dealt it.
        """
        return _is_final(self.outcome)

    def answer(self):
        """The answer; raises the error that stands in its place."""
        if isinstance(self.outcome, bytes):
            return self.outcome
        raise self.outcome or InternalError("a prediction was never tried")


cdef Unit new_unit(bytes message, Py_ssize_t start, Py_ssize_t size):
    """A unit whose request is a part of `message`; the rest of it is the caller's to fill."""
    cdef Unit unit = Unit.__new__(Unit)
    unit.message, unit.start, unit.size = message, start, size
    return unit


cpdef object mark(list units, bytes marks):
    """Have every one of `units` say `marks`; those of an item go with it wherever it is asked."""
    cdef Unit unit
    for unit in units:
        unit.marks = marks


cpdef bint lacks_any(list units):
    """Whether features are to be fetched for any of them."""
    cdef Unit unit
    for unit in units:
        if unit.lacks:
            return True
    return False


cpdef object carry(list before, list after):
    """Let units that were made anew say what those said in whose place they are."""
    cdef Unit old, new
    cdef Py_ssize_t i
    for i in range(len(before)):
        old, new = before[i], after[i]
        new.fetched, new.marks = old.fetched, old.marks


cpdef list untried(list units):
    """The units that have no outcome at all."""
    cdef Unit unit
    return [unit for unit in units if unit.outcome is None]


cpdef dict by_next_cell(list units):
    """The units that have a cell left to try, by that cell.

    What cells had too much to do for goes to two of them, and no further: it would only be too much there.
    """
    cdef dict groups = {}
    cdef Unit unit
    cdef list group
    for unit in units:
        if unit.tried < len(unit.cells) and not (unit.tried > 1 and _is_overload(unit.outcome)):
            cell = unit.cells[unit.tried]
            unit.tried += 1
            group = groups.get(cell)
            if group is None:
                groups[cell] = [unit]
            else:
                group.append(unit)
    return groups


cpdef Py_ssize_t settle(list units, list outcomes) except -1:
    """Give each unit its outcome, unless it has a final one; returns how many became final."""
    cdef Py_ssize_t i, settled = 0
    cdef Unit unit
    if len(outcomes) != len(units):
        raise ValueError(f"{len(outcomes)} outcomes for {len(units)} units")
    for i in range(len(units)):
        unit = units[i]
        if not _is_final(unit.outcome):
            unit.outcome = outcomes[i]
            settled += _is_final(unit.outcome)
    return settled


cpdef list unsettled(list units):
    """The units without a final outcome."""
    cdef Unit unit
    return [unit for unit in units if not _is_final(unit.outcome)]


cpdef list stale_places(list units):
    """The places of those that a cell refused since an old shard map dealt them; None without."""
    cdef Py_ssize_t place
    cdef Unit unit
    cdef list places = None
    for place in range(len(units)):
        unit = units[place]
        if type(unit.outcome) is not bytes and isinstance(unit.outcome, StaleMap):
            if places is None:
                places = []
            places.append(place)
    return places


def join_payloads(list units not None, int protocol=protocols.CURRENT):
    """A PredictRequest with the payload of each unit for an item; see `Unit.payload_for`."""
    cdef Py_ssize_t size = 0
    cdef Unit unit
    for unit in units:
        size += record_size(_payload_size(unit, protocol))
    cdef bytes joined = unfilled(size)
    cdef uint8_t* out = <uint8_t*>PyBytes_AS_STRING(joined)
    for unit in units:
        out = _put_payload(unit, put_head(out, _payload_size(unit, protocol)), protocol)
    return filled(joined, out)


def join_answers(list units not None):
    """A PredictResponse with the answer of each unit for a result; None if one has none."""
    cdef Py_ssize_t size = 0
    cdef Unit unit
    for unit in units:
        if type(unit.outcome) is not bytes:
            return None
        size += record_size(PyBytes_GET_SIZE(unit.outcome))
    cdef bytes joined = unfilled(size)
    cdef uint8_t* out = <uint8_t*>PyBytes_AS_STRING(joined)
    for unit in units:
        out = _put(put_head(out, PyBytes_GET_SIZE(unit.outcome)), <bytes>unit.outcome)
    return filled(joined, out)


cdef bint _is_overload(outcome):
    return isinstance(outcome, Unavailable) and outcome.reason == OVERLOADED


cdef bint _is_final(outcome):
    if type(outcome) is bytes:
        return True
    # Of what passes by itself, what each cell would say.
    return outcome is not None and (
        not isinstance(outcome, Unavailable) or isinstance(outcome, (StaleMap, StoreDown))
    )


cdef Py_ssize_t _payload_size(Unit unit, int protocol):
    cdef Py_ssize_t added = PyBytes_GET_SIZE(unit.suffix) + _origin_size(unit, protocol)
    return unit.size + _features_size(unit, protocol) + added + _marks_size(unit, protocol)


cdef Py_ssize_t _features_size(Unit unit, int protocol):
    return PyBytes_GET_SIZE(unit.shared) + PyBytes_GET_SIZE(unit.fetched) if protocol >= _FETCHED else 0


cdef Py_ssize_t _origin_size(Unit unit, int protocol):
    if protocol >= _GENERATION:
        return unit.owner_size + unit.generation_size
    return unit.owner_size if protocol >= _OWNER else 0


cdef Py_ssize_t _marks_size(Unit unit, int protocol):
    return PyBytes_GET_SIZE(unit.marks) if protocol >= _MARKS else 0


cdef uint8_t* _put_payload(Unit unit, uint8_t* out, int protocol):
    cdef Py_ssize_t size = _origin_size(unit, protocol), marks_size = _marks_size(unit, protocol)
    memcpy(out, PyBytes_AS_STRING(unit.message) + unit.start, unit.size)
    out += unit.size
    if protocol >= _FETCHED:
        out = _put(_put(out, unit.shared), unit.fetched)
    out = _put(out, unit.suffix)
    memcpy(out, PyBytes_AS_STRING(unit.origin), size)
    out += size
    if marks_size:
        memcpy(out, PyBytes_AS_STRING(unit.marks), marks_size)
    return out + marks_size


cdef uint8_t* _put(uint8_t* out, bytes part):
    memcpy(out, PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part))
    return out + PyBytes_GET_SIZE(part)
