"""What processes that tests start import from."""

from __future__ import annotations

import os
from pathlib import Path


def with_tests() -> str:
    """PYTHONPATH with `tests` before what it has; no part is empty, which would be the working folder."""
    return os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
