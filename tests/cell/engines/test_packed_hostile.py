"""Hostile bytes: refused, or scored with some answer, and never a crash."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.natives import NATIVES, X, artifacts

from cell.engines import ArtifactRefused
from cell.engines.native import Native
from croupier.artifacts.format import view

ROWS = np.concatenate(
    [X[:20], np.full((1, 6), np.nan), np.full((1, 6), np.inf), np.full((1, 6), -np.inf), np.full((1, 6), 1e9)]
).astype(np.float32)


def score_or_refuse(engine: str, section: bytes) -> None:
    try:
        native: Native = NATIVES[engine](section)
    except ArtifactRefused:
        return
    # A row as wide as the damaged header says.
    rows = np.resize(ROWS, (4, native.features))
    native.score_into(rows, np.empty((4, native.columns), np.float32), np.empty(4, np.int64))


def sections() -> list[tuple[str, bytes]]:
    found = [view(artifact) for artifact in artifacts().values()]
    return [(each.engine, bytes(each.section(each.engine))) for each in found]


@settings(max_examples=400)
@given(st.integers(0, 4), st.lists(st.integers(0, 2**20), min_size=1, max_size=4))
def test_flipped_bits(which: int, places: list[int]) -> None:
    engine, section = sections()[which]
    damaged = bytearray(section)
    for place in places:
        damaged[place // 8 % len(damaged)] ^= 1 << place % 8
    score_or_refuse(engine, bytes(damaged))


@settings(max_examples=400)
@given(
    st.integers(0, 4),
    st.integers(0, 2**20),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from(
        [0, 1, 7, 0x7F, 0x80, 0x7FFF, 0x8000, 0xFFFF, 0x7FC00000, 0x7FFFFFFF, 2**32 - 1, 2**64 - 1]
    ),
)
@example(0, 16, 4, 2**32 - 1)
def test_overwritten_fields(which: int, place: int, width: int, value: int) -> None:
    engine, section = sections()[which]
    damaged = bytearray(section)
    # As often in the header as anywhere else.
    place = place % (64 if place & 1 else len(damaged) - width)
    damaged[place : place + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")
    score_or_refuse(engine, bytes(damaged))


@pytest.mark.parametrize("which", range(5))
def test_truncated_sections(which: int) -> None:
    engine, section = sections()[which]
    for size in range(0, len(section), max(1, len(section) // 200)):
        with pytest.raises(ArtifactRefused):
            NATIVES[engine](section[:size])
    with pytest.raises(ArtifactRefused):
        NATIVES[engine](section + bytes(8))
