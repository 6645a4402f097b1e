"""What was predicted, into the spool: a record for each unit whose family has it logged.

    _end, once the caller has its reply ──▶ the route's family ──none: nothing──▶
                                                  └── a share of the requests ──▶ croupier/stores/spool_writer

Which requests, a hash of the routing key says: the same callers, or entities, all the time, on every router.
Without one it is the request's place among all. The hash is not that of traffic splits, or one side of a
split would be logged more than the other.

What is written is bytes that are there already. Nothing of a request's metadata is in a record, so no token.
A request that nobody named is given an id here, the writer's word and a number, unless it is `slow`: then a
line of the log of requests names it, and both say the same.

Native, because every request comes here: one that is not logged costs a look at its family.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport ldexp
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

import json
import logging

from croupier.fields cimport LEN, MOST_FIELDS, Cursor, Field, Text, cursor_of, next_field
from croupier.stores.spool_writer cimport Appender, line_of
from protos.numbers cimport Shared_entity_id
from router.envelope cimport Names, read_infer_names, read_item_names
from router.remembered cimport MOST_LINE, Route
from router.units cimport Unit

from croupier.stores.spool import Kind

cdef extern from *:
    """
    #define XXH_INLINE_ALL
    #include <xxhash.h>
    """
    uint64_t XXH3_64bits_withSeed(const void* data, size_t size, uint64_t seed) noexcept nogil

cdef extern from "Python.h":
    str PyUnicode_FromStringAndSize(const char* data, Py_ssize_t size)

cdef enum:
    MOST_RULES = 32_768
    MOST_WORD = 64
    INFER = 0
    ITEM = 1

_log = logging.getLogger(__name__)

cdef uint64_t _SEED = 0x6C6F67
SEED = _SEED
cdef dict _KINDS = {"ModelInfer": INFER, "Predict": ITEM, "PredictStream": ITEM}
assert (Kind.INFER, Kind.ITEM) == (INFER, ITEM)


@cython.final
cdef class Rule:
    """What a family's config says, made out once. Of all hashes those below `below` are logged, or `all`."""

    cdef object family
    cdef str name
    cdef uint64_t number
    cdef bint all
    cdef uint64_t below
    cdef bytes sensitive

    def __init__(self, family):
        self.family, self.name, self.number = family, family.name, family.number
        share = 0.0 if family.log is None else family.log.share
        self.all = share >= 1.0
        self.below = 0 if self.all or not share > 0.0 else <uint64_t>ldexp(share, 64)
        sensitive = {} if family.log is None else dict(family.log.sensitive)
        self.sensitive = json.dumps(sensitive, separators=(",", ":")).encode() if sensitive else b""


@cython.final
cdef class PredictionLog:
    """Appends to `appender`. Ids begin with `word`; requests of `slow` seconds and more have one already."""

    cdef Appender _appender
    cdef bytes _word
    cdef double _slow
    cdef uint64_t _named
    cdef uint64_t _seen
    cdef dict _rules
    cdef Rule _last

    def __init__(self, Appender appender not None, str word not None, double slow):
        self._appender, self._word, self._slow = appender, word.encode(), slow
        if len(self._word) > MOST_WORD:
            raise ValueError("a word for ids is short")
        self._rules = {}

    cpdef object ended(self, str method, caller, str tenant, list units, double seconds):
        """A request of `tenant` was answered with what came of `units`, after `seconds`. Raises nothing."""
        try:
            self._ended(method, caller, tenant, units, seconds)
        except Exception:
            # It has been answered, and nobody else waits for this.
            _log.exception("a bug in writing down what was predicted")

    cdef object _ended(self, str method, caller, str tenant, list units, double seconds):
        cdef Unit unit
        cdef Rule rule
        cdef str request_id = None
        cdef uint32_t place = 0
        cdef object family
        for unit in units:
            if unit.route is not None:
                family = _family_of(<Route>unit.route)
                if family is not None:
                    rule = self._rule(family)
                    if (rule.all or rule.below) and method in _KINDS and type(unit.outcome) is bytes:
                        if rule.all or self._hash(_KINDS[method], unit) < rule.below:
                            if request_id is None:
                                request_id = self._id(caller, seconds)
                            self._put(rule, _KINDS[method], unit, place, tenant, request_id, seconds)
            place += 1

    cdef Rule _rule(self, family):
        cdef Rule rule = self._last
        if rule is not None and rule.family is family:
            return rule
        key = family.key
        rule = self._rules.get(key)
        if rule is None or rule.family is not family:
            if len(self._rules) >= MOST_RULES:
                self._rules.clear()
            rule = self._rules[key] = Rule(family)
        self._last = rule
        return rule

    cdef uint64_t _hash(self, int kind, Unit unit) except? 0:
        cdef Names names
        cdef int left = MOST_FIELDS
        cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(unit.message) + unit.start
        if kind == INFER:
            read_infer_names(at, unit.size, &names)
        else:
            read_item_names(at, unit.size, &names, &left, _shared_entity(unit.told))
        if names.key.size:
            return XXH3_64bits_withSeed(names.key.data, names.key.size, _SEED)
        self._seen += 1
        return XXH3_64bits_withSeed(&self._seen, sizeof(uint64_t), _SEED)

    cdef str _id(self, caller, double seconds):
        cdef char text[MOST_WORD + 17]
        cdef char digits[16]
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self._word), count = 0
        cdef uint64_t number
        if caller.is_named or seconds >= self._slow:
            return str(caller.request_id)
        self._named += 1
        number = self._named
        memcpy(text, PyBytes_AS_STRING(self._word), size)
        text[size] = c"-"
        size += 1
        while number:
            digits[count] = b"0123456789abcdef"[number & 15]
            count += 1
            number >>= 4
        while count:
            count -= 1
            text[size] = digits[count]
            size += 1
        return PyUnicode_FromStringAndSize(text, size)

    cdef object _put(
        self, Rule rule, int kind, Unit unit, uint32_t place, str tenant, str request_id, double seconds
    ):
        cdef double took = seconds * 1e6
        cdef bytes told = b"" if unit.told is None else unit.told
        self._appender.put(
            kind, 0, place, 0,
            0xFFFFFFFF if took >= 4294967295.0 else <uint32_t>took if took > 0.0 else 0,
            request_id, tenant, _line_of(<Route>unit.route, unit.choice, rule),
            PyBytes_AS_STRING(unit.message) + unit.start, unit.size, told, unit.shared,
            unit.fetched, unit.outcome,
        )


cdef bytes _line_of(Route route, Py_ssize_t choice, Rule rule):
    """What records of a choice say alike. That of the first one is kept: a route's family never changes."""
    if choice == 0 and route.line is not None:
        return route.line
    target = route.choices[choice][1]
    line = line_of(
        target.version, rule.number, target.model, rule.name, "", target.artifact, rule.sensitive
    )
    if choice == 0 and PyBytes_GET_SIZE(line) <= MOST_LINE:
        route.line = line
    return line


cdef inline object _family_of(Route route):
    """The config that holds for a route; None without one."""
    return None if route.family is None else route.family.family


cdef Text _shared_entity(bytes told):
    """The entity that a request's Shared message says for its items."""
    cdef Text entity = Text(NULL, 0)
    cdef Cursor cursor
    cdef Field field
    if told is None:
        return entity
    cursor = cursor_of(told)
    while next_field(&cursor, &field):
        if field.number == Shared_entity_id and field.kind == LEN:
            entity = Text(field.data, field.size)
    return entity
