"""Modules that need each other can be imported in either order."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("first", ["cell.signature", "cell.engines"])
def test_either_may_come_first(first: str) -> None:
    program = f"import sys; sys.path[:] = {sys.path!r}; import {first}, cell.pipeline"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
