import importlib.metadata

import pytest

from croupier.version import version


def test_it_is_what_is_installed_or_says_that_nothing_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for found in ("9.8.7", "unknown"):
        version.cache_clear()

        def look_up(name: str, found: str = found) -> str:
            assert name == "croupier"
            if found == "unknown":
                raise importlib.metadata.PackageNotFoundError
            return found

        monkeypatch.setattr(importlib.metadata, "version", look_up)
        assert version() == found
    version.cache_clear()
