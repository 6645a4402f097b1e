"""SIEVE and W-TinyLFU as the cell's policies are tested: by hand, and against a reference of each."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import policies
from support.cells import digest
from support.reference.eviction import NaiveSieve, NaiveWTinyLfu
from support.reference.policies import Naive
from support.residency import Cell

from bench.eviction import POLICIES, Sieve, Sketch, WTinyLfu
from cell.residency.policies import Policy

NAIVE: dict[str, Callable[[int], Naive]] = {"sieve": NaiveSieve, "w-tinylfu": NaiveWTinyLfu}


def test_sieve_by_hand() -> None:
    cell = Cell(Sieve())
    cell.ask_all("abcde")
    cell.ask_all("ac")
    # The hand clears a, takes b and waits at c.
    cell.ask("f")
    assert cell.resident == "acdef"
    # It clears c and takes d: a, which lies behind it, was spared and not moved.
    cell.ask("g")
    assert cell.resident == "acefg"
    cell.ask("e")
    # e is cleared, f goes; then g, and from the oldest on again: a, c, e.
    assert cell.would_go(5) == "fgace"


def test_sieve_gives_a_scan_one_place_while_the_others_are_used() -> None:
    cell = Cell(Sieve())
    cell.ask_all("abcd")
    for scanned in "123456789":
        cell.ask_all("abcd")
        cell.ask(scanned)
    assert cell.resident == "9abcd"


def test_w_tinylfu_by_hand() -> None:
    # The window is too small for any, so each newcomer meets the oldest on probation at once.
    cell = Cell(WTinyLfu(), 4)
    cell.ask_all("abcd")
    # a met nobody; the others were asked for no more often than it, and lost.
    assert cell.would_go(4) == "bcda"
    cell.ask_all("ba")
    # b came to probation by its use, a from there to the protected.
    assert cell.would_go(4) == "cdba"
    # e loses to b, and so do c, d and e when they come back as often as b was asked for.
    cell.ask("e")
    assert cell.would_go(4) == "deba"
    cell.ask_all("cde")
    assert cell.would_go(4) == "deba"
    # c comes for the third time, which is more than b: it stays on probation.
    cell.ask("c")
    assert cell.would_go(4) == "ebca"


def test_w_tinylfu_keeps_who_is_wanted_from_a_scan() -> None:
    cell = Cell(WTinyLfu(), 10)
    cell.ask_all("abcdefghij")
    for _ in range(3):
        cell.ask_all("abcdefgh")
    cell.ask_all("123456789")
    assert set("abcdefgh") < set(cell.resident)


def test_sieve_goes_on_behind_the_last_of_several_victims() -> None:
    cell = Cell(Sieve(), 6)
    cell.ask_all("abcdef")
    cell.ask("b")
    # a and c go for it, b between them is spared and not the next then.
    cell.ask("g", 2)
    assert cell.would_go(1) == "d"


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
    policies.spares_so_many_and_no_more(Sieve)


def test_counts_are_never_too_low() -> None:
    sketch = Sketch()
    sketch.fit(100)
    asked = Counter(np.random.default_rng(1).zipf(1.5, 800).clip(1, 100).tolist())
    for number, count in asked.items():
        for _ in range(count):
            sketch.add(digest(str(number)))
    counts = {number: sketch.count(digest(str(number))) for number in asked}
    assert all(counts[number] >= min(15, count) for number, count in asked.items())
    assert sum(counts[number] == min(15, count) for number, count in asked.items()) > 0.9 * len(asked)


def test_growing_keeps_the_counts() -> None:
    sketch = Sketch()
    for _ in range(7):
        sketch.add(digest("a"))
    sketch.fit(1000)
    assert len(sketch) == 8192
    assert sketch.count(digest("a")) == 7


def test_old_fame_fades() -> None:
    sketch = Sketch()
    sketch.fit(1000)
    for _ in range(12):
        sketch.add(digest("a"))
    for number in range(10 * len(sketch) // 8 - 12):
        sketch.add(digest(str(number % 1000)))
    assert sketch.count(digest("a")) == 6
