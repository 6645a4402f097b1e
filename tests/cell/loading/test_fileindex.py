from hypothesis import given
from hypothesis import strategies as st
from support.cells import digest

from cell.loading.fileindex import FileIndex, Found

A, B, C = map(digest, "abc")


def filled(bound: int, *sizes: int) -> FileIndex:
    index = FileIndex(bound)
    for key, size in zip((A, B, C), sizes, strict=False):
        index.add(key, size)
    return index


def test_the_least_recently_used_goes_until_the_bound_holds() -> None:
    index = filled(50, 30, 20, 20)
    assert index.touch(A)
    assert index.shrink() == [B]
    assert list(index) == [C, A]
    assert index.used == 50


def test_what_is_larger_than_the_bound_goes_itself() -> None:
    index = filled(10, 30)
    assert index.shrink() == [A]
    assert (len(index), index.used) == (0, 0)


def test_touching_what_is_not_here() -> None:
    assert not filled(10, 5).touch(B)


def test_adding_again_counts_the_new_size_only() -> None:
    index = filled(100, 30, 20)
    index.add(A, 10)
    assert list(index) == [B, A]
    assert index.used == 30


def test_what_is_newer_stands_behind_in_its_order() -> None:
    index = filled(100, 1, 2, 3)
    newer = FileIndex(100)
    newer.add(B, 20)
    newer.add(A, 10)
    index.take_over(newer)
    assert list(index) == [C, B, A]
    assert index.used == 33


def test_what_a_scan_found_is_ordered_by_its_times() -> None:
    found = Found()
    for key, size, modified in ((A, 1, 2**60), (B, 2, 5), (C, 3, 7)):
        found.add(key, size, modified)
    index = FileIndex(100)
    found.move(found.order(), index)
    assert list(index) == [B, C, A]
    assert index.used == 6


def test_a_scan_that_found_nothing() -> None:
    assert len(Found().order()) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60)), max_size=30))
def test_the_index_keeps_its_bound_and_its_sum(adds: list[tuple[int, int]]) -> None:
    index = FileIndex(50)
    sizes: dict[bytes, int] = {}
    for number, size in adds:
        name = digest(str(number))
        sizes[name] = size
        index.add(name, size)
        for victim in index.shrink():
            del sizes[victim]
        assert sorted(index) == sorted(sizes)
        assert index.used == sum(sizes.values()) <= 50
