"""A sans-I/O HTTP/2 session that carries gRPC: bytes in, events out; replies in, bytes out.

    receive(data, now)  ──▶ nghttp2 ──▶ `Callbacks` ──▶ what a server's or client's session makes of
                                                             them, in lists for whoever called `receive`
    calls' methods      ──▶ nghttp2 ──▶ drain() ──▶ bytes

There is no asyncio here, and no clock: `now` is passed in, in seconds. nghttp2 keeps the protocol's rules
(RFC 9113), HPACK and flow control, and sends RST_STREAM or GOAWAY with the right code where a peer breaks
them. What is left to bound is here:

1. What a peer does that is of no use, and how long it may keep us at work: `Meter`.
2. Acknowledgements, CONTINUATION and SETTINGS entries: nghttp2's own options, and resets of every kind once
   more.
3. What is kept: `Wire.hold`; a header list is not kept beyond its limit.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from croupier.transport.http2.call cimport Call
from croupier.transport.http2.callbacks cimport Callbacks, set_callbacks
from croupier.transport.http2.nghttp2 cimport *
from croupier.transport.http2.wire cimport Budget

from croupier.errors import InternalError
from croupier.transport.http2.frame_log import frame_log

cdef enum:
    _SCRATCH = 262_144
    # No frame that is sent is larger: HTTP/2's least maximum of a frame, its head, and the client's preface.
    _LARGEST_FRAME = 16_384 + 9 + 24
    # The share of a stream's window that may have been read before nghttp2 counts it. It tells the peer once
    # half of the window was.
    _LAG_SHARE = 16

# `drain` copies frames here: one buffer for the process, since only one thread at a time holds the GIL.
cdef uint8_t _scratch[_SCRATCH]


cdef class Session(Callbacks):
    """The base of both roles. The sessions of one server share a `budget`; None makes one of its own."""

    def __init__(self, limits, double now, Budget budget=None):
        self.limits = limits
        self.budget = budget if budget is not None else Budget(
            limits.total_bytes, growth_burst=limits.growth_burst, growth_rate=limits.growth_rate)
        self.floor, self.most = limits.floor_bytes, limits.connection_bytes
        self.max_message, self.queue_room = limits.max_message_bytes, limits.stream_queue
        self.max_header_bytes = limits.max_header_bytes
        self.window = limits.stream_window
        # A client has asked for what it is sent.
        self.first_window = self.window if self.role == "client" else min(limits.first_window, self.window)
        self.lag = self.first_lag = self.window // _LAG_SHARE
        if self.first_window < self.window:
            self.first_lag = self.first_window // 4 * 3
        self.set_tolls(limits, now)
        self.calls, self.events = {}, []
        self.frame_log = frame_log(self.role)
        self._open()
        self.budget.sessions += 1

    def __dealloc__(self):
        if self.handle != NULL:
            nghttp2_session_del(self.handle)
            # Nobody has closed it, and no call is left that would give back what it holds.
            self.budget.sessions -= 1
            self.budget.used -= self.held

    cdef int _open(self) except -1:
        cdef nghttp2_session_callbacks* callbacks
        cdef nghttp2_option* option
        limits = self.limits
        if nghttp2_session_callbacks_new(&callbacks) or nghttp2_option_new(&option):
            raise MemoryError
        try:
            set_callbacks(callbacks, self.frame_log is not None)
            nghttp2_option_set_no_auto_window_update(option, 1)
            nghttp2_option_set_no_closed_streams(option, 1)
            nghttp2_option_set_max_outbound_ack(option, limits.control_burst)
            nghttp2_option_set_max_settings(option, limits.max_settings)
            nghttp2_option_set_max_continuations(option, limits.max_continuations)
            # Old calls are left out in our own count: a peer may reset all that it has open.
            nghttp2_option_set_stream_reset_rate_limit(
                option, limits.reset_burst + limits.max_concurrent_streams,
                limits.reset_rate + limits.max_concurrent_streams)
            self.open_handle(callbacks, option)
        finally:
            nghttp2_session_callbacks_del(callbacks)
            nghttp2_option_del(option)
        self._submit_settings()
        return 0

    cdef int _submit_settings(self) except -1:
        cdef nghttp2_settings_entry settings[5]
        settings[0].settings_id = NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS
        settings[0].value = self.limits.max_concurrent_streams
        settings[1].settings_id = NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE
        settings[1].value = self.first_window
        settings[2].settings_id = NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE
        settings[2].value = self.limits.max_header_bytes
        settings[3].settings_id = NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES
        settings[3].value = 1
        settings[4].settings_id = NGHTTP2_SETTINGS_ENABLE_PUSH
        settings[4].value = 0
        self.check(nghttp2_submit_settings(self.handle, NGHTTP2_FLAG_NONE, settings, 5))
        window = self.limits.connection_window
        self.check(nghttp2_session_set_local_window_size(self.handle, NGHTTP2_FLAG_NONE, 0, window))
        self.touch()
        return 0

    # What the owner of the connection calls

    def receive(self, const uint8_t[::1] data, double now):
        """Take in what the peer sent, at `now` in seconds. Never raises for what a peer does.

        Returns how much was taken. That is everything, unless `turn` is over: then the rest is to be passed
        in the next turn, ahead of what comes after it. A session that was closed takes nothing.
        """
        cdef Py_ssize_t size = data.shape[0], at = 0, upto, taken
        if self.handle == NULL:
            return 0
        self.pass_time(now)
        self.work = 0.0
        while at < size:
            if self.is_broken:
                return size
            if self.work > self.turn:
                break
            upto = at + self.count_frames(&data[at], size - at)
            taken = 0
            if upto > at:
                taken = nghttp2_session_mem_recv(self.handle, &data[at], upto - at)
            if taken < 0 or self.tokens < 0 or self.misstep:
                self.is_broken = True
                self.terminate(self._reason(taken))
            at = upto
            self.touch()
            self._raise_failure()
        return at

    def _reason(self, int error):
        if self.tokens < 0 or error == NGHTTP2_ERR_FLOODED or error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
            return NGHTTP2_ENHANCE_YOUR_CALM
        if self.misstep:
            return self.misstep
        if error == NGHTTP2_ERR_BAD_CLIENT_MAGIC:
            return NGHTTP2_PROTOCOL_ERROR
        return NGHTTP2_INTERNAL_ERROR

    def drain(self):
        """The bytes to send now, at most 256 KiB; `has_more` tells whether to ask again."""
        cdef Py_ssize_t used = 0, size
        cdef const uint8_t* frame
        if self.handle == NULL:
            return b""
        while used + _LARGEST_FRAME <= _SCRATCH:
            size = nghttp2_session_mem_send(self.handle, &frame)
            if size <= 0:
                self.is_dirty = False
                self.is_broken = self.is_broken or size < 0
                break
            memcpy(_scratch + used, frame, size)
            used += size
        self._raise_failure()
        return PyBytes_FromStringAndSize(<char*>_scratch, used)

    @property
    def has_more(self):
        return self.is_dirty

    @property
    def is_calm(self):
        """Whether there is nothing to hand on and no end in sight, as after nearly every write."""
        return (self.handle != NULL and not self.is_broken and not self.has_news()
                and nghttp2_session_want_read(self.handle) != 0)

    @property
    def is_finished(self):
        """Whether nothing is to be read or sent any more: time to close the connection."""
        if self.handle == NULL:
            return True
        if nghttp2_session_want_write(self.handle):
            return False
        return self.is_broken or not nghttp2_session_want_read(self.handle)

    @property
    def open_calls(self):
        return len(self.calls)

    def take_events(self):
        """The (call, kind) that have been collected since this was asked last."""
        if not self.events:
            return ()
        events, self.events = self.events, []
        return events

    def count_unsent(self, Py_ssize_t size):
        """Hold what was drained and could not be sent yet: `size` bytes by now."""
        self.release(self.unsent - size)
        self.unsent = size

    def ping(self, double now):
        """Ask the peer for a sign of life; `ping_at` is 0 again once it has answered."""
        if self.handle != NULL and not self.ping_at:
            self.ping_at = now
            nghttp2_submit_ping(self.handle, NGHTTP2_FLAG_NONE, NULL)
            self.touch()

    def announce_end(self):
        """Tell a client to open no more calls here; those that are on their way are still served."""
        if self.handle != NULL:
            nghttp2_submit_shutdown_notice(self.handle)
            self.touch()

    def go_away(self):
        """Take no new calls; `is_finished` once those under way have ended."""
        if self.handle != NULL and not self.is_going_away:
            self.is_going_away = True
            last = nghttp2_session_get_last_proc_stream_id(self.handle)
            nghttp2_submit_goaway(self.handle, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0)
            self.on_going_away()
            self.touch()

    def close(self):
        """The connection is gone: end every call."""
        if self.handle == NULL:
            return
        handle, self.handle = self.handle, NULL
        self.is_dirty = False
        nghttp2_session_del(handle)
        self.budget.sessions -= 1
        self.is_broken = True
        calls, self.calls = self.calls, {}
        for call in calls.values():
            self.on_closed(call, NGHTTP2_CANCEL)
            (<Call>call).forget()

    # For the roles

    cdef int open_handle(self, nghttp2_session_callbacks* callbacks, nghttp2_option* option) except -1:
        raise InternalError("a session has a role")

    cdef int check(self, int result) except -1:
        if result < 0:
            raise InternalError(f"nghttp2: {nghttp2_strerror(result).decode()}")
        return result
