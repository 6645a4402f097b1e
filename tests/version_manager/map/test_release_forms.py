import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_manager.map import schema
from version_manager.map.keys import BadRecord, ReleaseKey
from version_manager.map.records import decode, encode
from version_manager.map.schema import schema_of
from version_manager.model.release import Range, Release, Split

KEY = ReleaseKey("acme", "churn")
PLAIN = Release(3, (Split(1, 9_000), Split(2, 1_000)), {"stable": 1})


def test_a_release_that_says_no_more_is_written_as_ever() -> None:
    assert encode(PLAIN) == (
        b'{"number":3,"splits":[{"version":1,"basis_points":9000},{"version":2,"basis_points":1000}],'
        b'"labels":{"stable":1}}'
    )


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)


@given(
    st.sampled_from(["", "autumn"]), words, words, st.floats(0, 1e10), st.integers(0, 2**40), st.booleans()
)
def test_what_it_says_is_read_again(
    salt: str, author: str, reason: str, at: float, restores: int, has_ranges: bool
) -> None:
    ranges = (Range(1_000, 2), Range(10_000, 1)) if has_ranges else ()
    release = Release(3, PLAIN.splits, PLAIN.labels, salt, ranges, author, reason, at, restores)
    written = encode(release)
    assert decode(KEY, written) == release
    assert schema_of(written) == (schema.FIRST if release == PLAIN else 7)


@pytest.mark.parametrize(
    "more",
    [
        b'"salt":"' + b"x" * 33 + b'"',
        b'"ranges":[{"end":0,"version":1}]',
        b'"ranges":[{"end":10001,"version":1}]',
        b'"ranges":[' + b",".join(b'{"end":%d,"version":1}' % n for n in range(1, 66)) + b"]",
        b'"at":-1',
        b'"restores":-1',
    ],
)
def test_what_it_may_not_say_is_refused(more: bytes) -> None:
    with pytest.raises(BadRecord):
        decode(KEY, b'{"schema":7,"number":1,"splits":[{"version":1,"basis_points":10000}],' + more + b"}")


def test_a_label_that_is_no_name_is_refused() -> None:
    with pytest.raises(BadRecord):
        decode(KEY, b'{"number":1,"splits":[],"labels":{"a/b":1}}')
