"""What a call knows of its connection: how to be heard, and how much may be held.

Whatever a peer makes us keep is held, by its connection and by the budget of all connections together.
"""

cimport cython

from croupier.errors import TooLarge

cdef enum:
    # A message with more is a large one.
    _SMALL = 65_536


def too_much():
    """The error for bytes that there is no room to hold."""
    return TooLarge("too much is held for this connection already", reason="CONNECTION_FULL")


cdef class Budget:
    """What all connections of a server share.

    Together they hold at most twice `limit` bytes: the floors of all are at most `limit`, and above its
    floor a connection gets no more than is left. So one that takes all it can leaves as much to others,
    and many that do leave a share to the next one.

    Compressed messages that grow out of proportion are work for nothing; together they may grow by
    `growth_burst` bytes at once and `growth_rate` a second.
    """

    def __cinit__(self, Py_ssize_t limit, *, double growth_burst=2**22, double growth_rate=2**21):
        self.limit = limit
        self.growth = self.growth_burst = growth_burst
        self.growth_rate = growth_rate

    cdef Py_ssize_t room_to_grow(self, double now):
        if now > self.since:
            self.growth = min(self.growth_burst, self.growth + (now - self.since) * self.growth_rate)
            self.since = now
        return <Py_ssize_t>self.growth


# Otherwise the collector could take the budget before the calls have given back.
@cython.no_gc_clear
cdef class Wire:
    """A connection as its calls see it: `wake` is called once when there is something to send."""

    cdef void touch(self):
        if not self.is_dirty:
            self.is_dirty = True
            if self.wake is not None:
                self.wake()

    cdef bint hold(self, Py_ssize_t size):
        """Count `size` bytes more; False, and nothing counted, when there is no room for them."""
        cdef Py_ssize_t after = self.held + size
        cdef Budget budget = self.budget
        if after > self.floor or after * budget.sessions > budget.limit:
            if after > self.most or after > budget.limit - budget.used:
                return False
        self.held = after
        self.budget.used += size
        return True

    cdef bint hold_part(self, Py_ssize_t size, Py_ssize_t before):
        """The same for `size` bytes of a message of which `before` are held.

        Large ones leave a quarter of the room: many callers may share a connection, and who sends large
        messages shall not be why the small ones of others are refused.
        """
        cdef Py_ssize_t after = self.held + size
        cdef Budget budget = self.budget
        if before + size > _SMALL and (after > self.floor or after * budget.sessions > budget.limit):
            if after > self.most - self.most // 4 or after > budget.limit - budget.limit // 4 - budget.used:
                return False
        return self.hold(size)

    cdef object full(self):
        """The error for what there is no room to hold."""
        return too_much()

    cdef void release(self, Py_ssize_t size):
        self.held -= size
        self.budget.used -= size
