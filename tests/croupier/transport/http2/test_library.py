import importlib

import pytest

from croupier.transport import http2
from croupier.transport.http2 import library
from croupier.transport.http2.library import Library, UnusableLibrary, check, installed, weaknesses
from croupier.transport.server import BareServer

RESETS, CONTINUATIONS = library._MENDS


def found(number=(1, 52, 0), *, lacks="", reads_on=False):
    return Library(number, {name: name != lacks for name in (RESETS, CONTINUATIONS)}, reads_on)


def test_the_one_that_is_installed_will_do():
    check(installed())
    assert installed().number >= library.OLDEST
    assert set(installed().functions) == {RESETS, CONTINUATIONS}


def test_a_number_says_nothing_about_mends_that_were_backported():
    check(found((1, 52, 0)))
    check(found((1, 68, 1)))


@pytest.mark.parametrize(
    ("library", "complaint"),
    [
        (found((1, 51, 9)), r"libnghttp2 1\.51\.9 is older than 1\.52\.0: install"),
        (found((0, 99, 0)), r"libnghttp2 0\.99\.0 is older"),
        (found(lacks=RESETS), r"libnghttp2 1\.52\.0 has no \S+rate_limit, the mend of CVE-2023-44487"),
        (
            found((1, 60, 0), lacks=CONTINUATIONS),
            r"1\.60\.0 has no \S+continuations, the mend of CVE-2024-28182",
        ),
    ],
)
def test_one_that_any_peer_could_harm_is_refused(library, complaint):
    with pytest.raises(UnusableLibrary, match=complaint):
        check(library)


def test_one_that_reads_on_is_used_and_warned_of():
    check(found(reads_on=True))
    (words,) = weaknesses(found(reads_on=True))
    assert "CVE-2026-27135" in words
    assert weaknesses(found()) == []


def test_the_warning_is_logged_once(caplog, monkeypatch):
    monkeypatch.setattr(library, "installed", lambda: found(reads_on=True))
    library.warn.cache_clear()
    library.warn()
    library.warn()
    library.warn.cache_clear()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_the_package_looks_before_anything_is_linked_with_it(monkeypatch):
    monkeypatch.setattr(library, "installed", lambda: found((1, 51, 0)))
    with pytest.raises(UnusableLibrary):
        importlib.reload(http2)


async def test_a_server_tells_when_it_opens(caplog, monkeypatch):
    monkeypatch.setattr(library, "installed", lambda: found(reads_on=True))
    library.warn.cache_clear()
    server = BareServer()
    server.open("127.0.0.1:0")
    await server.drain()
    await server.close(0.0)
    library.warn.cache_clear()
    assert "CVE-2026-27135" in caplog.text
