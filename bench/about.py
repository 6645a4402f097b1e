"""When, how and on what something was measured: stands as `about` in whatever a bench writes."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
# What a bench or the docs write is not what was measured.
_WRITTEN = (":!bench/results", ":!docs/benchmarks.md", ":!README.md")
# Options that name files that are written.
_WHERE = ("--json", "--plot")


def about(versions: Mapping[str, str]) -> dict[str, Any]:
    """`versions` are those of what was measured beside our own code, which the commit says."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": _commit(),
        "command": command(sys.argv[1:]),
        "machine": {
            "cpu": cpu_model(Path("/proc/cpuinfo").read_text()),
            "cores": os.cpu_count(),
            "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "versions": dict(versions),
    }


def installed(distributions: Iterable[str]) -> dict[str, str]:
    """The versions of those that are installed."""
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def command(arguments: Sequence[str]) -> str:
    """What to type to measure again. Where the result was written is nobody's business."""
    said: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, is_whole, _ = argument.partition("=")
        if name not in _WHERE:
            said.append(argument)
        elif not is_whole:
            next(rest, None)
    return shlex.join(["python", "-m", "bench", *said])


def cpu_model(cpuinfo: str) -> str:
    """From the text of /proc/cpuinfo, which not every architecture's names a model in."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _commit() -> str:
    """The commit of this tree, `+` behind it if something was changed since; "unknown" without git."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *_WRITTEN)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed else "")


def _git(*arguments: str) -> str:
    argv = ["git", "-C", str(_ROOT), *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
