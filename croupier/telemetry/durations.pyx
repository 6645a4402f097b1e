"""Histograms that are written with every request, by one thread."""

cimport cython
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from croupier.codes import Code

cdef int _LAST = max(Code)
cdef int _UNKNOWN = Code.UNKNOWN
cdef tuple _NAMES = tuple(code.name for code in sorted(Code))


cdef double monotonic() noexcept:
    """The clock of `time.monotonic`, in seconds."""
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9


@cython.final
cdef class Series:
    """How many values were seen up to each of `bounds`, which rise, and beyond, and their sum."""

    def __init__(self, bounds):
        cdef Py_ssize_t place
        self.size = len(bounds)
        if self.size > MOST_BOUNDS:
            raise ValueError(f"a histogram has {MOST_BOUNDS} bounds at most, not {self.size}")
        for place in range(self.size):
            self.bounds[place] = bounds[place]
            if place and self.bounds[place] <= self.bounds[place - 1]:
                raise ValueError("the bounds of a histogram rise")

    cpdef void observe(self, double value) noexcept:
        cdef Py_ssize_t place = 0
        while place < self.size and value > self.bounds[place]:
            place += 1
        self.seen[place] += 1
        self.sum += value

    @property
    def counts(self):
        """How many there were in each bucket alone, the last one without a bound."""
        cdef Py_ssize_t place
        return [self.seen[place] for place in range(self.size + 1)]


@cython.final
cdef class Durations:
    """How long what one name stands for took, in seconds, by the gRPC code that it ended with.

    `labels` makes the series of a code's name, once it is seen.
    """

    def __init__(self, labels):
        self.labels, self.by_code = labels, [None] * (_LAST + 1)

    cpdef void ended(self, int code, double began):
        """It ends now; `began` is on the clock of `time.monotonic`."""
        self.of(code).observe(monotonic() - began)

    cpdef void took(self, int code, double seconds):
        self.of(code).observe(seconds)

    cdef Series of(self, int code):
        # A peer may send any number.
        if not 0 <= code <= _LAST:
            code = _UNKNOWN
        series = self.by_code[code]
        if series is None:
            series = self.by_code[code] = self.labels(_NAMES[code])
        return <Series>series
