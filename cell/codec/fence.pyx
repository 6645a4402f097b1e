"""Refuses requests that an old shard map dealt: their tenants are served elsewhere by now.

Routers learn of a map in milliseconds, but one that is cut off goes on dealing by what it holds, to cells
that others have long been dealt. So a router says with each request by which generation it was dealt, and a
cell hears from the version managers, with the answer to each report, which generation deals and which one
is still looked back to. What is older than both is kept out; callers hear UNAVAILABLE, and their router
looks for a newer map.

- Of several managers the one that is furthest on counts. Each is believed for as long as it answers: after a
  restored backup, numbers begin lower, and a manager that is gone must not keep all requests out. If none
  answers, what was heard last stands.
- If an operator has the pointer in etcd go back by hand, the previous generation is the newer of the two: the
  lower number counts.
- Who says no number is let in, and so is everybody while none is known: a router or a manager of the release
  before does not tell any.

Native, since readers of requests (`plain`) ask it.
"""

cimport cython

from croupier.errors import Unavailable

_RETRY_AFTER = 0.1


class StaleMap(Unavailable):
    """The request was dealt by a shard map that is no longer in use. Ours, passing: its router is behind."""

    reason = "STALE_MAP"

    def __init__(self):
        super().__init__("the request was dealt by an old shard map", retry_after=_RETRY_AFTER)


@cython.final
cdef class Fence:
    """Which generations' requests are let in; none is refused before anything was heard."""

    def __cinit__(self):
        self._told = {}

    @property
    def floor(self):
        """The lowest number that is let in."""
        return self._floor

    def hear(self, who, unsigned long long generation, unsigned long long previous):
        """A version manager says which generation deals, and which one is looked back to; 0: none.

        `who` is whoever it may be, by which it is known again.
        """
        if not generation:
            self.forget(who)
            return
        self._told[who] = min(generation, previous or generation)
        self._floor = max(self._told.values())

    def forget(self, who):
        """It answers no more. What it said stands only if there is nobody else."""
        self._told.pop(who, None)
        if self._told:
            self._floor = max(self._told.values())

    def refuses(self, unsigned long long generation):
        """Whether a request of that generation is kept out; 0 for one that says none."""
        return self.keeps_out(generation)

    def check(self, unsigned long long generation):
        """Raises StaleMap if a request of that generation is kept out."""
        if self.keeps_out(generation):
            raise StaleMap

    cdef bint keeps_out(self, unsigned long long generation) noexcept nogil:
        return generation != 0 and generation < self._floor
