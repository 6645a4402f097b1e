"""Limits check themselves, so that a session never meets one that it cannot keep."""

import math

import pytest

from croupier.transport.http2.limits import Limits


def test_the_defaults_hold() -> None:
    limits = Limits()
    assert limits.max_message_bytes == 16 * 2**20
    assert limits.max_age_seconds == math.inf


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_message_bytes": 0},
        {"max_header_bytes": 0},
        {"max_concurrent_streams": 0},
        {"max_connections": 0},
        {"first_window": 2**16 - 1},
        {"stream_window": 2**16 - 1},
        {"connection_window": 2**31},
        {"floor_bytes": 2**30},
    ],
)
def test_what_cannot_be_kept_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)  # type: ignore[arg-type]
