"""What a peer may do that is of no use to anybody, and how long it may keep us at work.

1. Frames cost tokens (`_price`), and what is of use brings some back: a request, a message, a DATA frame that
   was worth sending; so does time. A peer without tokens gets GOAWAY(ENHANCE_YOUR_CALM). Heads of frames are
   read ahead of nghttp2, which does not tell of those that it ignores.
2. Calls that are reset while they are young, and those that have to be reset for what the peer did, cost of
   a second kind of token.
3. Work is estimated as it is done, and `turn` ends it for now: what a peer may do is not all done at once.
4. What nghttp2 ignores and RFC 9113 calls an error of the connection is seen in the same heads (`misstep`).

A new connection has few tokens and earns more: who connects again and again gains nothing by it.
"""

from libc.math cimport INFINITY
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

from croupier.transport.http2.nghttp2 cimport (
    NGHTTP2_DATA,
    NGHTTP2_ERR_CALLBACK_FAILURE,
    NGHTTP2_HEADERS,
    NGHTTP2_PRIORITY,
    NGHTTP2_PROTOCOL_ERROR,
    NGHTTP2_SETTINGS,
)
from croupier.transport.http2.wire cimport Wire

cdef enum:
    _HEAD = 9
    # A DATA frame with less has to bring a message, or it costs.
    _SMALL_DATA = 64
    # Frames are counted so many ahead of what they earn: DATA by its size, HEADERS as several.
    _STRIDE = 32
    _HEADERS_WEIGHT = 4
    # Tokens that every new connection has; more is earned.
    _FIRST_TOKENS = 100
    # What may be kept of them beyond a burst, for each call that is open. gRPC's C++ widens two windows for
    # each of many calls in one go, long after the calls have earned it.
    _PER_OPEN_CALL = 5

# SETTINGS has nghttp2 look at every stream that is open.
cdef double _PER_SETTINGS = 16.0
# What reading the head of a frame takes, in nanoseconds.
cdef double _FRAME_WORK = 100.0
# And what nghttp2 has to do for a token.
cdef double _TOKEN_WORK = 300.0


cdef class Meter(Wire):
    """A connection whose peer has tokens."""

    cdef int set_tolls(self, limits, double now) except -1:
        self.tokens_most, self.tokens_rate = limits.control_burst, limits.control_rate
        self.resets_most, self.resets_rate = limits.reset_burst, limits.reset_rate
        self.tokens, self.resets = _first_tokens(self.tokens_most), _first_tokens(self.resets_most)
        self.turn = INFINITY
        self.now = now
        return 0

    cdef int pass_time(self, double now) except -1:
        cdef double passed = now - self.now
        cdef double most = self.tokens_most + _PER_OPEN_CALL * len(self.calls)
        self.now = now
        self.tokens = min(most, self.tokens + passed * self.tokens_rate)
        self.resets = min(self.resets_most, self.resets + passed * self.resets_rate)
        return 0

    cdef int spend(self, double tokens):
        """Returns what a callback has to: without tokens nghttp2 reads no further."""
        self.tokens -= tokens
        return NGHTTP2_ERR_CALLBACK_FAILURE if self.tokens < 0 else 0

    cdef int spend_reset(self):
        self.resets -= 1.0
        return self.spend(0.0 if self.resets >= 0 else self.tokens + 1.0)

    cdef Py_ssize_t count_frames(self, const uint8_t* data, Py_ssize_t size):
        """Charge for some frames; returns where they end, or `size` when that is later.

        The frame that cannot be paid any more is left out, and so is one that is a `misstep`.
        """
        cdef Py_ssize_t at = self.payload_left, begin, part, length, weight = 0
        cdef const uint8_t* head
        cdef double price
        if at >= size:
            self.payload_left = at - size
            return size
        self.payload_left = 0
        while at < size:
            begin = at
            if self.head_size == 0 and size - at >= _HEAD:
                head = data + at
                at += _HEAD
            else:
                part = min(_HEAD - self.head_size, size - at)
                memcpy(self.head + self.head_size, data + at, part)
                self.head_size += part
                at += part
                if self.head_size < _HEAD:
                    return size
                head = self.head
                self.head_size = 0
            length = (<Py_ssize_t>head[0] << 16) | (head[1] << 8) | head[2]
            weight += (length >> 11) + (_HEADERS_WEIGHT if head[3] == NGHTTP2_HEADERS else 1)
            if weight > _STRIDE and begin > 0:
                return begin
            price = self._price(head, length)
            self.work += _FRAME_WORK + price * _TOKEN_WORK
            self.tokens -= price
            if head[3] == NGHTTP2_HEADERS or head[3] == NGHTTP2_PRIORITY:
                self.misstep = self.find_misstep(head[3], _stream_of(head))
            if self.tokens < 0 or self.misstep:
                return begin
            at += length
        self.payload_left = at - size
        return size

    cdef int find_misstep(self, int kind, uint32_t stream):
        """The error code of a HEADERS or PRIORITY that should not be on `stream`, or 0."""
        # RFC 9113, 6.3. nghttp2 looks at no PRIORITY of a peer who was told that nobody goes by them.
        return NGHTTP2_PROTOCOL_ERROR if kind == NGHTTP2_PRIORITY and stream == 0 else 0

    cdef double _price(self, const uint8_t* head, Py_ssize_t length):
        cdef int kind = head[3]
        if kind == NGHTTP2_DATA and length >= _SMALL_DATA:
            return 0.0
        # The first SETTINGS is free, or those of a peer with little allowed could not pay it.
        if kind == NGHTTP2_SETTINGS and length > 0 and self.is_settled:
            return _PER_SETTINGS + len(self.calls) / _PER_SETTINGS
        return 1.0


cdef uint32_t _stream_of(const uint8_t* head):
    return (<uint32_t>(head[5] & 0x7F) << 24) | (head[6] << 16) | (head[7] << 8) | head[8]


cdef double _first_tokens(double most):
    """A tenth of all, but not so few that a well-behaved peer could not begin."""
    return max(most / 10, min(most, <double>_FIRST_TOKENS))
