"""A command's store is closed after it, whatever becomes of the command."""

import pytest

from croupier.errors import CroupierError
from croupier.settings import InvalidSettings
from croupierctl.feature_store import ask_store


async def fail(store):
    raise KeyError


def test_a_store_is_closed_and_can_be_opened_again(store_url):
    for _ in range(2):
        with pytest.raises(KeyError):
            ask_store(store_url, fail)


async def listed(store):
    return [key async for key in store.scan(b"")]


async def written(store):
    await store.put_many([(b"k", b"v")], None)


@pytest.mark.parametrize("options", ["", "?max_bytes=1048576", "?readonly=1"])
def test_who_reads_alone_writes_nothing(store_url, options):
    ask_store(store_url, written)
    assert ask_store(store_url + options, listed, only_reads=True) == [b"k"]
    with pytest.raises(CroupierError):
        ask_store(store_url + options, written, only_reads=True)


def test_no_store():
    with pytest.raises(InvalidSettings):
        ask_store("nothing", fail)
