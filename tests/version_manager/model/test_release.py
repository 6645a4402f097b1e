from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import InvalidRequest
from version_manager.model.release import (
    WHOLE,
    InvalidRelease,
    Model,
    Range,
    Release,
    Split,
    UnknownVersion,
    Version,
    check_release,
    split_point,
)

VERSIONS = {number: Version(number, bytes([number]) * 32, 10, "onnx") for number in (1, 2, 3)}
GOLDEN = [3793, 3217, 1743]
RELEASE = Release(4, (Split(1, 9_000), Split(2, 1_000)), {"canary": 3})
MODEL = Model("acme", "churn", VERSIONS, RELEASE)


def test_a_release_knows_every_version_that_it_names():
    assert RELEASE.versions() == {1, 2, 3}


@pytest.mark.parametrize(("point", "version"), [(0, 1), (8_999, 1), (9_000, 2), (9_999, 2)])
def test_the_splits_share_the_points(point, version):
    assert RELEASE.choose(point) == version


@given(st.lists(st.integers(1, 100), min_size=1, max_size=20))
def test_each_split_gets_exactly_its_share_of_all_points(shares):
    splits = [Split(number, share) for number, share in enumerate(shares, 1)]
    splits.append(Split(len(splits) + 1, WHOLE - sum(shares)))
    release = Release(1, tuple(splits))
    chosen = [release.choose(point) for point in range(WHOLE)]
    assert [chosen.count(split.version) for split in splits] == [split.basis_points for split in splits]


def test_select_takes_a_version_a_label_or_the_split():
    assert MODEL.select(version=2).number == 2
    assert MODEL.select(label="canary").number == 3
    assert MODEL.select(point=9_500).number == 2


@pytest.mark.parametrize("asked", [{"version": 9}, {"label": "beta"}])
def test_select_refuses_what_the_model_does_not_have(asked):
    with pytest.raises(UnknownVersion):
        MODEL.select(**asked)


def test_select_refuses_a_version_and_a_label_together():
    with pytest.raises(InvalidRequest) as refused:
        MODEL.select(version=1, label="canary")
    assert refused.value.field == "label"


def test_a_model_without_a_release_serves_exact_versions_only():
    model = replace(MODEL, release=None)
    assert model.select(version=1).number == 1
    with pytest.raises(UnknownVersion):
        model.select()
    with pytest.raises(UnknownVersion):
        model.select(label="canary")


def test_a_key_keeps_its_point_and_keys_spread_evenly():
    points = [split_point("acme", "churn", f"user-{number}") for number in range(20_000)]
    assert points[7] == split_point("acme", "churn", "user-7")
    assert all(0 <= point < WHOLE for point in points)
    tenth = sum(point < WHOLE // 10 for point in points)
    # A binomial of 20,000 and 0.1: 2,000 ± 5 σ, σ = 42.4.
    assert abs(tenth - 2_000) < 212


def test_a_sound_release_passes():
    assert check_release(RELEASE, VERSIONS) is RELEASE


@pytest.mark.parametrize(
    "release",
    [
        Release(1, ()),
        Release(1, (Split(1, 9_999),)),
        Release(1, (Split(1, 10_001),)),
        Release(1, (Split(1, 5_000), Split(1, 5_000))),
        Release(1, (Split(1, 10_000), Split(2, 0))),
        Release(1, (Split(1, 20_000), Split(2, -10_000))),
        Release(1, (Split(9, 10_000),)),
        Release(1, (Split(1, 10_000),), {"canary": 9}),
    ],
)
def test_a_release_that_cannot_be_served_is_refused(release):
    with pytest.raises(InvalidRelease):
        check_release(release, VERSIONS)


def test_an_empty_salt_is_the_hash_that_was_before_there_were_salts():
    # Written down when there were none: keys stay where they are.
    keys = [split_point("acme", "churn", key) for key in ("", "user-7", "ü")]
    assert keys == [split_point("acme", "churn", key, "") for key in ("", "user-7", "ü")] == GOLDEN


def test_a_salt_deals_keys_anew_and_evenly():
    both = [
        (split_point("acme", "churn", f"user-{n}", "a"), split_point("acme", "churn", f"user-{n}", "b"))
        for n in range(20_000)
    ]
    # Binomials of 20,000 and 0.25: 5,000 ± 5 σ, σ = 61.
    assert abs(sum(a < 5_000 and b < 5_000 for a, b in both) - 5_000) < 306


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"salt": "with space"}, "salt"),
        ({"salt": "x" * 33}, "salt"),
        ({"ranges": (Range(9_000, 1),)}, "ranges"),
        ({"ranges": (Range(9_000, 1), Range(9_000, 2), Range(10_000, 2))}, "ranges"),
        ({"ranges": (Range(9_500, 1), Range(10_000, 2))}, "ranges"),
        ({"ranges": (Range(9_000, 1), Range(10_000, 3))}, "ranges"),
        ({"ranges": tuple(Range(n, 1) for n in range(1, 66))}, "ranges"),
    ],
)
def test_ranges_that_say_something_else_and_odd_salts_are_refused(changed, field):
    with pytest.raises(InvalidRelease) as refused:
        check_release(replace(RELEASE, **changed), VERSIONS)
    assert refused.value.field == field


def test_ranges_come_before_the_order_of_splits():
    ranges = (Range(500, 2), Range(9_500, 1), Range(10_000, 2))
    release = check_release(replace(RELEASE, ranges=ranges), VERSIONS)
    assert [release.choose(point) for point in (0, 499, 500, 9_499, 9_500)] == [2, 2, 1, 1, 2]
    assert replace(release, author="ann", reason="why", at=1.0, restores=3).bare() == release
