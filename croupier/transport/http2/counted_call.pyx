"""Unary calls of a load test, counted as they end: one object a call, and nothing in Python when all is well.

    Counts.sent(calls, at)        they are on their way: how late is counted
    Counts.take(completed, now)   the answered ones are counted; the others are for the caller to look at
    Counts.harvest()              what was counted since it was asked last

Whatever is counted goes into a histogram of a row and of the second in which its request was due: in the
layout of HdrHistogram, as `croupier_bench/histogram.py` has it. Python would be busy with lists of all of
them alone.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport INFINITY, floor
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from croupier.codes cimport OK
from croupier.fields cimport LEN, Cursor, Field, cursor_of, next_field
from croupier.transport.http2.client_call cimport NO_STATUS, ClientCall
from croupier.transport.http2.client_session cimport ClientSession

from croupier.errors import CroupierError

cdef extern from *:
    int __builtin_clzll(unsigned long long value) noexcept

cdef enum:
    _HALF = 1024
    _BUCKETS = 24 * 1024
    # Beside one row for each kind of request.
    _MORE_ROWS = 3
    # Of a response: its results; of a result: what came of an item.
    _RESULTS = 1
    _VALUE = 1
    _STATUS = 2

# More is not told apart: a little more than two hours. `histogram.py` says why the nudge.
cdef double _LONGEST_US = 8_589_934_591.0
cdef double _NUDGE_US = 1e-3

cdef struct Block:
    int64_t second
    int row
    uint32_t count
    double sum
    double most
    uint32_t counts[_BUCKETS]

# Pairs of an index and a count are put together here: only one thread at a time holds the GIL.
cdef uint32_t _pairs[2 * _BUCKETS]


@cython.final
cdef class CountedCall(ClientCall):
    """A unary call that was `due` at a moment of the clock of `time.monotonic`.

    `kind`, `model` and `number` say which request it is; one that `is_kept` is handed back even if all is
    well.
    """

    cdef readonly int kind
    cdef readonly int model
    cdef readonly long long number
    cdef readonly double due
    cdef readonly double sent
    cdef readonly bint is_kept
    # Whether it ended with OK, and an item of it did not.
    cdef readonly bint has_failed_item

    # Not by `ClientCall`'s: to call that takes as long as all of this.
    def __init__(self, bytes path not None, bytes request not None, double timeout, tuple pairs not None,
                 int kind, int model, long long number, double due, bint is_kept):
        self.path, self.request, self.pairs, self.timeout = path, request, pairs, timeout
        self.reported = NO_STATUS
        self.kind, self.model, self.number, self.due, self.is_kept = kind, model, number, due, is_kept


@cython.final
cdef class Counts:
    """What came of requests that were due after `start`; what was due before is not counted.

    There is a kind of requests for each of `predicts`: whether its answers are PredictResponses. If so, a
    request whose items are not all answered has failed. A row of the histograms is the latency of the
    answered ones of a kind; behind these come `late`, how late all were sent, `since`, how long the answered
    ones took since then, and `failed`, how long the others did.
    """

    cdef Block** blocks
    cdef Py_ssize_t seconds
    cdef int rows
    cdef list spilled
    cdef bytes predicts
    # Nothing is counted before it is set.
    cdef public double start
    cdef readonly int kinds
    cdef readonly int late
    cdef readonly int since
    cdef readonly int failed
    # How many have ended, to see whether any has.
    cdef readonly long long ended

    def __cinit__(self, predicts, *, double timeout):
        cdef int kinds = len(predicts)
        self.start, self.kinds, self.predicts = INFINITY, kinds, bytes(map(bool, predicts))
        self.late, self.since, self.failed = kinds, kinds + 1, kinds + 2
        self.rows, self.seconds = kinds + _MORE_ROWS, <Py_ssize_t>min(timeout, 60.0) + 4
        self.spilled = []
        self.blocks = <Block**>PyMem_Calloc(self.rows * self.seconds, sizeof(Block*))
        if self.blocks == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef Py_ssize_t place
        if self.blocks != NULL:
            for place in range(self.rows * self.seconds):
                PyMem_Free(self.blocks[place])
            PyMem_Free(self.blocks)

    def sent(self, list calls not None, double at):
        """These are on their way since `at`."""
        cdef CountedCall call
        for call in calls:
            call.sent = at
            self._record(call.due, self.late, at - call.due)

    def take(self, completed, double now):
        """Count the answered ones of calls that have ended, heard of at `now`; returns those to be looked at.

        These are all others, and those that are kept.
        """
        cdef CountedCall call
        cdef list rest = []
        for call in completed:
            if not 0 <= call.kind < self.kinds:
                raise IndexError("no such kind of request")
            if call.code != OK:
                rest.append(call)
            elif self.predicts[call.kind] and not _is_answered(call.first):
                call.has_failed_item = True
                rest.append(call)
            else:
                self.answer(call.kind, call.due, call.sent, now)
                if call.is_kept:
                    rest.append(call)
        return rest

    cpdef int answer(self, int kind, double due, double sent, double now) except -1:
        """A request of a kind was answered."""
        if not 0 <= kind < self.kinds:
            raise IndexError("no such kind of request")
        self.ended += 1
        self._record(due, kind, now - due)
        self._record(due, self.since, now - sent)
        return 0

    cpdef int fail(self, double due, double now) except -1:
        """A request has failed."""
        self.ended += 1
        return self._record(due, self.failed, now - due)

    cpdef int send(self, double due, double at) except -1:
        """A request is on its way since `at` that is no call of its own."""
        return self._record(due, self.late, at - due)

    def harvest(self):
        """What was counted since this was asked last: (second, row, count, sum, maximum, pairs).

        Sum and maximum are in seconds, `pairs` the bytes of native 32-bit numbers: index and count by turns.
        """
        cdef Py_ssize_t place
        found, self.spilled = self.spilled, []
        for place in range(self.rows * self.seconds):
            if self.blocks[place] != NULL and self.blocks[place].count:
                found.append(_emptied(self.blocks[place]))
        return found

    cdef int _record(self, double due, int row, double seconds) except -1:
        cdef double since = due - self.start
        if not since >= 0:
            return 0
        cdef int64_t second = <int64_t>floor(since)
        cdef Block* block = self._block(second, row)
        block.count += 1
        block.sum += seconds
        block.most = max(block.most, seconds)
        block.counts[_bucket_of(seconds)] += 1
        return 0

    cdef Block* _block(self, int64_t second, int row) except NULL:
        cdef Py_ssize_t place = (second % self.seconds) * self.rows + row
        cdef Block* block = self.blocks[place]
        if block == NULL:
            block = self.blocks[place] = <Block*>PyMem_Calloc(1, sizeof(Block))
            if block == NULL:
                raise MemoryError
        if block.second != second or block.row != row:
            # Of a process that was held up for long, an earlier second may not have been harvested.
            if block.count:
                self.spilled.append(_emptied(block))
            block.second, block.row = second, row
        return block


cdef tuple _emptied(Block* block):
    cdef Py_ssize_t index, at = 0
    for index in range(_BUCKETS):
        if block.counts[index]:
            _pairs[at] = index
            _pairs[at + 1] = block.counts[index]
            at += 2
    found = (block.second, block.row, block.count, block.sum, block.most,
             PyBytes_FromStringAndSize(<const char*>_pairs, at * sizeof(uint32_t)))
    memset(block.counts, 0, sizeof(block.counts))
    block.count, block.sum, block.most = 0, 0.0, 0.0
    return found


cdef inline int _bucket_of(double seconds) noexcept:
    cdef double us = seconds * 1e6 + _NUDGE_US
    cdef uint64_t whole = 0
    cdef int octave = 0
    if us > 0:
        whole = <uint64_t>min(us, _LONGEST_US)
    if whole >= 2 * _HALF:
        octave = 53 - __builtin_clzll(whole)
    return octave * _HALF + <int>(whole >> octave)


def is_answered(bytes response not None):
    """Whether a PredictResponse has results, and a value in each."""
    return _is_answered(response)


cdef bint _is_answered(bytes response) except -1:
    cdef Cursor cursor, inner
    cdef Field field, part
    cdef bint has_value, found = False
    if response is None:
        return False
    try:
        cursor = cursor_of(response)
        while next_field(&cursor, &field):
            if field.number != _RESULTS or field.kind != LEN:
                continue
            inner = Cursor(field.data, field.data + field.size)
            has_value = False
            # The value stands first, where protobuf's own library wrote it.
            while not has_value and next_field(&inner, &part):
                if part.kind == LEN and part.number == _STATUS:
                    return False
                has_value = part.kind == LEN and part.number == _VALUE
            if not has_value:
                return False
            found = True
    except CroupierError:
        return False
    return found


def expired(ClientSession session not None, double before):
    """The counted calls of a session that were due before a moment and have not ended, the oldest first.

    As far as they were sent in this order.
    """
    cdef list found = []
    for call in session.calls.values():
        if isinstance(call, CountedCall):
            if (<CountedCall>call).due >= before:
                break
            found.append(call)
    return found
