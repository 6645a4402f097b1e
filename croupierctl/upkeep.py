"""What a deployment is due for: certificates that end, and parts of other releases. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from croupierctl.seen import Fault, Seen, some, span
from protos.versions.v1 import versions_pb2 as pb

_DAY = 86_400.0
SOON = 14 * _DAY
_RELEASE = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Running:
    """A process, and what it says of what it runs; None if it does not."""

    who: str
    part: pb.Part | None
    protocol: int


def running(seen: Seen) -> list[Running]:
    """Every process that tells, or is told of."""
    managers = [
        Running(f"version manager {target}", status.part, status.part.protocol)
        for target, status in seen.told
    ]
    routers = [
        Running(f"router {name}", router.report.part, router.report.part.protocol)
        for name, router in sorted(seen.routers.items())
    ]
    cells = [
        Running(f"cell {name}", cell.part if cell.HasField("part") else None, cell.cell.protocol)
        for name, cell in sorted(seen.cells.items())
        if cell.registered and cell.HasField("heard")
    ]
    return [*managers, *routers, *cells]


def due(seen: Seen) -> Iterator[Fault]:
    """Certificates that end within 14 days, and releases that are too far apart."""
    now = max((status.now for _, status in seen.told), default=0.0)
    found = running(seen)
    for one in found:
        for certificate in one.part.certificates if one.part else ():
            if certificate.ends - now < SOON:
                yield _ending(one.who, certificate, now)
    yield from _of_releases(found)


def _ending(who: str, certificate: pb.Certificate, now: float) -> Fault:
    left = certificate.ends - now
    kind = "authority" if certificate.setting.endswith("-ca") else "certificate"
    ends = f"ends in {span(left)}" if left > 0 else f"ended {span(-left)} ago"
    advice = f"have a new one issued, and rename it over the file of --{certificate.setting}"
    if certificate.setting.startswith(("peer-", "etcd-")):
        advice += "; then restart the process, which reads it when it starts"
    return Fault("certificate", who, f"the {kind} of {who} (--{certificate.setting}) {ends}", advice)


def _of_releases(found: list[Running]) -> Iterator[Fault]:
    by_release: dict[tuple[int, int], list[str]] = {}
    for one in found:
        if one.part and (read := _RELEASE.match(one.part.release)):
            by_release.setdefault((int(read[1]), int(read[2])), []).append(one.who)
    silent = [one.who for one in found if one.part is None]
    if silent:
        words = f"{some(silent)} {'is' if len(silent) == 1 else 'are'} of a release that does not say which"
        yield Fault("release", "", words)
    if len(by_release) < 2:
        return
    which = "; ".join(f"{major}.{minor}: {some(who)}" for (major, minor), who in sorted(by_release.items()))
    if _apart(min(by_release), max(by_release)) or len(by_release) > 2:
        yield Fault(
            *("release", ""),
            f"parts are more than one release apart: {which}",
            "bring the older ones up, one release after the other (docs/operating.md)",
        )
    else:
        yield Fault("release", "", f"parts of two releases run, as during an upgrade: {which}")


def _apart(oldest: tuple[int, int], newest: tuple[int, int]) -> bool:
    """Whether `newest` is more than the release after `oldest`."""
    if oldest[0] == newest[0]:
        return newest[1] > oldest[1] + 1
    return newest != (oldest[0] + 1, 0)
