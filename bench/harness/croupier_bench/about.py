"""When, how and on what a run was made: `about` in its result."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_DISTRIBUTIONS = ("croupier-bench", "croupier", "numpy", "uvloop")


def about() -> dict[str, Any]:
    """Commit is that of the tree that this is run in; left out where there is none."""
    told: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command(sys.argv),
        "machine": machine(),
        "versions": {"python": platform.python_version(), **_versions()},
    }
    if commit := _commit():
        told["commit"] = commit
    return told


def machine() -> dict[str, Any]:
    return {
        "cpu": cpu_model(_read("/proc/cpuinfo")) or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
    }


def command(argv: list[str]) -> str:
    """What was typed, without the folders that the program lies in."""
    return shlex.join([Path(argv[0]).name, *argv[1:]]) if argv else ""


def cpu_model(cpuinfo: str) -> str:
    """From the text of /proc/cpuinfo; "" where that has none, as on some architectures."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _versions() -> dict[str, str]:
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    argv = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ended.stdout.strip()
