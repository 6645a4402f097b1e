"""Each policy through the residency that asks it: sequences worked out by hand, and a plain model of each."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import policies
from support.reference.policies import Naive, NaiveLru, NaiveS3Fifo
from support.residency import Cell

from cell.residency.policies import POLICIES, Lru, Policy, S3Fifo

NAIVE: dict[str, Callable[[int], Naive]] = {
    "lru": NaiveLru,
    "s3-fifo": NaiveS3Fifo,
}


def test_every_policy_has_a_name() -> None:
    assert list(POLICIES) == list(NAIVE) == ["lru", "s3-fifo"]
    assert [make().__class__ for make in POLICIES.values()] == [Lru, S3Fifo]
    ours = [known for known in Policy.__subclasses__() if known.__module__ == Policy.__module__]
    assert list(POLICIES.values()) == ours


def test_one_without_all_its_methods_cannot_be_made() -> None:
    class Forgetful(Lru):
        queues = Policy.queues

    with pytest.raises(TypeError, match="queues"):
        Forgetful()  # type: ignore[abstract]


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


@pytest.mark.parametrize("name", NAIVE)
@settings(max_examples=150)
@given(data=st.data())
def test_a_policy_keeps_the_same_models_as_a_plain_model_of_it(name: str, data: st.DataObject) -> None:
    policies.keeps_what_a_plain_model_keeps(POLICIES[name], NAIVE[name], data)


@pytest.mark.parametrize("check", policies.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAIVE)
def test_a_policy(name: str, check: Callable[[Callable[[], Policy]], None]) -> None:
    check(POLICIES[name])


def test_a_search_spares_so_many_and_no_more() -> None:
    policies.spares_so_many_and_no_more(S3Fifo)


def test_s3_fifo_names_the_last_of_the_main_queue_however_used() -> None:
    cell = Cell(S3Fifo(), 3)
    cell.ask_all("abc")
    cell.ask("a")
    assert cell.would_go(3) == "bca"
    cell.ask_all("aaa")
    assert cell.would_go(3) == "bca"
