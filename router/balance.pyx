"""Which of its cells a request goes to first, by how busy they are: balance inside the hand.

Every model has an order over the cells of its hand, so that the first of them has it in memory. It stays
with the first one, but for two cases:

- its model is **hot**, so that one cell should not have all of it: the first two to four of the order serve
  it, whichever of them is less busy. `copies.py` says what is hot, and for how long;
- the cell is **above its bound**: one and a half times what the cells of the hand have in flight in the
  mean, and more than a few calls. Then the next one in the order that is below it is asked. So only what
  is too much for a cell moves, and at once ("Consistent Hashing with Bounded Loads", Mirrokni, Thorup and
  Zadimoghaddam, 2018). The first time that a model moves to a cell, that has to load it, which is worth many
  answers; so few of the requests may do so, and the others stay. See decision 75.

If a cell has as many calls in flight as it may (`concurrency.py`), a next one of the hand is asked that
nothing limits and that has little to do, or the prediction is refused.

Nothing outside the hand is ever asked, and no cell that is in trouble: a unit says how many of its cells,
from the first one on, may be chosen from (`near`).

Native, because every prediction comes here: where nothing moves, it costs a look-up and a few additions.
"""

cimport cython
from libc.stdint cimport uint64_t
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM

from router.loads cimport CellLoad, Loads
from router.remembered cimport Route
from router.units cimport Unit

from croupier.telemetry.metrics import LoopCounter
from router.concurrency import CellsBusy, refusal
from version_manager.model.encoded import names_of

cdef enum:
    # So many calls in flight are no load: 2 against 1 is chance.
    _SLACK = 16
    # Cells of a hand to which models may move.
    _MOST_CELLS = 64

cdef double _BOUND = 1.5
# Seconds over which requests are counted to a rate, and how many a second make it worth a look.
cdef double _WINDOW = 1.0
cdef double _FEW = 50.0
# Which part of the predictions may have a model loaded by a further cell, since another is above its bound;
# how many a second beside those, for where few are asked for each takes a cell long, and loads are cheap;
# and how many at once.
cdef double _MOVING, _MOVING_A_SECOND, _MOST_MOVING
_MOVING, _MOVING_A_SECOND, _MOST_MOVING = 0.001, 10.0, 64.0
# What nobody asked for in so many seconds may have left the memory of the cells that it moved to.
cdef double _FORGOTTEN = 60.0

_PASSED = LoopCounter("croupier_router_passed_over_total", "Predictions whose first cell was too busy")
cdef object _passed = _PASSED.values


