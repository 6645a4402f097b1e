"""Triton's own client, in an environment that has nothing of ours, against the router."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.fleet import Wine, publish
from support.seconds import train_seconds
from support.waiting import wait_until

from croupier_client import Client
from croupierctl.stack import Stack

pytestmark = pytest.mark.system


@pytest.fixture(scope="session")
def triton_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("triton")
    python = str(folder / "bin" / "python")
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    requirements = ["--require-hashes", "requirements/triton.txt"]
    subprocess.run([*uv, "pip", "sync", "--quiet", "--python", python, *requirements], check=True)
    return python


def test_it_gets_liveness_metadata_and_the_models_own_answer(
    stack: Stack, wine: Wine, triton_python: str
) -> None:
    program = [triton_python, "examples/triton_client.py", "--router", stack.router]
    result = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    liveness, inputs, answer = result.stdout.strip().splitlines()
    assert liveness == "live: True, ready: True"
    assert "'datatype': 'FP32'" in inputs
    label, *probabilities = [float(number) for number in re.findall(r"-?[\d.]+(?:e-?\d+)?", answer)]
    # The example asks for the data set's first row.
    assert label == wine.probabilities[0].argmax()
    assert np.allclose(probabilities, wine.probabilities[0], atol=1e-4)


def test_rows_of_either_width_are_answered_as_the_library_answers_them(
    stack: Stack, triton_python: str, tmp_path: Path
) -> None:
    model = train_seconds()
    publish(stack, "acme", "seconds", model.artifact)
    with Client(stack.router, tenant="acme") as client:
        wait_until(lambda: bool(client.predict("seconds", model.rows[0]).version), "the model is routed")
    rows, answers = tmp_path / "rows.npy", tmp_path / "answers.npy"
    np.save(rows, model.rows)
    for datatype, expected in (("FP64", model.answers), ("FP32", model.narrowed)):
        program = [triton_python, "tests/interop/triton_rows.py", stack.router, "seconds"]
        command = [*program, str(rows), datatype, str(answers)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 0, result.stderr
        found = np.load(answers).reshape(2, -1)
        np.testing.assert_allclose(found, [expected, expected], rtol=1e-6, atol=1e-6)
