"""Answers are counted by the cells that replies name."""

from __future__ import annotations

from collections import Counter

import pytest

from croupier.debug_tokens import COLD, DEBUG, token
from croupier_bench.cells import MOST_TOKENS, OTHERS, Names, Sample

CELLS = ["cell-0", "cell-1", "cell-2"]
ONE, TWO = "0123456789abcdef", "fedcba9876543210"


class Reply:
    """As much of an answered call as is looked at."""

    def __init__(self, *said: bytes, model: int = 0, cold: bytes = b"") -> None:
        self.kind, self.model = 0, model
        self._told = {DEBUG: said, COLD: (cold,) if cold else ()}

    def values(self, name: bytes) -> tuple[bytes, ...]:
        return self._told[name]


def counted(*replies: Reply) -> Counter[tuple[str, str, bool]]:
    sample = Sample(lambda kind, model: f"tenant-{model}")
    for reply in replies:
        sample.look(reply)  # type: ignore[arg-type]
    found = sample.take()
    assert sample.take() == Counter()
    return found


def test_replies_are_counted_by_tenant_and_token() -> None:
    both = f"{ONE},{TWO}".encode()
    found = counted(Reply(ONE.encode()), Reply(both, model=1), Reply(ONE.encode(), cold=b"1"), Reply())
    assert found == {
        ("tenant-0", ONE, False): 1,
        ("tenant-0", ONE, True): 1,
        ("tenant-1", ONE, False): 1,
        ("tenant-1", TWO, False): 1,
    }


@pytest.mark.parametrize("said", [b"", b"no", b"0123456789ABCDEF", b"0" * 17, b"\xff" * 16, b",,"])
def test_what_is_no_token_counts_nothing(said: bytes) -> None:
    assert counted(Reply(said)) == {}


def test_a_peer_that_always_says_something_else_is_counted_as_one() -> None:
    found = counted(*(Reply(f"{number:016x}".encode()) for number in range(MOST_TOKENS + 5)))
    assert (len(found), found["", OTHERS, False]) == (MOST_TOKENS + 1, 5)


def test_tokens_of_all_tenants_and_generations_name_their_cells() -> None:
    names = Names(7, {1: CELLS, 2: CELLS[:2]})
    said: Counter[tuple[str, str, bool]] = Counter()
    for tenant in ("acme", "globex"):
        for number, cell in ((1, "cell-2"), (1, "cell-0"), (2, "cell-0")):
            said[tenant, token(7, tenant, number, cell), False] += 10
        said[tenant, token(7, tenant, 2, "cell-0"), True] += 1
    said["acme", token(7, "globex", 1, "cell-0"), False] += 3
    assert names.by_cell(said) == {
        "cell-0": {"answered": 42, "resident_hits": 40},
        "cell-2": {"answered": 20, "resident_hits": 20},
        token(7, "globex", 1, "cell-0"): {"answered": 3, "resident_hits": 3},
    }


def test_without_a_seed_tokens_stand_for_themselves() -> None:
    said = Counter({("acme", ONE, False): 2, ("acme", ONE, True): 1, ("globex", TWO, True): 1})
    assert Names().by_cell(said) == {
        ONE: {"answered": 3, "resident_hits": 2},
        TWO: {"answered": 1, "resident_hits": 0},
    }
