from pathlib import Path

import pytest
from support.wheels import ROOT, build


@pytest.fixture(scope="session")
def built_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from this checkout, as a user would build it."""
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def client_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client SDK's."""
    return build(ROOT / "client", tmp_path_factory.mktemp("client"))
