cdef class Unit:
    cdef bytes message
    cdef Py_ssize_t start
    cdef Py_ssize_t size
    # What goes behind the request, each a field for the cell: features that the items of a request share, and
    # those that were fetched; and whether any are to be.
    cdef public bytes shared
    cdef public bytes fetched
    cdef public bint lacks
    # What the request says for all of its items, as its Shared; None: nothing.
    cdef public bytes told
    cdef bytes suffix
    # Behind that, whose the request is, and behind this which shard map dealt it, as fields; and their sizes:
    # not every cell knows these.
    cdef bytes origin
    cdef Py_ssize_t owner_size
    cdef Py_ssize_t generation_size
    # What else this one request says, behind all of that: empty nearly always (`envelope.marks`).
    cdef public bytes marks
    cdef public int tried
    # The cells whose connection broke while it was in flight, time by time.
    cdef public tuple lost_with
    # The gRPC code of an item whose answer is an error; and whether the answer came after a load.
    cdef public int code
    cdef public bint is_cold
    # Which of the tenants that a cell tells apart it is of: see `loads`.
    cdef public int slot
    # How many of its cells, from the first one on, may be chosen from by how busy they are.
    cdef public Py_ssize_t near
    cdef readonly object route
    # The number of the shard map that dealt it; 0 for a unit that was not routed.
    cdef readonly object generation
    cdef Py_ssize_t choice
    cdef public tuple cells
    cdef public object outcome

cdef Unit new_unit(bytes message, Py_ssize_t start, Py_ssize_t size)
cpdef object mark(list units, bytes marks)
cpdef bint lacks_any(list units)
cpdef object carry(list before, list after)
cpdef list untried(list units)
cpdef dict by_next_cell(list units)
cpdef Py_ssize_t settle(list units, list outcomes) except -1
cpdef list unsettled(list units)
cpdef list stale_places(list units)
