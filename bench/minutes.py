"""How long the front page's first two commands take on a machine where the set-up is done."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from bench import report

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("demo", "test")


def run(targets: Sequence[str], json: Path | None) -> bool:
    """Whether all of them passed; only then is anything written."""
    seconds = {}
    subprocess.run(["make", "-C", str(ROOT), "setup"], check=True)
    for target in targets:
        report.step(f"make {target}")
        began = time.monotonic()
        if subprocess.run(["make", "-C", str(ROOT), target], check=False).returncode:
            report.step("FAILED")
            return False
        seconds[target] = round(time.monotonic() - began, 1)
    report.table("minutes", [(f"make {target}", f"{taken / 60:.1f}") for target, taken in seconds.items()])
    report.write_json(json, {"seconds": seconds})
    return True
