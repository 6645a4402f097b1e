"""Generates the Python code beside each .proto, or checks that it is what stands there.

Run through tox (`make protos`), which pins the generator: grpcio-tools 1.71.2, whose output loads
on protobuf 5, 6 and 7. The root of the repository is the include path, so that the generated
imports are the absolute ones that the packages use.
"""

import argparse
import filecmp
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def generate(into: Path) -> list[Path]:
    """Generate everything below `into`; returns the files, relative to it."""
    sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("protos/*/*/*.proto"))
    outputs = [f"--{kind}_out={into}" for kind in ("python", "pyi", "grpc_python")]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs, *sources], cwd=ROOT, check=True
    )
    return sorted(path.relative_to(into) for path in into.rglob("*_pb2*.py*"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="write the generated code into the tree")
    mode.add_argument("--check", action="store_true", help="fail if the tree's differs")
    if parser.parse_args().write:
        generate(ROOT)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        stale = [
            path
            for path in generate(fresh)
            if not (ROOT / path).exists() or not filecmp.cmp(fresh / path, ROOT / path, shallow=False)
        ]
    for path in stale:
        print(f"{path} is not what its .proto says: run `make protos`")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
