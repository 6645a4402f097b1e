"""The client SDK's wheel where nothing else of ours is, on the oldest and the newest Python found."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from support.fleet import Wine
from support.wheels import ROOT, Environment, build, interpreters, make_environment

from croupierctl.stack import Stack

pytestmark = pytest.mark.system

_FOUND = interpreters((3, 9))
OLDEST, NEWEST = min(_FOUND), max(_FOUND)
# Which Pythons they were is in the names of the tests.
CASES = [
    pytest.param(_FOUND[OLDEST], "lowest-direct", id=f"Python {'.'.join(map(str, OLDEST))}, oldest of all"),
    pytest.param(_FOUND[NEWEST], "highest", id=f"Python {'.'.join(map(str, NEWEST))}, newest of all"),
]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT / "client", tmp_path_factory.mktemp("wheel"))


def top_level(environment: Environment) -> set[str]:
    return {path.name for path in environment.packages.iterdir() if path.suffix != ".pth"}


@pytest.mark.parametrize(("python", "resolution"), CASES)
def test_it_installs_without_a_compiler_and_answers(
    stack: Stack, wine: Wine, wheel: Path, tmp_path: Path, python: Path, resolution: str
) -> None:
    environment = make_environment(python, tmp_path / "venv")
    environment.install("--resolution", resolution, wheel)
    with_it = top_level(environment)
    assert {name for name in with_it if "croupier" in name} == {
        "croupier_client",
        f"{wheel.name.split('-py3')[0]}.dist-info",
    }
    environment.uninstall("croupier-client")
    assert {name for name in with_it - top_level(environment) if not name.endswith(".dist-info")} == {
        "croupier_client"
    }
    environment.install("--no-deps", wheel)

    rows = wine.rows[:5]
    said = environment.run(ROOT / "tests/sdk/ask.py", stack.router, json.dumps(rows.tolist()))
    found = json.loads(said)
    assert len(found["answers"]) == 8
    for way, answers in found["answers"].items():
        np.testing.assert_allclose(answers, wine.probabilities[:5], atol=1e-4, err_msg=f"{way} of {said}")
    for example in ("blocking_client", "asyncio_client", "streaming"):
        environment.run(ROOT / f"examples/{example}.py", "--router", stack.router)


def test_it_sits_beside_tritonclient_whichever_is_imported_first(
    stack: Stack, wine: Wine, wheel: Path, tmp_path: Path
) -> None:
    environment = make_environment(sys.executable, tmp_path / "venv")
    environment.install("--require-hashes", "--requirements", ROOT / "requirements/triton.txt")
    environment.install("--no-deps", wheel)
    modules = ["croupier_client", "tritonclient.grpc"]
    row = json.dumps(wine.rows[0].tolist())
    for order in (modules, modules[::-1]):
        answer = environment.run(ROOT / "tests/sdk/beside_triton.py", stack.router, row, *order)
        np.testing.assert_allclose(json.loads(answer), wine.probabilities[0], atol=1e-4)
