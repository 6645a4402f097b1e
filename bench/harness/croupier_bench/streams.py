"""Requests as messages of PredictStream calls: one call for each class and tenant, open as long as it works.

Answers come in any order, and say by an id whose they are. When a call ends, whatever it had not answered has
failed as it did, and the next request opens another one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from croupier.codes import Code
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.counted_call import Counts, is_answered
from croupier_bench.ends import MALFORMED, Ends, error_word, item_word, status_word
from croupier_bench.lines import LATE, Line
from protos.prediction.v1 import prediction_pb2

_AWAY = "there is no connection"
Pairs = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class Asked:
    """A request that is not answered; `sent` is 0 until it is on its way."""

    kind: int
    model: int
    number: int
    due: float
    is_kept: bool
    sent: float = 0.0


class Streams:
    """All calls of one worker. `lines` are shared: a call stays on the one that its tenant has."""

    def __init__(self, lines: Sequence[Line], counts: Counts, ends: Ends) -> None:
        self._lines = lines
        self.counts = counts
        self.ends = ends
        # Told of a line how many requests were answered on it, and how many have failed.
        self.on_ended: Callable[[Line, int, int], None] | None = None
        self._open: dict[tuple[int, Pairs], _Stream] = {}
        self._leaving: list[Asked] = []

    def send(self, path: bytes, message: bytes, pairs: Pairs, asked: Asked) -> None:
        key = asked.kind, pairs
        stream = self._open.get(key)
        if stream is None or stream.call.is_done:
            line = self._lines[hash(pairs) % len(self._lines)]
            stream = self._open[key] = _Stream(self, path, line)
            if not stream.open(pairs):
                del self._open[key]
                now = time.monotonic()
                self.counts.send(asked.due, now)
                self.ends.fail(asked.kind, asked.due, now, f"UNAVAILABLE: {_AWAY}")
                self.tell(line, 0, 1)
                return
        self._leaving.append(asked)
        stream.ask(asked, message)

    def sent(self, at: float) -> None:
        """What was put on streams is on its way."""
        leaving, self._leaving = self._leaving, []
        for asked in leaving:
            asked.sent = at
            self.counts.send(asked.due, at)

    def expire(self, before: float) -> None:
        """Give up the requests that were due before a moment."""
        for stream in self._open.values():
            stream.expire(before)

    def tell(self, line: Line, answered: int, failed: int) -> None:
        """So many have ended."""
        if self.on_ended is not None and (answered or failed):
            self.on_ended(line, answered, failed)

    def close(self) -> None:
        for stream in self._open.values():
            stream.call.cancel()


class _Stream:
    def __init__(self, streams: Streams, path: bytes, line: Line) -> None:
        self.call = ClientCall(path)
        self._streams, self._line = streams, line
        # In the order in which they were sent.
        self._asked: dict[int, Asked] = {}

    def open(self, pairs: Pairs) -> bool:
        self.call.tag = self._woken
        return self._line.open(self.call, pairs)

    def ask(self, asked: Asked, message: bytes) -> None:
        self._asked[asked.number] = asked
        self.call.send(message)

    def expire(self, before: float) -> None:
        late = []
        for asked in self._asked.values():
            if asked.due >= before:
                break
            late.append(asked)
        self._fail(late, time.monotonic(), f"DEADLINE_EXCEEDED: {LATE}")

    def _woken(self) -> None:
        now = time.monotonic()
        answered = failed = 0
        while (message := self.call.take()) is not None:
            is_well = self._take(message, now)
            answered += is_well is True
            failed += is_well is False
        self._streams.tell(self._line, answered, failed)
        if self.call.is_done:
            # The call holds this, and this the call.
            self.call.tag = None
            self._fail([*self._asked.values()], now, self._end_word())

    def _take(self, message: bytes, now: float) -> bool | None:
        """Whether the request that `message` is for was answered; None if it is for none that waits."""
        try:
            number, response, word = read(message)
        except ValueError:
            return None
        asked = self._asked.pop(number, None)
        if asked is None:
            return None
        ends = self._streams.ends
        if not word and not is_answered(response):
            word = item_word(response)
        if word:
            ends.fail(asked.kind, asked.due, now, word)
            return False
        self._streams.counts.answer(asked.kind, asked.due, asked.sent, now)
        if asked.is_kept:
            ends.verify(asked.kind, asked.model, asked.number, asked.due, response)
        return True

    def _fail(self, several: Sequence[Asked], now: float, word: str) -> None:
        for asked in several:
            del self._asked[asked.number]
            self._streams.ends.fail(asked.kind, asked.due, now, word)
        self._streams.tell(self._line, 0, len(several))

    def _end_word(self) -> str:
        call = self.call
        if call.code == Code.OK:
            return "UNAVAILABLE: the stream ended"
        return error_word(call.code, call.status_message, call.details)


def read(message: bytes) -> tuple[int, bytes, str]:
    """Of a PredictStreamResponse the id, the response, and if it is a status instead, the word for it.

    Raises:
        ValueError: it cannot be read.
    """
    number, at = 0, 0
    if message[:1] == b"\x08":
        number, at = _varint(message, 1)
    if message[at : at + 1] == b"\x12":
        size, begin = _varint(message, at + 1)
        # Nothing stands behind it, where protobuf's own library wrote it.
        if begin + size == len(message):
            return number, message[begin:], ""
    return _read_whole(message)


def _read_whole(message: bytes) -> tuple[int, bytes, str]:
    try:
        read = prediction_pb2.PredictStreamResponse.FromString(message)
    except DecodeError as error:
        raise ValueError(MALFORMED) from error
    if read.HasField("response"):
        return read.id, read.response.SerializeToString(), ""
    return read.id, b"", status_word(read.status) if read.HasField("status") else MALFORMED


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError(MALFORMED)
