from collections import Counter

from bench.catalog import Load
from bench.fair.acts import Account, burned


def test_accounts_add_up() -> None:
    one = Account(3, Counter(OK=2, RESOURCE_EXHAUSTED=1), Counter({"RESOURCE_EXHAUSTED: so many": 1}))
    both = one.with_(Account(2, Counter(OK=1, UNAVAILABLE=1)))
    assert (both.asked, both.served, both.refused) == (5, 3, 1)
    assert both.words == one.words


async def test_a_burner_is_at_it_and_asks_nobody() -> None:
    account = await burned("", Load(b"", [(b"", b"")], b"", None, 1), 0.05, share=0.5, threads=2)
    assert account.served == account.asked > 1
    assert account.refused == 0
