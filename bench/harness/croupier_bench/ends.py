"""What came of requests that did not simply end well: errors by code and reason, answers that are wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from math import floor

from google.protobuf.message import DecodeError

from croupier.codes import Code
from croupier.transport.http2.counted_call import CountedCall, Counts
from croupier_bench.cells import Sample
from protos.prediction.v1 import prediction_pb2

# What a Verifier does: None, or what is wrong with the reply to request `number` of a class and a model.
IsRight = Callable[[int, int, int, bytes], str | None]

UNSENT = "UNSENT: the load was too slow"
OTHERS = "OTHER: more kinds of errors than are told apart"
MALFORMED = "INTERNAL: the answer cannot be read"
_MOST_KINDS = 100
_MOST_TEXT = 80
_INFO = b"google.rpc.ErrorInfo"
_NUMBER = re.compile(r"\d+")
_NAMES = {int(code): code.name for code in Code}


class Ends:
    """Counts of requests due in the time that is measured, by class: `errors` by (class, word), `wrong` by
    (second, class, word); `seen` are the answers that were looked at. All since they were taken last.
    """

    def __init__(self, counts: Counts, is_right: IsRight | None = None, sample: Sample | None = None) -> None:
        self.errors: Counter[tuple[int, str]] = Counter()
        self.wrong: Counter[tuple[int, int, str]] = Counter()
        self.seen = 0
        self._counts = counts
        self._is_right = is_right
        self.sample = sample
        self._kinds: set[str] = set()

    def look(self, call: CountedCall, now: float) -> None:
        """A unary call has ended, and is not counted yet, unless it was answered and is kept."""
        if call.code != Code.OK:
            self.fail(call.kind, call.due, now, error_word(call.code, call.status_message, call.details))
        elif call.has_failed_item:
            self.fail(call.kind, call.due, now, item_word(call.message))
        else:
            if self.sample is not None and call.due >= self._counts.start:
                self.sample.look(call)
            self.verify(call.kind, call.model, call.number, call.due, call.message)

    def fail(self, kind: int, due: float, now: float, word: str) -> None:
        self._counts.fail(due, now)
        if due >= self._counts.start:
            self.errors[kind, self._bounded(word)] += 1

    def verify(self, kind: int, model: int, number: int, due: float, reply: bytes) -> None:
        if self._is_right is None or due < self._counts.start:
            return
        self.seen += 1
        if (word := self._is_right(kind, model, number, reply)) is not None:
            self.wrong[floor(due - self._counts.start), kind, word] += 1

    def take(self) -> tuple[Counter[tuple[int, str]], Counter[tuple[int, int, str]], int]:
        """Errors, wrong answers, and how many answers were looked at since this was asked last."""
        taken = self.errors, self.wrong, self.seen
        self.errors, self.wrong, self.seen = Counter(), Counter(), 0
        return taken

    def _bounded(self, word: str) -> str:
        """A peer may say something else each time."""
        if word not in self._kinds:
            if len(self._kinds) >= _MOST_KINDS:
                return OTHERS
            self._kinds.add(word)
        return word


def error_word(code: int, message: str, details: bytes) -> str:
    """What errors are counted by: the code, and the reason in `details`, a google.rpc.Status.

    Without one, the beginning of the message, without numbers, which would tell each from the others.
    """
    name = _NAMES.get(code, f"code {code}")
    said = reason_of(details) or _NUMBER.sub("…", message)[:_MOST_TEXT]
    return f"{name}: {said}" if said else name


def item_word(response: bytes) -> str:
    """The same of the first item of a PredictResponse that has failed."""
    try:
        results = prediction_pb2.PredictResponse.FromString(response).results
    except DecodeError:
        return MALFORMED
    for result in results:
        if result.WhichOneof("outcome") != "value":
            return status_word(result.status) if result.HasField("status") else MALFORMED
    return "INTERNAL: the answer has no results"


def status_word(status: prediction_pb2.Status) -> str:
    """The same of a status in the middle of an answer."""
    name = _NAMES.get(status.code, f"code {status.code}")
    said = status.reason or _NUMBER.sub("…", status.message)[:_MOST_TEXT]
    return f"{name}: {said}" if said else name


def reason_of(details: bytes) -> str:
    """The reason of the ErrorInfo in a serialized google.rpc.Status; "" without one.

    Most of an overload is errors: to parse them all with protobuf takes ten times as long.
    """
    at = details.find(_INFO) + len(_INFO)
    # An Any's value behind its type, and its length, which is two bytes from 128 on; ErrorInfo's first field.
    if at < len(_INFO) or details[at : at + 1] != b"\x12":
        return ""
    at += 2 if details[at + 1 : at + 2] < b"\x80" else 3
    if details[at : at + 1] != b"\x0a" or at + 1 >= len(details):
        return ""
    return details[at + 2 : at + 2 + details[at + 1]].decode(errors="replace")
