"""Why a tenant's requests are slow, refused or wrong, from what version managers tell: pure.

Each cause is a fault as those of `status`: a sentence and an advice; what is only worth knowing is a note.
What is wrong with a cell of the tenant's hand, with the store, the map or a router is its matter too.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from croupierctl.cell_faults import gives_up_used_models
from croupierctl.faults import faults
from croupierctl.seen import Fault, Seen, some, span
from croupierctl.seen import words as words_of
from croupierctl.strain import REFUSED_SECONDS, at_limits, refused
from protos.versions.v1 import versions_pb2 as pb

# Of a tenant's requests in some seconds: so many, before a share of them says something.
_ENOUGH = 20
_COLD_SHARE, _FAILED_SHARE, _REFUSED_SHARE = 0.2, 0.01, 0.1
# Cold loads in ten seconds of a hand that has no room, before they are too many.
_EVICTIONS = 10
# A request that ended longer ago says nothing of now.
_NOW = 30.0
_MOST = 5

# What is wrong for everybody.
_COMMON = frozenset({"manager", "router", "map", "store"})
_CALLERS = {
    "INVALID_ARGUMENT": "the caller has to mend what it sends; its errors say which field",
    "NOT_FOUND": "the caller names a model, version or label that is not there: croupierctl models ls",
    "PERMISSION_DENIED": "the caller asks for another tenant's, or its token is for another one",
    "UNAUTHENTICATED": "the caller's token does not hold: see its keys and clock",
    "RESOURCE_EXHAUSTED": "the caller sends more at a time than it may: its errors say which limit",
    "FAILED_PRECONDITION": "a version is refused: see which above, and publish a mended one",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of `tenant`, and of one of its models if `model` is not empty; None: that is not known.

    `names` are models of the tenant, where there is none of the name that was asked for.
    """

    tenant: str
    seen: Seen
    told: pb.TenantStatus | None = None
    model: str = ""
    found: pb.Model | None = None
    names: Sequence[str] | None = None
    usage: pb.Usage | None = None
    rates: pb.RateRow | None = None
    # Why something is not known, by what it is.
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def hand(self) -> list[str]:
        return list(self.told.hand) if self.told is not None else []


def causes(asked: Asked) -> Iterator[Fault]:
    """What of it is wrong, the nearest to the tenant first; and notes."""
    told = asked.told
    for what, why in asked.failures.items():
        yield Fault("manager", what, f"{what} is not known: {why}")
    if told is not None:
        yield from _of_name(asked, told)
        yield from _of_model(asked)
        yield from _of_limits(asked, told)
        yield from _of_versions(told)
    yield from _of_hand(asked)
    yield from _of_memory(asked)
    yield from _of_rates(asked)
    if told is not None:
        yield from _of_requests(told)
    yield from _of_everybody(asked)


def _of_name(asked: Asked, told: pb.TenantStatus) -> Iterator[Fault]:
    if not told.models:
        like = f": did you mean {some(list(told.alike))}?" if told.alike else ""
        yield Fault(
            *("tenant", asked.tenant),
            f"there is no tenant {asked.tenant}: none has a model here{like}",
            "see what there is: croupierctl models ls",
        )
    if told.generation and not told.hand:
        yield Fault(
            *("tenant", asked.tenant),
            f"the hand of {asked.tenant} is empty: every cell is draining or kept out of it",
            f"see which rule that is: croupierctl hand {asked.tenant}",
        )
    if told.routers_telling < told.routers:
        silent = told.routers - told.routers_telling
        yield Fault("router", "", f"{silent} of {told.routers} routers are of a release that does not tell")


def _of_model(asked: Asked) -> Iterator[Fault]:
    if not asked.model:
        return
    if asked.names is not None:
        like = difflib.get_close_matches(asked.model, asked.names, cutoff=0.6)
        meant = f": did you mean {some(like)}?" if like else ""
        yield Fault(
            *("model", asked.model),
            f"tenant {asked.tenant} has no model {asked.model}{meant}",
            f"see what it has: croupierctl models ls --tenant {asked.tenant}",
        )
    if asked.found is None:
        return
    if not asked.found.release.splits:
        yield Fault(
            *("model", asked.model),
            f"model {asked.model} has no release: requests that name no version are NOT_FOUND",
            f"release one: croupierctl release set {asked.tenant} {asked.model} VERSION",
        )
    resident = {one.version for cell in asked.usage.cells for one in cell.versions} if asked.usage else None
    for split in asked.found.release.splits:
        if resident is not None and split.basis_points and split.version not in resident:
            words = f"version {split.version} is in no cell's memory: its next request waits for a load"
            yield Fault("model", asked.model, words)


def _of_limits(asked: Asked, told: pb.TenantStatus) -> Iterator[Fault]:
    yield from at_limits(asked.tenant, told.troubles)
    pressed = [one for one in told.troubles if one.refused_seconds >= REFUSED_SECONDS]
    if pressed:
        yield refused(asked.tenant, pressed)
        return
    full = [one for one in told.troubles if one.refused or one.in_flight >= one.most_in_flight]
    for one in full[:_MOST]:
        words = f"it is at its limit at router {one.router}: {one.in_flight:,} of {one.most_in_flight:,}"
        yield Fault("tenant", asked.tenant, f"{words} requests in flight")


