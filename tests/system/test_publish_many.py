"""Lists of models while who publishes them is killed, and while managers are: all are published once."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.manager import artifact
from support.waiting import wait_until

from croupier.artifacts.checked import with_checked
from croupier.artifacts.comparison import Comparison
from croupier.artifacts.format import digest_of
from croupier.grpcio.manager import VersionManagerClient
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb

pytestmark = pytest.mark.system

MODELS = 4000
FILES = 40


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Stack]:
    """etcd and two managers."""
    stack = Stack(tmp_path / "stack", cells=0, managers=2)
    try:
        stack.start_managers()
        yield stack
    finally:
        stack.stop()


def listing(folder: Path, tenant: str) -> Path:
    """A list of models of `tenant`, some hundred of each file."""
    for number in range(FILES):
        compared = Comparison("lightgbm", "4", number, 1_000, 0.0)
        (folder / f"{number}.artifact").write_bytes(with_checked(artifact(), compared))
    path = folder / f"{tenant}.csv"
    rows = [f"{tenant},model-{number:04},{number % FILES}.artifact" for number in range(MODELS)]
    path.write_text("\n".join(["tenant,model,file", *rows]))
    return path


def publishing(stack: Stack, path: Path) -> subprocess.Popen[bytes]:
    words = ["--manager", stack.manager, "models", "publish-many", str(path), "--release", "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "croupierctl", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def models_of(target: str, tenant: str) -> list[pb.Model]:
    async def call() -> list[pb.Model]:
        found: list[pb.Model] = []
        token = ""
        async with VersionManagerClient(target) as manager:
            while True:
                request = pb.ListModelsRequest(tenant=tenant, page_size=500, page_token=token)
                page = await manager.list_models(request)
                found += page.models
                token = page.next_page_token
                if not token:
                    return found

    return asyncio.run(call())


def check(stack: Stack, path: Path, tenant: str) -> None:
    """All of the list is published once and released, and its artifacts are in the store."""
    found = models_of(stack.manager, tenant)
    assert len(found) == MODELS
    digests = [digest_of((path.parent / f"{number}.artifact").read_bytes()) for number in range(FILES)]
    for number, model in enumerate(found):
        (version,) = model.versions
        assert (version.number, version.artifact) == (1, digests[number % FILES])
        assert (model.release.number, model.release.splits[0].version) == (1, 1)
    for digest in digests:
        stored = stack.folder / "objects" / digest.hex()[:2] / digest.hex()
        assert digest_of(stored.read_bytes()) == digest


def test_who_is_killed_goes_on_from_there(pair: Stack, tmp_path: Path) -> None:
    path = listing(tmp_path, "acme")
    running = publishing(pair, path)
    wait_until(lambda: len(models_of(pair.manager, "acme")) > MODELS // 8, "some are published")
    running.kill()
    running.communicate()
    reached = len(models_of(pair.manager, "acme"))
    assert reached < MODELS
    again = publishing(pair, path)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err.decode()
    said = json.loads(out)
    assert said["done_before"] + said["known"] + said["published"] == MODELS
    assert said["published"] <= MODELS - reached
    assert not said["failed"]
    check(pair, path, "acme")


def test_a_manager_that_is_killed_costs_nothing(pair: Stack, tmp_path: Path) -> None:
    path = listing(tmp_path, "globex")
    running = publishing(pair, path)
    for share, dies in ((8, "version-manager"), (2, "version-manager-1")):
        wait_until(lambda share=share: len(models_of(pair.manager, "globex")) > MODELS // share, "it goes on")
        pair.process(dies).kill()
        pair.restart(dies)
    out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err.decode()
    said = json.loads(out)
    assert said["known"] + said["published"] == MODELS
    check(pair, path, "globex")
