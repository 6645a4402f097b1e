"""A command's store is closed after it, whatever becomes of the command."""

import pytest

from croupier.settings import InvalidSettings
from croupierctl.feature_store import ask_store


async def fail(store):
    raise KeyError


def test_a_store_is_closed_and_can_be_opened_again(store_url):
    for _ in range(2):
        with pytest.raises(KeyError):
            ask_store(store_url, fail)


def test_no_store():
    with pytest.raises(InvalidSettings):
        ask_store("nothing", fail)
