"""How a store does: what is being read, and how reading ended lately."""

from cell.loading.storereads import Reading, StoreReads


def test_a_store_that_nobody_reads_is_not_slow() -> None:
    assert StoreReads().told(100.0) == Reading(0, 0, "", 0.0, 0.0, 0, 0.0)


def test_what_is_read_now_is_as_old_as_the_first_of_it() -> None:
    reads = StoreReads()
    for name, now in (("a", 100.0), ("b", 101.0), ("c", 102.0)):
        reads.begin(name, now)
    assert (reads.told(103.0).under_way, reads.told(103.0).oldest_seconds) == (3, 3.0)
    reads.end("a", 103.0)
    reads.forget("b")
    assert (reads.told(104.0).under_way, reads.told(104.0).oldest_seconds) == (1, 2.0)


def test_how_it_ended_is_known_for_some_seconds() -> None:
    reads = StoreReads()
    for name, seconds in (("a", 0.5), ("b", 1.5)):
        reads.begin(name, 100.0)
        reads.end(name, 100.0 + seconds)
    for name in "cde":
        reads.begin(name, 101.0)
    reads.end("c", 102.0, "NOT_FOUND")
    reads.end("d", 103.0, "STORE_TIMEOUT")
    # Nobody waited for it any more, and what was never begun has no end.
    reads.forget("e")
    reads.end("e", 103.0, "UNAVAILABLE")
    reads.end("f", 103.0)
    assert reads.told(104.0) == Reading(2, 2, "STORE_TIMEOUT", 1.0, 1.5, 0, 0.0)
    assert reads.told(120.0) == Reading(0, 0, "", 0.0, 0.0, 0, 0.0)
