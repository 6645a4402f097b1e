"""Two joined sessions, unless a test has its own."""

from collections.abc import Iterator

import pytest
from support.pair import NARROW, Pair


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Whatever a test does, nothing is left in the end."""
    pair = Pair(NARROW)
    yield pair
    pair.check_nothing_left()
