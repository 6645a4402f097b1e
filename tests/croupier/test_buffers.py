"""Buffers are proved to be filled; `make debug` tests that of the build in which nobody runs, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fuzz import messages_seeds as seeds
from fuzz.messages import check_that_poison_is_seen
from fuzz.messages_cell import Resident

from croupier import buffers
from croupier.errors import InternalError
from croupier.fields import join_first
from router.units import Unit, join_answers, join_payloads

# What the debug build takes for rows that nobody wrote: a float32 all the same.
POISON = np.array([0x7FA5A5A5], np.uint32).view(np.float32)


def test_poison_is_an_ordinary_nan_but_in_a_debug_build_which_scores_none() -> None:
    # Such a build lies in build/debug/lib or build/address/lib, where nobody serves from.
    is_debug = Path(buffers.__file__).parts[-5] == "build"
    assert buffers.is_debug() == is_debug
    if is_debug:
        check_that_poison_is_seen()
        return
    (model,) = (each for each in seeds.models() if each.name == "one")
    scorer = Resident([model]).find(model.digest, 0.0)
    scores = np.zeros(1, np.float32)
    scorer.score_into(POISON, scores)  # type: ignore[union-attr]
    assert np.isnan(scores).all()
    with pytest.raises(AssertionError, match="poison was scored"):
        check_that_poison_is_seen()


def test_an_unfilled_buffer_is_our_fault() -> None:
    assert issubclass(buffers.Unfilled, InternalError)
    assert buffers.Unfilled.reason == "UNFILLED_BUFFER"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 100_000])
def test_joined_messages_are_filled_to_their_ends(size: int) -> None:
    part = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    units = [Unit(part, ("a",), outcome) for outcome in (b"", part)]
    assert [unit.payload for unit in units] == [part, part]
    assert join_answers(units) == join_first([b"", part])
    assert join_payloads(units) == join_first([part, part])
