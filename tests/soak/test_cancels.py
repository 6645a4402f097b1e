"""The cancel soak, small: nothing is left of any call, and no call costs memory for good."""

import os
import subprocess
import sys

import pytest
from support.paths import with_tests


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_nothing_is_left_of_cancelled_calls(loop: str) -> None:
    # The bound is generous, since so few calls do not make a process's memory settle: a leaked call costs
    # more than a thousand bytes, noise some tens of bytes a call.
    program = [sys.executable, "-m", "soak.cancels", "--calls", "20000", "--every", "2000"]
    result = subprocess.run(
        [*program, "--bound", "150", "--loop", loop],
        env=os.environ | {"PYTHONPATH": with_tests()},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "left: 0 waiting, 0 tasks, 0 calls, 0 bytes, 0 calls here, 0 bytes here\n" in result.stdout
