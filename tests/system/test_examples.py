"""Every example does what it says, run as a reader would run it."""

import subprocess
import sys

import pytest

from croupierctl.stack import Stack

pytestmark = pytest.mark.system

# What each prints once it was answered. Triton's is in tests/interop; test_readme trains and publishes.
PRINTED = {
    "asyncio_client": "as expected: model wine has no version 99",
    "blocking_client": "'probabilities'",
    "numpy_rows": "178 of 178 rows predicted",
    "pandas_rows": "predicted",
    "streaming": "{",
}


def run(program: str, *arguments: str) -> str:
    command = [sys.executable, f"examples/{program}.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("program", PRINTED)
def test_it_is_answered(stack: Stack, program: str) -> None:
    assert PRINTED[program] in run(program, "--router", stack.router)
