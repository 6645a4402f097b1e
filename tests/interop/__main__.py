"""What `make interop` runs: other projects' languages and programs against ours, and HTTP/2's own sections.

python -m interop                 everything
python -m interop go java http2   some of it
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from interop import http2, languages, programs
from interop.report import Report


def _run(parts: list[str], folder: Path) -> bool:
    report = Report()
    languages.run([name for name in languages.LANGUAGES if name in parts], folder, report)
    if "programs" in parts:
        programs.run(folder, report)
    if "http2" in parts:
        http2.run(folder, report)
    return report.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    choices = [*languages.LANGUAGES, "programs", "http2"]
    parser.add_argument("part", nargs="*", default=choices, help=" ".join(choices))
    parts = parser.parse_args().part
    if unknown := set(parts) - set(choices):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="croupier-interop-") as folder:
        return 0 if _run(parts, Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