@cython.final
cdef class Balance:
    """Balances by `loads`; `copies` says how many cells serve a model."""

    cdef Loads _loads
    cdef object _copies
    cdef object _hot
    cdef double _due
    cdef double _moves
    # When those were counted last.
    cdef double _counted

    def __init__(self, Loads loads not None, copies):
        self._moves = _MOST_MOVING
        self._loads, self._copies, self._hot = loads, copies, copies.hot

    cpdef object place(self, list units, double now, int priority=0):
        """Put the cell that each of `units` should go to in front of its other ones.

        What there is no room for has a refusal for its outcome. Raises CellsBusy if that is all of them.
        """
        cdef Unit unit
        cdef CellLoad load
        cdef Py_ssize_t refused = 0
        if now >= self._due:
            self._loads.weigh_anew()
            self._due = now + _WINDOW
        for unit in units:
            if unit.near > 1:
                load = self._place(unit, <Route>unit.route, now)
            elif unit.outcome is None and unit.cells:
                load = self._loads.of(<str>unit.cells[0])
            else:
                continue
            if now >= load.due:
                load.look(now)
            if load.limit and not load.has_room(unit.slot, priority):
                refused += self._refuse(unit, load, priority, now)
        if refused and refused == len(units):
            # Not that of a unit: what is raised knows frames, and these know the units.
            raise CellsBusy()

    cdef bint _refuse(self, Unit unit, CellLoad load, int priority, double now) except -1:
        """Whether no other cell takes what has no room at that of `load`."""
        cdef Py_ssize_t place
        cdef CellLoad other
        load.refuse(unit.slot)
        for place in range(1, unit.near):
            other = self._loads.of(<str>unit.cells[place])
            other.look(now)
            if not other.limit and other.in_flight <= _SLACK:
                unit.cells = _in_front(unit.cells, place)
                return False
        unit.outcome = refusal(priority)
        return True

    cdef CellLoad _place(self, Unit unit, Route route, double now):
        cdef Py_ssize_t copies = min(route.copies, unit.near), first = 0, chosen
        route.asked += 1
        self._moves = min(_MOST_MOVING, self._moves + _MOVING + _MOVING_A_SECOND * (now - self._counted))
        self._counted = now
        if now - route.since >= _WINDOW:
            self._look(route, unit.near, now)
        if copies > 1:
            first = self._least(unit, copies, route.asked % copies)
        cdef CellLoad load = self._loads.of(<str>unit.cells[first])
        cdef Py_ssize_t busy = load.seen_by(unit.slot)
        if busy > _SLACK:
            # Or nobody would, while it is passed over.
            load.look(now)
            chosen = self._below(unit, first, busy)
            if chosen != first and self._may_move(unit, route, chosen):
                _passed[()] += 1
                first = chosen
                load = self._loads.of(<str>unit.cells[first])
        load.take(now)
        if first:
            unit.cells = _in_front(unit.cells, first)
        return load

    cdef Py_ssize_t _least(self, Unit unit, Py_ssize_t copies, Py_ssize_t turn) except -1:
        """Where the least busy one of the first `copies` cells stands.

        From `turn` on: or the first of those that have nothing to do would get all that comes.
        """
        cdef Py_ssize_t step, place, busy, least = turn
        cdef Py_ssize_t least_busy = self._loads.of(<str>unit.cells[turn]).seen_by(unit.slot)
        for step in range(1, copies):
            place = (turn + step) % copies
            busy = self._loads.of(<str>unit.cells[place]).seen_by(unit.slot)
            if busy < least_busy:
                least, least_busy = place, busy
        return least

    cdef Py_ssize_t _below(self, Unit unit, Py_ssize_t first, Py_ssize_t busy) except -1:
        """Where the first cell from `first` on is that is below its bound; `first` has `busy` in flight."""
        cdef Py_ssize_t place, step, total = 1
        for place in range(unit.near):
            total += self._loads.of(<str>unit.cells[place]).seen_by(unit.slot)
        cdef double bound = max(<double>_SLACK, _BOUND * total / unit.near)
        if busy <= bound:
            return first
        for step in range(1, unit.near):
            place = (first + step) % unit.near
            if self._loads.of(<str>unit.cells[place]).seen_by(unit.slot) <= bound:
                return place
        return first

    cdef bint _may_move(self, Unit unit, Route route, Py_ssize_t place) noexcept:
        """Whether the model may go to its cell at `place`: it was there before, or one more may be loaded."""
        cdef uint64_t one
        if place < route.copies or unit.cells is not route.cells:
            # Where cells are in trouble, they stand in another order.
            return True
        one = <uint64_t>1 << min(place, <Py_ssize_t>_MOST_CELLS - 1)
        if not route.moved & one:
            if self._moves < 1.0:
                return False
            self._moves -= 1.0
            route.moved |= one
        return True

    cdef int _look(self, Route route, Py_ssize_t near, double now) except -1:
        """Have it counted how often a model was asked for since the last look, if that may make it hot."""
        cdef double seconds = now - route.since, mean = 0.0
        cdef bint is_new = route.since == 0.0
        if (is_new and self._hot) or (not is_new and (route.asked >= _FEW * seconds or route.copies > 1)):
            for cell in route.cells[:near]:
                mean += self._loads.of(<str>cell).rate(now) / near
            asked = 0 if is_new else route.asked
            route.copies = self._copies.note(names_of(route.record), asked, mean, now)
        if seconds >= _FORGOTTEN:
            route.moved = 0
        route.asked, route.since = 0, now
        return 0


cdef tuple _in_front(tuple cells, Py_ssize_t place):
    """`cells` with the one at `place` before all others."""
    cdef Py_ssize_t size = PyTuple_GET_SIZE(cells), at
    cdef tuple moved = PyTuple_New(size)
    for at in range(size):
        cell = cells[place if at == 0 else at - 1 if at <= place else at]
        Py_INCREF(cell)
        PyTuple_SET_ITEM(moved, at, cell)
    return moved
