"""A stream of items under way, without its I/O.

The window knows every request that has no answer yet. So it bounds what is in flight, and a
connection that breaks costs no more than sending those again on the next one.
"""

from __future__ import annotations

import random

from croupier_client.deadline import Deadline
from croupier_client.decode import Outcome, decode_all
from croupier_client.encode import Item, encode
from croupier_client.errors import CroupierError, InternalError, InvalidRequest
from croupier_client.messages import prediction as pb
from croupier_client.retry import RetryPolicy
from croupier_client.status import from_item


class Window:
    """At most `limit` items in flight; ids count from 0 in the order of `offer`.

    Raises:
        InvalidRequest: `limit` is below 1.
    """

    def __init__(self, limit: int, *, policy: RetryPolicy, deadline: Deadline, rng: random.Random) -> None:
        if limit < 1:
            raise InvalidRequest("in_flight is below 1", field="in_flight")
        self._limit = limit
        self._policy = policy
        self._rng = rng
        self._next_id = 0
        self._unanswered: dict[int, pb.PredictStreamRequest] = {}
        # Connections that broke since the last answer.
        self._failures = 0
        self.deadline = deadline

    def __len__(self) -> int:
        return len(self._unanswered)

    @property
    def has_room(self) -> bool:
        return len(self._unanswered) < self._limit

    def offer(self, item: Item) -> tuple[int, pb.PredictStreamRequest | CroupierError]:
        """The item's id, and the request to send or why there is none."""
        id_ = self._next_id
        self._next_id += 1
        try:
            message = encode(item)
        except CroupierError as error:
            return id_, error
        request = pb.PredictStreamRequest(id=id_, request=pb.PredictRequest(items=[message]))
        self._unanswered[id_] = request
        return id_, request

    def unanswered(self) -> list[pb.PredictStreamRequest]:
        """What a new connection has to send first."""
        return list(self._unanswered.values())

    def accept(self, response: pb.PredictStreamResponse) -> tuple[int, Outcome] | None:
        """An item's id and outcome; None if it was answered before or never asked."""
        if self._unanswered.pop(response.id, None) is None:
            return None
        self._failures = 0
        return response.id, _outcome(response)

    def broken(self, error: CroupierError, now: float) -> float:
        """Seconds to wait before the next connection, after `error` ended the last one.

        Raises:
            CroupierError: `error`, when there is to be no other.
        """
        self._failures += 1
        wait = self._policy.wait([error], self._failures, self.deadline, now, self._rng)
        if wait is None:
            raise error
        return wait


def _outcome(response: pb.PredictStreamResponse) -> Outcome:
    kind = response.WhichOneof("outcome")
    if kind == "status":
        return from_item(response.status)
    if kind != "response":
        return InternalError("the server sent an answer without an outcome that this release knows")
    try:
        return decode_all(response.response, 1)[0]
    except InternalError as error:
        return error
