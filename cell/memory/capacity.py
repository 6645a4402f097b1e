"""How much memory a cell may fill with models when nobody says.

The tightest limit counts: the control group's (version 2 or 1, its own or any above it, as a
container or a service manager sets it) or the machine's. A fraction of it is for models; the rest
is for the process itself, requests, and what the allocator holds back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

FRACTION = 0.6

# A version 1 group without a limit says 2**63 rounded down to a page.
_NO_LIMIT = 1 << 60
# Taken for the machine's memory when even that cannot be read.
_UNKNOWN_MACHINE = 1 << 30

# Returns a file's text, None when it cannot be read.
Read = Callable[[str], str | None]


def read_file(path: str) -> str | None:
    """The text of a file of the kernel's, None when it cannot be read."""
    try:
        return Path(path).read_text()
    except OSError:
        return None


def tightest_limit(read: Read = read_file) -> tuple[int, str]:
    """Bytes that this process may use, and the folder of the group that says so; "" for the machine."""
    return min([(_machine(read), ""), *_group_limits(read)])


def _machine(read: Read) -> int:
    for line in (read("/proc/meminfo") or "").splitlines():
        name, _, amount = line.partition(":")
        if name == "MemTotal":
            return int(amount.split()[0]) * 1024
    return _UNKNOWN_MACHINE


def _group_limits(read: Read) -> Iterator[tuple[int, str]]:
    for file in _group_files(read("/proc/self/cgroup") or ""):
        text = (read(file) or "").strip()
        if text.isdigit() and int(text) < _NO_LIMIT:
            yield int(text), str(PurePosixPath(file).parent)


def _group_files(groups: str) -> Iterator[str]:
    """The limit files of the groups named in /proc/self/cgroup and of the groups above them.

    Inside a container the path may be the host's, whose files are not there: then the root's is.
    """
    for line in groups.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            root, name = "/sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            root, name = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        group = PurePosixPath(path)
        for above in (group, *group.parents):
            yield f"{root}/{str(above).strip('/')}/{name}".replace("//", "/")
