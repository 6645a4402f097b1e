"""One Predict call, retries and all, without its I/O.

`predict` is a generator that says what to do next, `Send` or `Wait`, and is told what came of it;
the asyncio and the blocking client each have a loop of a few lines that does as told. So there is
one copy of the logic, and its tests need neither a server nor a clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Optional, Union

from croupier_client.deadline import Deadline
from croupier_client.decode import Outcome, decode_all
from croupier_client.encode import Item, Shared, encode, encode_shared
from croupier_client.errors import CroupierError, Unavailable
from croupier_client.messages import prediction as pb
from croupier_client.retry import RetryPolicy


@dataclass(frozen=True)
class Send:
    """Make the call; answer with its response or error. `timeout` in seconds, None for none."""

    request: pb.PredictRequest
    timeout: float | None


@dataclass(frozen=True)
class Wait:
    """Let `seconds` pass; answer with None."""

    seconds: float


@dataclass(frozen=True)
class Reply:
    """What came back. `debug`: the tokens that came with it, if they were asked for."""

    response: pb.PredictResponse
    debug: str = ""


Answer = Union[Reply, CroupierError, None]
Steps = Generator[Union[Send, Wait], Answer, list[Outcome]]


def predict(
    items: Sequence[Item],
    *,
    policy: RetryPolicy,
    deadline: Deadline,
    clock: Callable[[], float],
    rng: random.Random,
    shared: Optional[Shared] = None,
) -> Steps:
    """The outcomes of `items`, in their order; only those that are unavailable are sent again.

    Raises:
        DeadlineExceeded: the deadline had passed before anything was sent.
        InvalidRequest: what the items share cannot be sent.
        CroupierError: the call failed as a whole.
    """
    common = None if shared is None else encode_shared(shared)
    outcomes, pending = _encode_all(items)
    failures = 0
    if pending:
        deadline.check(clock())
    while pending:
        now = clock()
        answer = yield Send(pb.PredictRequest(items=pending.values(), shared=common), deadline.timeout(now))
        # `_outcomes` sees to it that there is one for each.
        outcomes.update(zip(pending, _outcomes(answer, len(pending))))
        failures += 1
        again = {index: item for index, item in pending.items() if isinstance(outcomes[index], Unavailable)}
        wait = policy.wait([outcomes[index] for index in again], failures, deadline, clock(), rng)
        if wait is None:
            _raise_if_all(outcomes, answer)
            break
        yield Wait(wait)
        if clock() >= deadline.at:
            # The wait took longer than it should have; what was answered before it still counts.
            _raise_if_all(outcomes, answer)
            break
        pending = again
    return [outcomes[index] for index in range(len(items))]


def _encode_all(items: Sequence[Item]) -> tuple[dict[int, Outcome], dict[int, pb.Item]]:
    """An item that cannot be sent is an outcome already; the others are pending."""
    outcomes: dict[int, Outcome] = {}
    pending: dict[int, pb.Item] = {}
    for index, item in enumerate(items):
        try:
            pending[index] = encode(item)
        except CroupierError as error:
            outcomes[index] = error
    return outcomes, pending


def _outcomes(answer: Answer, count: int) -> list[Outcome]:
    assert answer is not None, "the answer to Send is a response or an error"
    if isinstance(answer, CroupierError):
        return [answer] * count
    return decode_all(answer.response, count, answer.debug)


def _raise_if_all(outcomes: dict[int, Outcome], answer: Answer) -> None:
    if isinstance(answer, CroupierError) and all(outcome is answer for outcome in outcomes.values()):
        raise answer
