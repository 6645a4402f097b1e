"""Triton's own client, in an environment that has nothing of ours, against the router."""

import re
import subprocess
import sys

import numpy as np
import pytest
from support.fleet import Wine

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
