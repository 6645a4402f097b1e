"""Compares every stub that was written by hand with its extension: `python checks/stubs.py`.

mypy believes a .pyi and never sees what was built. stubtest sees both; `stubs.txt` has what it takes for a
difference and is none.
"""

import sys
from pathlib import Path

from mypy.stubtest import parse_options, test_stubs

ROOT = Path(__file__).parents[1]
PACKAGES = ("cell", "croupier", "router", "sharding", "version_manager")


def modules() -> list[str]:
    """Those with a stub beside their .pyx."""
    stubs = [path for package in PACKAGES for path in (ROOT / package).rglob("*.pyi")]
    found = [path for path in stubs if path.with_suffix(".pyx").exists()]
    return sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found)


def main() -> int:
    options = [
        "--concise",
        # A stub leaves out what is nobody's business, and mypy lets nobody use it.
        "--ignore-missing-stub",
        # Every cdef class is one, and none of ours is inherited from beside another.
        "--ignore-disjoint-bases",
        # Two Pythons differ: what one of them does not need is none the less right.
        "--ignore-unused-allowlist",
    ]
    return test_stubs(parse_options([*options, f"--allowlist={ROOT / 'checks/stubs.txt'}", *modules()]))


if __name__ == "__main__":
    sys.exit(main())
