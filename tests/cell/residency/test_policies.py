"""Each policy through the residency that asks it: sequences worked out by hand, and a plain model of each."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cells import digest
from support.reference.policies import Naive, NaiveLru, NaiveS3Fifo
from support.residency import Cell, resident

from cell.residency.policies import POLICIES, Lru, S3Fifo
from cell.residency.residency import ModelTooLarge, Residency

NAIVE: dict[str, Callable[[int], Naive]] = {
    "lru": NaiveLru,
    "s3-fifo": NaiveS3Fifo,
}


def test_every_policy_has_a_name() -> None:
    assert list(POLICIES) == ["lru", "s3-fifo"]
    assert [make().__class__ for make in POLICIES.values()] == [Lru, S3Fifo]


def test_lru_by_hand() -> None:
    cell = Cell(Lru())
    cell.ask_all("abcde")
    cell.ask_all("ab")
    assert cell.would_go(5) == "cdeab"
    cell.ask_all("fe")
    assert cell.would_go(5) == "dabfe"


def test_s3_fifo_by_hand() -> None:
    cell = Cell(S3Fifo(), 10)
    cell.ask_all("abcdefghij")
    cell.ask("a")
    # The small queue may have one: a was used and goes over, b goes.
    cell.ask("k")
    assert cell.resident == "acdefghijk"
    # Its ghost lets b in to the main queue, for which c goes.
    cell.ask("b")
    assert cell.resident == "abdefghijk"
    # All new ones down to the last go before anybody of the main queue; j and k are the newest.
    assert cell.would_go(9) == "defghijab"


def test_s3_fifo_starts_again_for_each_use_in_the_main_queue() -> None:
    cell = Cell(S3Fifo(), 10)
    cell.ask_all("abcdefghij")
    cell.ask_all("ab")
    cell.ask("k")
    # a and b are in the main queue, unused there; c went. Now a is used, so b is the first to go.
    cell.ask("a")
    assert cell.would_go(10) == "defghijbak"


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=150)
@given(data=st.data())
def test_a_policy_keeps_the_same_models_as_a_plain_model_of_it(name: str, data: st.DataObject) -> None:
    capacity = data.draw(st.integers(10, 150))
    sizes = data.draw(st.lists(st.integers(10, 70), min_size=12, max_size=12))
    keys = [digest(str(number)) for number in range(12)]
    naive, residency = NAIVE[name](capacity), Residency[int](capacity, POLICIES[name]())
    for number in data.draw(st.lists(st.integers(0, 11), max_size=120)):
        key, size = keys[number], sizes[number]
        is_hit = residency.find(key, 0.0) is not None
        assert naive.ask(key, size) == is_hit
        if not is_hit:
            try:
                residency.reserve(key, residency.plan(size))
            except ModelTooLarge:
                continue
            residency.admit(key, number, size, 0.0)[0].release()
        assert set(resident(residency)) == set(naive.sizes)
        assert residency.used == sum(naive.sizes.values()) <= capacity


@pytest.mark.parametrize("name", POLICIES)
def test_a_plan_that_is_not_kept_is_made_again(name: str) -> None:
    cell = Cell(POLICIES[name](), 10)
    cell.ask_all("abcdefghij")
    cell.ask_all("aabbc")
    first = cell.would_go(3)
    assert cell.would_go(3) == first
    assert cell.resident == "abcdefghij"


@pytest.mark.parametrize("name", POLICIES)
def test_a_plan_for_everything_names_everybody_once(name: str) -> None:
    cell = Cell(POLICIES[name](), 10)
    cell.ask_all("abcdefghij")
    cell.ask_all("aaabbcchij")
    assert sorted(cell.would_go(10)) == list("abcdefghij")


@pytest.mark.parametrize("name", POLICIES)
def test_who_is_used_often_outlives_who_is_not(name: str) -> None:
    cell = Cell(POLICIES[name](), 10)
    cell.ask_all("abcdefghij")
    for number in range(200):
        cell.ask_all("abcab")
        cell.ask(chr(33 + number % 30))
    assert set("abc") < set(cell.resident)


def test_a_search_spares_so_many_and_no_more() -> None:
    residency: Residency[int] = Residency(2_000, S3Fifo())
    keys = [digest(str(number)) for number in range(2_000)]
    for key in keys:
        residency.reserve(key, residency.plan(1))
        residency.admit(key, 0, 1, 0.0)[0].release()
    for key in keys * 3:
        residency.find(key, 0.0)
    first = residency.plan(1)
    assert first.victims == (keys[256],)
    residency.reserve(digest("new"), first)
    # The next search goes on where that one ended.
    assert residency.plan(1).victims == (keys[256 + 257],)


def test_s3_fifo_names_the_last_of_the_main_queue_however_used() -> None:
    cell = Cell(S3Fifo(), 3)
    cell.ask_all("abc")
    cell.ask("a")
    assert cell.would_go(3) == "bca"
    cell.ask_all("aaa")
    assert cell.would_go(3) == "bca"