def _of_versions(told: pb.TenantStatus) -> Iterator[Fault]:
    for (model, version), rows in _by_version(told.refused):
        why = rows[0].quarantined
        yield Fault(
            *("model", model),
            f"version {version} of {model} is quarantined on {some([one.cell for one in rows])} "
            f"({why.why} at {why.phase})",
            "publish a mended version; to have this one served again: croupierctl cells lift "
            f"{why.artifact.hex()}",
        )
    for one in told.running[:_MOST]:
        run = one.run
        words = f"has run on {one.cell} for {span(run.seconds)}"
        if run.seconds < 1.0:
            words = f"was stopped on {one.cell} {run.stopped} times in the last 10 s, since it did not end"
        yield Fault(
            *("model", one.model),
            f"version {one.version} of {one.model} {words}",
            "publish a version that comes to an end; when it has run for too long, it is refused for a while",
        )


def _by_version(
    rows: Sequence[pb.RefusedVersion],
) -> list[tuple[tuple[str, int], list[pb.RefusedVersion]]]:
    found: dict[tuple[str, int], list[pb.RefusedVersion]] = {}
    for one in rows:
        found.setdefault((one.model, one.version), []).append(one)
    return sorted(found.items())[:_MOST]


def _of_hand(asked: Asked) -> Iterator[Fault]:
    hand, said = asked.hand, words_of(asked.seen)
    cooling = [
        name
        for name in hand
        if any(
            one.trouble.opened and one.trouble.breaker in ("open", "half-open") for one in said.get(name, ())
        )
    ]
    if not cooling:
        return
    advice = "the others serve meanwhile; if it does not pass in seconds, see to them"
    if len(cooling) == len(hand):
        advice = "all of its requests wait or fail: see to these cells first"
    verb = "is" if len(cooling) == 1 else "are"
    yield Fault(
        *("tenant", asked.tenant),
        f"{len(cooling)} of {len(hand)} cells of its hand {verb} cooling, for routers had failures there: "
        f"{some(cooling)}",
        advice,
    )


def _of_memory(asked: Asked) -> Iterator[Fault]:
    """Whether the cells have room for what they are asked for."""
    cells = asked.seen.cells
    loads = [cells[name].cell.load for name in asked.hand if name in cells]
    full = [load for load in loads if gives_up_used_models(load)]
    work = [load.work for load in full if load.HasField("work") and load.work.seconds]
    if sum(one.evictions for one in work) < _EVICTIONS:
        return
    cold = sum(one.loaded * 60 / one.seconds for one in work)
    yield Fault(
        *("tenant", asked.tenant),
        f"the models of its cells do not fit: {len(full)} of {len(asked.hand)} give up what is in use, with "
        f"{cold:,.0f} cold loads a minute",
        "give the cells more memory, the tenant more cells (--hand-size), or keep what it needs: "
        f"croupierctl tenants residency {asked.tenant} --floor MIB",
    )


def _of_rates(asked: Asked) -> Iterator[Fault]:
    """Of what routers counted in the last seconds."""
    window = next((one for one in asked.rates.windows if one.seconds), None) if asked.rates else None
    if window is None or window.counts.requests < _ENOUGH:
        return
    counts, name = window.counts, asked.tenant
    if (share := counts.cold / counts.requests) >= _COLD_SHARE:
        yield Fault(
            *("tenant", name),
            f"{share:.0%} of its requests are cold: they wait until their model is loaded",
            f"keep its models in memory: croupierctl tenants residency {name} --floor MIB, or --pin MODEL",
        )
    if (share := counts.failed / counts.requests) >= _FAILED_SHARE:
        yield Fault(
            *("tenant", name),
            f"{share:.0%} of its requests fail, and not by the caller's fault",
            "see the codes and cells of the latest ones above; their ids find them in the logs",
        )
    if (share := counts.refused / counts.requests) >= _REFUSED_SHARE:
        yield Fault(
            *("tenant", name),
            f"{share:.0%} of its requests are refused: the caller sends what is wrong, or too much",
            "see the codes of the latest ones above, and tell the caller",
        )


def _of_requests(told: pb.TenantStatus) -> Iterator[Fault]:
    """Of the latest ones that failed or were slow."""
    kinds: dict[tuple[str, str], list[pb.EndedRequest]] = {}
    for one in told.requests:
        if one.ago <= _NOW:
            kinds.setdefault((one.code, one.reason), []).append(one)
    for (code, reason), rows in list(kinds.items())[:_MOST]:
        slowest = max(one.seconds for one in rows)
        cells = some(sorted({cell for one in rows for cell in one.cells}))
        at = f" at {cells}" if cells else ""
        if code == "OK":
            words = f"requests are slow{at}: one took {slowest:.1f} s"
            advice = "with several tries, the first cells kept it waiting; else its model loaded, or is slow"
        else:
            also = f" ({reason})" if reason and reason != code else ""
            words = f"requests end with {code}{also}{at}, the last one {span(rows[0].ago)} ago"
            advice = _CALLERS.get(code, "find them by their ids in the logs of routers and cells")
        yield Fault("tenant", rows[0].tenant, words, advice)


def _of_everybody(asked: Asked) -> Iterator[Fault]:
    """What is wrong with the cells of the hand, with the tenant's records, and with what all depend on."""
    hand = {*asked.hand, *(asked.told.previous_hand if asked.told is not None else ())}
    for one in faults(asked.seen):
        is_own = one.part == "cell" and one.name in asked.hand
        is_former = one.part == "cell" and one.name in hand and one.is_wrong
        is_record = one.part == "record" and f"/{asked.tenant}/" in one.name
        if is_own or is_former or is_record or (one.part in _COMMON and one.is_wrong):
            yield one
