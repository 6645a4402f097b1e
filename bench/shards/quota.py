"""Holds processes to a share of a processor, as machines of their own would.

All cells of a bench share the processors of one machine: a tenant that saturates two of them would be felt by
everybody, through no fault of any hand. A cgroup for each, version 1 or 2, whose bandwidth is bounded, keeps
what they take apart. That needs root, and cgroups that can be written. They all run on one processor, so that
who asks them, and what stands between, loses nothing to them. Groups come before whatever else the machine
does: a quota is had as well, and so is the time of whoever measures (`going_first`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import report
from bench.processes import confine, cores, family, stats

_ROOT = Path("/sys/fs/cgroup")
# Short: all that a cell may take in a period it takes at once, in which the others of the machine wait.
_PERIOD_US = 20_000
_LEAVE_SECONDS = 5.0
# Times of what others weigh: those with a quota, and those who go before these as well.
_HELD, _FIRST = 8, 64


@contextmanager
def held(pids: Mapping[str, int], share: float, root: Path = _ROOT) -> Iterator[bool]:
    """Each process of `pids`, with its descendants, has at most `share` of one processor in the block.

    Gives whether that is so: False, with a line about it, where no group can be made.
    """
    for pid in pids.values():
        confine(pid, cores().load)
    with _groups(pids, _HELD, share, root) as is_held:
        yield is_held


@contextmanager
def preferred(pids: Mapping[str, int], root: Path = _ROOT) -> Iterator[bool]:
    """The same without a quota, on any processor: they share what those that go first leave."""
    with _groups(pids, _HELD, None, root) as is_held:
        yield is_held


@contextmanager
def going_first(pids: Mapping[str, int], root: Path = _ROOT) -> Iterator[bool]:
    """The same before these as well: they wait for no processor that others have, as far as can be had."""
    with _groups(pids, _FIRST, None, root) as is_held:
        yield is_held


@contextmanager
def _groups(pids: Mapping[str, int], times: int, share: float | None, root: Path) -> Iterator[bool]:
    with ExitStack() as stack:
        try:
            for name, pid in pids.items():
                folder = _folder(root) / f"croupier-bench-{name}-{pid}"
                stack.enter_context(_group(folder, pid, times, share))
        except OSError as error:
            stack.close()
            report.step(f"no groups of processes: {error.strerror or error} ({error.filename})")
            yield False
        else:
            yield True


def _folder(root: Path) -> Path:
    """Where groups that bound processor time are made: version 1 has a tree for them."""
    return root / "cpu" if (root / "cpu" / "cpu.cfs_quota_us").exists() else root


@contextmanager
def _group(folder: Path, pid: int, times: int, share: float | None) -> Iterator[None]:
    folder.mkdir()
    members = [stat.pid for stat in family(pid, stats())]
    try:
        bounds = {} if share is None else _bandwidth(folder, share)
        for file, words in (_weight(folder, times) | bounds).items():
            (folder / file).write_text(words)
        _move(members, folder)
        yield
    finally:
        _move(_members(folder), folder.parent)
        _remove(folder)


def _bandwidth(folder: Path, share: float) -> dict[str, str]:
    quota = round(_PERIOD_US * share)
    if (folder / "cpu.cfs_quota_us").exists():
        return {"cpu.cfs_period_us": str(_PERIOD_US), "cpu.cfs_quota_us": str(quota)}
    return {"cpu.max": f"{quota} {_PERIOD_US}"}


def _weight(folder: Path, times: int) -> dict[str, str]:
    if (folder / "cpu.shares").exists():
        return {"cpu.shares": str(times * 1024)}
    return {"cpu.weight": str(times * 100)}


def _members(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "cgroup.procs").read_text().split()]


def _move(pids: list[int], folder: Path) -> None:
    for pid in pids:
        try:
            (folder / "cgroup.procs").write_text(str(pid))
        except ProcessLookupError:
            continue


def _remove(folder: Path) -> None:
    """What has ended leaves its group a moment later."""
    give_up = time.monotonic() + _LEAVE_SECONDS
    while True:
        try:
            folder.rmdir()
            return
        except OSError:
            if time.monotonic() > give_up:
                raise
        time.sleep(0.05)
