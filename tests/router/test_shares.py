"""What a router makes of what managers say about its part of tenants' limits."""

import math

from router.shares import Shares


def test_without_a_word_this_is_the_only_router() -> None:
    assert Shares().of("acme") == 1.0


def test_the_last_word_holds_and_who_is_not_named_is_shared_alike() -> None:
    shares = Shares()
    assert shares.hear(4, {"acme": 0.7})
    assert not shares.hear(4, {"acme": 0.7})
    assert (shares.of("acme"), shares.of("globex")) == (0.7, 0.25)
    assert shares.hear(2, {"globex": 0.1})
    assert (shares.of("acme"), shares.of("globex")) == (0.5, 0.1)


def test_a_manager_that_says_nothing_changes_nothing() -> None:
    shares = Shares()
    shares.hear(4, {"acme": 0.7})
    assert not shares.hear(0, {"acme": 0.1})
    assert (shares.of("acme"), shares.of("globex")) == (0.7, 0.25)


def test_what_is_no_share_is_passed_over() -> None:
    shares = Shares()
    shares.hear(2, {"a": 0.0, "b": -1.0, "c": math.nan, "d": math.inf, "e": 1.5, "f": 1.0})
    assert [shares.of(tenant) for tenant in "abcdef"] == [0.5] * 5 + [1.0]
