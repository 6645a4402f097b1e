import numpy as np
import pytest

from bench.planted import FRESH_SECONDS, STALE_SECONDS, Held, Planted
from croupierctl import family_file
from protos.prediction.v1 import prediction_pb2 as pb

REQUEST, STORE = pb.Origin.REQUEST, pb.Origin.STORE
MISSING, STALE, DOWN = pb.Origin.DEFAULT_MISSING, pb.Origin.DEFAULT_STALE, pb.Origin.DEFAULT_DOWN
SOURCES = np.array([[REQUEST, STORE, MISSING], [REQUEST, STALE, STALE], [REQUEST, MISSING, MISSING]])
VALUES = np.arange(9.0).reshape(3, 3)
SMALL = Planted(("a", "b", "c"), ("", "g", "g"), VALUES, SOURCES, -1.0)


def test_the_store_has_what_is_not_missing_and_what_is_stale_is_old() -> None:
    assert list(SMALL.held()) == [
        Held("g", 0, {"b": 1.0}, FRESH_SECONDS),
        Held("g", 1, {"b": 4.0, "c": 5.0}, STALE_SECONDS),
    ]


def test_a_row_is_what_the_reply_says_and_nothing_where_that_cannot_be() -> None:
    used = [SMALL.used(entity, SOURCES[entity]).tolist() for entity in range(3)]
    assert used == [[0.0, 1.0, -1.0], [3.0, -1.0, -1.0], [6.0, -1.0, -1.0]]
    # The reply of another entity, and one that says nothing of a feature.
    np.testing.assert_array_equal(SMALL.used(0, np.array([REQUEST, STORE, STORE])), [0.0, 1.0, np.nan])
    np.testing.assert_array_equal(SMALL.used(1, SMALL.said({"a": REQUEST, "c": STORE})), [3.0, np.nan, 5.0])


def test_a_reply_says_what_was_planted_or_that_the_store_was_down() -> None:
    assert [SMALL.is_as_planted(entity, SOURCES[entity]) for entity in range(3)] == [True] * 3
    assert SMALL.is_as_planted(0, np.array([REQUEST, DOWN, DOWN]))
    assert not SMALL.is_as_planted(0, np.array([DOWN, STORE, MISSING]))
    assert not SMALL.is_as_planted(0, np.array([REQUEST, STORE, STALE]))
    assert not SMALL.is_as_planted(0, SMALL.said({"a": REQUEST, "b": STORE}))


@pytest.mark.parametrize(("missing", "stale"), [(0.0, 0.0), (0.1, 0.0), (0.04, 0.2)])
def test_shares_of_what_is_stored_are_missing_and_stale(missing: float, stale: float) -> None:
    values, random = np.zeros((4000, 4)), np.random.default_rng(1)
    groups = ("", "g", "g", "h")
    drawn = Planted.draw("abcd", groups, values, random, default=0.0, missing=missing, stale=stale)
    assert (drawn.sources[:, 0] == REQUEST).all()
    stored = drawn.sources[:, 1:]
    assert (stored == MISSING).mean() == pytest.approx(missing, rel=0.2)
    assert (stored == STALE).mean() == pytest.approx(stale * (1 - missing), rel=0.2)
    # A group is stale as a whole, and often missing so.
    both = (stored[:, :2] == MISSING).all(axis=1).mean()
    assert both == pytest.approx(missing / 2, abs=0.01)


def test_the_family_asks_for_the_stored_ones_by_their_groups() -> None:
    family = SMALL.family("churn")
    assert [(one.source, one.group, one.default) for one in family.features] == [
        ("request", "", None),
        ("store", "g", -1.0),
        ("store", "g", -1.0),
    ]
    assert FRESH_SECONDS < (family.features[1].max_age or 0) < STALE_SECONDS
    assert family_file.parse(family_file.to_yaml(family).encode()).features == family.features
