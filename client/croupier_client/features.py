"""Writing features into the store that a router reads, without the I/O.

    client.write_features([FeatureRecord("profile", "user-7", {"age": 31, "plan": "basic"})])

Records go in batches, each a call of its own, so that one that was not kept is sent again as it was: that
changes nothing of what was kept. `write` says what to send and when, as `steps.predict` does.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

from croupier_client.deadline import Deadline
from croupier_client.encode import InvalidFeatures
from croupier_client.errors import CroupierError
from croupier_client.messages import features as pb
from croupier_client.retry import RetryPolicy
from croupier_client.steps import Wait

# A router takes no more, and no more bytes than twice this.
_MOST_RECORDS = 500
_MOST_BYTES = 512 * 1024


@dataclass(frozen=True)
class FeatureRecord:
    """All features of an entity in a group; it replaces those that were written of it before.

    `features`: numbers and texts by name; None and NaN are missing. `event_time`: when they held, in seconds
    since 1970; None: now. `keep_seconds`: forgotten after so long; None: kept.
    """

    group: str
    entity_id: str
    features: Mapping[str, Any]
    event_time: Optional[float] = None
    keep_seconds: Optional[float] = None


@dataclass(frozen=True)
class Rejected:
    """A record that was not kept, and never will be as it is. `index`: its place among the records."""

    index: int
    message: str
    reason: str


@dataclass(frozen=True)
class Written:
    """How many records were kept, and how many not; of these the first of each batch are named."""

    written: int
    rejected: int
    first_rejected: tuple[Rejected, ...]


@dataclass(frozen=True)
class SendRecords:
    """Make the call; answer with its response or error. `timeout` in seconds, None for none."""

    request: pb.WriteRequest
    timeout: Optional[float]


Answer = Union[pb.WriteResponse, CroupierError, None]
Steps = Generator[Union[SendRecords, Wait], Answer, Written]


def write(
    records: Iterable[FeatureRecord],
    *,
    policy: RetryPolicy,
    deadline: Deadline,
    clock: Callable[[], float],
    rng: random.Random,
) -> Steps:
    """What became of `records`; a batch that is unavailable is sent again.

    Raises:
        CroupierError: a batch was not kept, as far as is known. Those before it were.
    """
    written, rejected = 0, 0
    named: list[Rejected] = []
    for places, request, refused in _batches(records):
        rejected += len(refused)
        named += refused
        failures = 0
        while request.records:
            deadline.check(clock())
            answer = yield SendRecords(request, deadline.timeout(clock()))
            assert answer is not None, "the answer to SendRecords is a response or an error"
            if not isinstance(answer, CroupierError):
                written += answer.written
                rejected += answer.rejected
                named += [
                    Rejected(places[one.index], one.message, one.reason) for one in answer.first_rejected
                ]
                break
            failures += 1
            wait = policy.wait([answer], failures, deadline, clock(), rng)
            if wait is None:
                raise answer
            yield Wait(wait)
    return Written(written, rejected, tuple(named))


def _batches(
    records: Iterable[FeatureRecord],
) -> Iterator[tuple[list[int], pb.WriteRequest, list[Rejected]]]:
    """Requests, which place each of their records has, and those that no request can carry."""
    places: list[int] = []
    request, refused, size = pb.WriteRequest(), [], 0
    for index, record in enumerate(records):
        try:
            message = _encode(record)
        except InvalidFeatures as error:
            refused.append(Rejected(index, str(error), error.reason))
            continue
        length = message.ByteSize()
        if places and (len(places) == _MOST_RECORDS or size + length > _MOST_BYTES):
            yield places, request, refused
            places, request, refused, size = [], pb.WriteRequest(), [], 0
        places.append(index)
        request.records.append(message)
        size += length
    yield places, request, refused


def _encode(record: FeatureRecord) -> pb.Record:
    try:
        message = pb.Record(
            group=record.group, entity_id=record.entity_id, keep_seconds=record.keep_seconds or 0.0
        )
        if record.event_time is not None:
            message.event_ms = round(record.event_time * 1000)
        for name, value in record.features.items():
            if isinstance(value, str):
                message.values.add(name=name, text=value)
            elif value is not None and not math.isnan(number := float(value)):
                message.values.add(name=name, number=number)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise InvalidFeatures(f"a record cannot be sent: {error}", field="features") from error
    return message
