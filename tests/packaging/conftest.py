import shutil
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


@pytest.fixture(scope="session")
def harness_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bench harness's. Of a copy: what is built would lie among the sources of `bench`."""
    copy = shutil.copytree(ROOT / "bench" / "harness", tmp_path_factory.mktemp("copy") / "harness")
    return build(copy, tmp_path_factory.mktemp("harness"))
