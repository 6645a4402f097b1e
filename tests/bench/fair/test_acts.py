from collections import Counter

from bench.fair.acts import Account


def test_accounts_add_up() -> None:
    one = Account(3, Counter(OK=2, RESOURCE_EXHAUSTED=1), Counter({"RESOURCE_EXHAUSTED: so many": 1}))
    both = one.with_(Account(2, Counter(OK=1, UNAVAILABLE=1)))
    assert (both.asked, both.served, both.refused) == (5, 3, 1)
    assert both.words == one.words
