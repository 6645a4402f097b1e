"""How the tree is laid out."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent for path in ROOT.glob("*/__init__.py"))


def sources(*suffixes: str) -> list[Path]:
    """The files of every package, by their names from the root."""
    found = [path for package in PACKAGES for path in package.rglob("*.p*") if path.suffix in suffixes]
    assert found
    return sorted(path.relative_to(ROOT) for path in found)


def test_how_cython_is_compiled_stands_in_setup_alone() -> None:
    header = re.compile(r"^# *cython:", re.MULTILINE)
    assert [path for path in sources(".pyx", ".pxd") if header.search((ROOT / path).read_text())] == []
