"""What the arenas of this process really have of the machine's memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def resident_bytes() -> int:
    """Resident memory of all arenas, as the kernel counts it."""
    return sum(_kib(mapping, "Rss") for mapping in mappings()) * 1024


def mappings() -> Iterator[dict[str, str]]:
    """Of each mapping of an arena what the kernel says: nothing else here stays out of a core file."""
    found: dict[str, str] = {}
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, value = line.partition(":")
        found[name] = value
        # The last of a mapping's lines.
        if name == "VmFlags":
            if "dd" in value.split():
                yield found
            found = {}


def _kib(mapping: dict[str, str], name: str) -> int:
    return int(mapping[name].split()[0])
