"""A call that a client makes."""

from libc.math cimport INFINITY

from base64 import b64decode

from croupier.codes cimport CANCELLED, RESOURCE_EXHAUSTED
from croupier.telemetry.durations cimport Durations, monotonic
from croupier.transport.http2.call cimport Call, Receiving
from croupier.transport.http2.callbacks cimport Callbacks
from croupier.transport.http2.nghttp2 cimport *
from croupier.transport.http2.outgoing cimport Sending

from croupier.transport.http2.wire import too_much
from croupier.transport.metadata import percent_decode


cdef class ClientCall(Call):
    """A call that a session sends. What it came to is known once it is done.

    `timeout` in seconds is sent to the peer, None for none; `request` is a unary call's one message, and
    `done` is for whoever takes the completed calls. `durations` are told how long it took since `began`, or
    since now, on the clock of `time.monotonic`. `pairs` are a unary call's metadata, encoded.

        UNDER_WAY ──grpc-status──▶ SAID
            ├──`cancel`──▶ DROPPED
            ├──a reset, a lost connection, what is no gRPC, `abort`──▶ BROKEN
            └──refused by the peer before it did anything──▶ UNSEEN ──`renew`, once──▶ UNDER_WAY
    """

    def __init__(self, bytes path not None, bytes request=None, timeout=None, done=None,
                 Durations durations=None, tuple pairs=(), began=None):
        self.path, self.request, self.done, self.pairs = path, request, done, pairs
        self.timeout = INFINITY if timeout is None else timeout
        self.reported = NO_STATUS
        self.durations = durations
        if durations is not None:
            self.began = monotonic() if began is None else began

    @property
    def is_done(self):
        return self.ending != Ending.UNDER_WAY

    @property
    def is_broken(self):
        """Whether it was not gRPC that said how the call ended."""
        return self.ending >= Ending.BROKEN

    @property
    def is_unprocessed(self):
        """Whether the peer cannot have seen the call."""
        return self.ending == Ending.UNSEEN

    @property
    def has_headers(self):
        """Whether the peer has begun to answer."""
        return self.receiving != Receiving.HEADERS

    @property
    def message(self):
        """The response of a unary call that ended with code 0."""
        return self.first if self.first is not None else b""

    @property
    def status_message(self):
        if self.own_message is not None:
            return self.own_message
        return percent_decode(self.raw_message) if self.raw_message is not None else ""

    @property
    def details(self):
        """The serialized google.rpc.Status; b"" without one, or when it cannot be read."""
        if self.raw_details is None:
            return b""
        try:
            return b64decode(self.raw_details + b"=" * ((4 - len(self.raw_details) % 4) % 4), validate=True)
        except ValueError:
            return b""

    def send(self, bytes message not None):
        """Queue a message of a streaming call; see `is_writable`."""
        if self.wire is not None and self.sending < Sending.ENDING:
            if self.enqueue(message):
                self.resume()
            else:
                self.abort(RESOURCE_EXHAUSTED, too_much().message)

    def end(self):
        """Send no more messages."""
        if self.wire is not None and self.sending < Sending.ENDING:
            self.resume()
            self.sending = Sending.ENDING

    def cancel(self):
        """Reset the call; its end is not reported."""
        if self.ending == Ending.UNDER_WAY and self.durations is not None:
            self.durations.ended(CANCELLED, self.began)
        if self.ending == Ending.UNDER_WAY and self.span is not None:
            self.span.end(CANCELLED)
        self.ending, self.code, self.done = Ending.DROPPED, CANCELLED, None
        self._reset()
        self.drop_received()

    def abort(self, int code, str message):
        """Reset the call, which ends with a status of our own."""
        if self.ending == Ending.UNDER_WAY:
            self._reset()
            self.settle(code, message, Ending.BROKEN)
            if self.wire is not None:
                (<Callbacks>self.wire).report(self)

    def _reset(self):
        if self.wire is not None and self.wire.handle != NULL:
            nghttp2_submit_rst_stream(self.wire.handle, NGHTTP2_FLAG_NONE, self.stream_id, NGHTTP2_CANCEL)
            self.wire.touch()

    def renew(self):
        """Make an unprocessed unary call ready to be sent once more; False if it was before."""
        if self.is_renewed or self.ending != Ending.UNSEEN:
            return False
        self.is_renewed, self.is_crowded = True, False
        self.ending, self.sending, self.receiving = Ending.UNDER_WAY, Sending.UNSENT, Receiving.HEADERS
        self.own_message, self.queued = None, 0
        return True

    cdef int settle(self, int code, str message, Ending ending) except -1:
        cdef double at
        self.code, self.own_message, self.ending = code, message, ending
        # What the peer cannot have seen is sent once more.
        if ending != Ending.UNSEEN or self.is_renewed:
            if self.durations is not None:
                # To look at the clock takes longer than all else of it: what the peer said is as old as the
                # bytes that it came with.
                at = self.wire.now if ending == Ending.SAID else monotonic()
                self.durations.took(code, at - self.began)
            if self.span is not None:
                self.span.end(code)
        return 0
