from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_manager.model.ranges import following, keep
from version_manager.model.release import (
    MAX_RANGES,
    WHOLE,
    InvalidRelease,
    Range,
    Release,
    Split,
    Version,
    check_release,
    shares,
)

VERSIONS = {number: Version(number, bytes([number]) * 32, 10, "onnx") for number in range(1, 9)}


@st.composite
def splits(draw):
    """Of some versions in some order, all traffic."""
    numbers = draw(st.lists(st.sampled_from(sorted(VERSIONS)), min_size=1, max_size=5, unique=True))
    cuts = draw(
        st.lists(st.integers(1, WHOLE - 1), min_size=len(numbers) - 1, max_size=len(numbers) - 1, unique=True)
    )
    ends = [0, *sorted(cuts), WHOLE]
    return tuple(Split(n, b - a) for n, a, b in zip(numbers, *zip(*pairwise(ends), strict=True), strict=True))


def dealt(release):
    """The version of every point."""
    found, begin = [], 0
    for one in release.spans():
        found += [one.version] * (one.end - begin)
        begin = one.end
    return found


def test_what_shrinks_gives_its_upper_points_to_what_grows():
    before = Release(1, (Split(1, 7_000), Split(2, 1_500), Split(3, 1_500)))
    wanted = Release(2, (Split(1, 4_000), Split(2, 1_500), Split(3, 4_500)))
    assert following(before, wanted).ranges == (
        Range(4_000, 1),
        Range(7_000, 3),
        Range(8_500, 2),
        Range(10_000, 3),
    )


def test_between_two_versions_splits_say_it_all_whatever_their_order():
    before = Release(1, (Split(1, 9_000), Split(2, 1_000)))
    for wanted in ((Split(1, 5_000), Split(2, 5_000)), (Split(2, 5_000), Split(1, 5_000))):
        made = following(before, Release(2, wanted))
        assert (made.splits, made.ranges) == ((Split(1, 5_000), Split(2, 5_000)), ())


@given(st.lists(splits(), min_size=2, max_size=8))
def test_keys_leave_only_what_shrinks_and_come_only_to_what_grows(changes):
    release = Release(1, changes[0])
    for number, wanted in enumerate(changes[1:], 2):
        before, after = shares(release.spans()), {one.version: one.basis_points for one in wanted}
        try:
            made = following(release, Release(number, wanted))
        except InvalidRelease:
            return
        check_release(made, VERSIONS)
        moved = 0
        for old, new in zip(dealt(release), dealt(made), strict=True):
            if old != new:
                moved += 1
                assert after.get(old, 0) < before[old]
                assert after[new] > before.get(new, 0)
        # And no more of them than have to.
        assert moved == sum(max(0, points - after.get(one, 0)) for one, points in before.items())
        assert shares(made.spans()) == after
        release = made


@given(splits(), splits())
def test_every_point_is_somebodys(before, after):
    ranges = keep(Release(1, before).spans(), after)
    assert ranges[-1].end == WHOLE
    assert all(a.end < b.end and a.version != b.version for a, b in pairwise(ranges))


def test_another_salt_deals_anew():
    before = Release(1, (Split(1, 7_000), Split(2, 1_500), Split(3, 1_500)))
    wanted = Release(2, (Split(1, 4_000), Split(2, 1_500), Split(3, 4_500)), salt="autumn")
    assert following(before, wanted) is wanted
    assert following(None, wanted) is wanted


def test_shares_that_stay_keep_their_ranges():
    before = Release(1, (Split(1, 7_000), Split(2, 1_500), Split(3, 1_500)))
    moved = following(before, Release(2, (Split(1, 4_000), Split(2, 1_500), Split(3, 4_500))))
    labelled = following(moved, Release(3, moved.splits, {"canary": 2}))
    assert labelled == replace(moved, number=3, labels={"canary": 2})


def test_too_many_ranges_are_refused_and_a_salt_helps():
    step = WHOLE // (MAX_RANGES - 2)
    ends = range(step, WHOLE, step)
    ranges = [Range(end, 1 + number % 2) for number, end in enumerate(ends)]
    ranges[-1] = Range(WHOLE, ranges[-1].version)
    held = shares(ranges)
    before = Release(1, tuple(Split(n, points) for n, points in sorted(held.items())), {}, "", tuple(ranges))
    check_release(before, VERSIONS)
    wanted = Release(2, (Split(1, held[1] - 7), Split(2, held[2] - 5), Split(3, 12)))
    made = following(before, wanted)
    assert len(made.ranges) == MAX_RANGES
    wanted = Release(3, (Split(1, held[1] - 9), Split(2, held[2] - 7), Split(3, 12), Split(4, 4)))
    with pytest.raises(InvalidRelease, match="a new salt") as refused:
        following(made, wanted)
    assert refused.value.field == "splits"
    assert following(made, replace(wanted, salt="autumn")).ranges == ()
