"""What the C library counts is what native code keeps."""

import ctypes
import os

import numpy as np
import pytest

from cell.engines import heap


def used() -> int:
    """There is a count wherever a cell runs that has to know what a session takes: glibc from 2.33 on."""
    found = heap.heap_bytes()
    assert found is not None
    return found


@pytest.mark.parametrize(("count", "size"), [(1_000, 5_000), (5, 40_000_000)])
def test_the_count_follows_what_is_kept_and_given_back(count: int, size: int) -> None:
    """Small ones lie in the heap, and large ones are mapped on their own."""
    if "libasan" in os.environ.get("LD_PRELOAD", ""):
        assert heap.heap_bytes() is None
        return
    before = used()
    kept = [np.empty(size, np.uint8) for _ in range(count)]
    most = used()
    del kept
    after = used()
    assert most - before == pytest.approx(count * size, rel=0.05)
    assert most - after == pytest.approx(count * size, rel=0.05)


def test_an_allocator_in_its_place_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_mallinfo", heap._MallInfo)
    assert heap.heap_bytes() is None


def test_nobody_counts_where_the_library_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def __init__(self, name: None) -> None:
            pass

    monkeypatch.setattr(ctypes, "CDLL", Other)
    assert heap._find_mallinfo() is None
    monkeypatch.setattr(heap, "_mallinfo", None)
    assert heap.heap_bytes() is None
