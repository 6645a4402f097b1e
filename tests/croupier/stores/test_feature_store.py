"""How feature stores fail: only what passes by itself invites a retry."""

from croupier.errors import FailedPrecondition, Unavailable
from croupier.stores.feature_store import StoreDown, StoreFull


def test_a_store_that_is_down_may_be_asked_again_and_a_full_one_may_not():
    assert issubclass(StoreDown, Unavailable)
    assert issubclass(StoreFull, FailedPrecondition)
    assert {StoreDown.reason, StoreFull.reason} == {"FEATURE_STORE_DOWN", "FEATURE_STORE_FULL"}
