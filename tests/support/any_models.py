"""Any models, for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from croupier.artifacts.comparison import Comparison
from version_manager.model.release import Model, Range, Release, Split, Version

NUMBERS = st.integers(0, 2**64 - 1) | st.integers(0, 300)
REALS = st.floats(allow_nan=False)
TEXTS = st.text(max_size=200)
CHECKED = st.builds(
    Comparison,
    st.sampled_from(["", "xgboost", "é" * 64]),
    st.sampled_from(["", "3.2.0"]),
    st.integers(0, 2**53),
    st.integers(0, 2**53),
    st.floats(0, 1e300),
)
VERSIONS = st.builds(Version, NUMBERS, st.binary(max_size=40), NUMBERS, TEXTS, REALS, st.none() | CHECKED)
RELEASES = st.builds(
    Release,
    NUMBERS,
    st.lists(st.builds(Split, NUMBERS, st.integers(0, 2**32 - 1)), max_size=5).map(tuple),
    st.dictionaries(TEXTS, NUMBERS, max_size=4),
    TEXTS,
    st.lists(st.builds(Range, st.integers(0, 2**32 - 1), NUMBERS), max_size=5).map(tuple),
    TEXTS,
    TEXTS,
    REALS,
    NUMBERS,
)
MODELS = st.builds(
    Model,
    TEXTS,
    TEXTS,
    st.lists(VERSIONS, max_size=4).map(lambda found: {one.number: one for one in found}),
    st.none() | RELEASES,
)
