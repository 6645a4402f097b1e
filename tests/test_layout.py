"""How the tree is laid out."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def sources(*suffixes: str) -> list[Path]:
    """The files that are kept, by their names from the root."""
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in map(Path, kept.stdout.split()) if path.suffix in suffixes]


def test_how_cython_is_compiled_stands_in_setup_alone() -> None:
    own = [
        path for path in sources(".pyx", ".pxd") if re.search(r"^# *cython:", (ROOT / path).read_text(), re.MULTILINE)
    ]
    assert own == []
