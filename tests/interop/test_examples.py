"""Every example, as a reader would run it."""

import re
import subprocess
import sys

import pytest

from croupierctl.stack import Stack

pytestmark = pytest.mark.system

# What each prints when it was answered.
SHOWN = {
    "asyncio_client": r"by version 1, .*not predicted: .*as expected: ",
    "blocking_client": r"\bversion 1\b|outputs",
    "numpy_rows": r"178 of 178 rows predicted",
    "pandas_rows": r"predicted\n(\s*\d+ .* [012]\n){5}",
    "streaming": r"^\{[012]: \d+(, [012]: \d+)*\}$",
}


def run(program: str, *arguments: str) -> str:
    command = [sys.executable, f"examples/{program}.py", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("program", SHOWN)
def test_it_gets_predictions(stack: Stack, program: str) -> None:
    printed = run(program, "--router", stack.router)
    assert re.search(SHOWN[program], printed, re.DOTALL | re.MULTILINE), printed


def test_a_model_is_trained_and_published(stack: Stack) -> None:
    assert run("train_and_publish", "--manager", stack.manager).startswith("acme/wine version ")
