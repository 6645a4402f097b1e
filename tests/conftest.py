import atexit
import os
from collections.abc import Iterator

# Before a library of training reads it: on small data its threads wait for each other, and spin meanwhile.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings
from support.fleet import Wine, publish, small_stack, train_wine
from support.waiting import wait_until

from croupier_client import Client
from croupierctl.stack import Stack

# Hypothesis fails what takes longer than 0.2 s, which says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """A worker of pytest-xdist keeps its session until it ends, of which a library would print pages."""
    if hasattr(config, "workerinput"):
        atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))


@pytest.fixture(scope="session")
def wine() -> Wine:
    return train_wine()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, wine: Wine) -> Iterator[Stack]:
    """Four cells in two zones, hands of two, with acme/wine released; no test may leave a part dead."""
    with small_stack(tmp_path_factory.mktemp("stack")) as stack:
        publish(stack, "acme", "wine", wine.artifact)
        with Client(stack.router, tenant="acme") as client:
            wait_until(lambda: bool(client.predict("wine", wine.rows[0]).version), "acme/wine is routed")
        yield stack
