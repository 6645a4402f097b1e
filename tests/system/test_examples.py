"""Every example that the SDK alone can run does what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
EXAMPLES = {
    "asyncio_client.py": "as expected: model wine has no version 99",
    "blocking_client.py": "'probabilities'",
    "numpy_rows.py": "178 of 178 rows predicted",
    "pandas_rows.py": "predicted",
    "streaming.py": "{",
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example(stack, name):
    command = [sys.executable, str(ROOT / "examples" / name), "--router", stack.router]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert EXAMPLES[name] in done.stdout
