"""`croupierctl why`: everything that bears on one tenant, in one look, and what of it is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar

import typer

from croupier.errors import CroupierError, DeadlineExceeded, NotFound, PermissionDenied, Unimplemented
from croupier.grpcio.manager import VersionManagerClient
from croupier.names import check_name
from croupierctl import output
from croupierctl.advice import advice
from croupierctl.arguments import Tenant
from croupierctl.causes import Asked, causes
from croupierctl.seen import Seen, Word, state, words
from croupierctl.servers import ask_each, current
from croupierctl.verdict import UNKNOWN, Verdict, ago, answer, failure, objects, rows
from protos.versions.v1 import versions_pb2 as pb

T = TypeVar("T")

# Whoever looks waits no longer, whatever hangs; one answer of several is waited for a little less.
_PATIENCE = 1.4
_EACH = 1.2
_ROWS = 12
_NAMES = 1_000

# What a manager said, by what it was asked.
_Told = dict[str, Any]

_CELLS = (
    *("cell", "zone", "state", "models", "used", "oldest"),
    *("queue", "in flight", "latency", "loading", "cold/min", "store", "breaker", "heard"),
)
_CELL_KEYS = (
    *("cell", "zone", "state", "models", "used_share", "oldest_seconds"),
    *("waiting_rows", "in_flight", "latency_seconds"),
    *("loading", "cold_loads_a_minute", "store_seconds", "breaker", "heard_seconds"),
)
_VERSIONS = ("version", "traffic", "engine", "size", "in memory of", "used", "refused by")
_VERSION_KEYS = ("version", "basis_points", "engine", "size_bytes", "resident", "requests", "refused")
_ENDED = ("ago", "code", "reason", "took", "model", "cells", "tries", "request id")
_ENDED_KEYS = ("ago_seconds", "code", "reason", "seconds", "model", "cells", "attempts", "request_id")


def why(
    tenant: Tenant,
    model: Annotated[
        str, typer.Argument(metavar="[MODEL]", help="One of its models.", show_default=False)
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Show every row and fault, however many.")
    ] = False,
) -> None:
    """Say why a tenant's requests are slow, refused or wrong.

    Shows its cells, its limits, a model's versions and the latest requests that failed. Exit code 0: nothing
    is wrong for it; 1: something is; 2: that could not be found out.
    """
    check_name(tenant, "tenant")
    if model:
        check_name(model, "model")
    found = ask_each(lambda manager: _ask(manager, tenant, model), _PATIENCE)
    asked = _asked(tenant, model, found)
    if not asked.seen.told and asked.told is None:
        for target, told in found:
            error = told if isinstance(told, CroupierError) else told["status"]
            output.problem(type(error)(f"version manager {target}: {failure(error)}"), advice(error))
        raise typer.Exit(UNKNOWN)
    verdict, is_known = Verdict.of(causes(asked)), asked.told is not None
    if current().as_json:
        well = {} if is_known or verdict.wrong else {"well": None}
        output.emit(verdict.document() | well | _document(asked))
    else:
        _say(asked, 10**9 if everything else _ROWS)
        verdict.say(everything=everything, is_known=is_known)
    raise typer.Exit(verdict.code if is_known or verdict.wrong else UNKNOWN)


async def _ask(manager: VersionManagerClient, tenant: str, model: str) -> _Told:
    """All that there is to ask, at once; what fails or hangs is an error in its place."""
    rates = pb.GetRatesRequest(tenant=tenant)
    questions: dict[str, Awaitable[Any]] = {
        "status": manager.get_status(timeout=_EACH),
        "tenant": manager.get_tenant(tenant, timeout=_EACH),
        "rates": manager.get_rates(rates, timeout=_EACH),
    }
    if model:
        questions["model"] = _model(manager, tenant, model)
        questions["usage"] = manager.get_usage(tenant, model)
    answers = await asyncio.gather(*map(_within, questions.values()))
    return dict(zip(questions, answers, strict=True))


async def _model(manager: VersionManagerClient, tenant: str, model: str) -> pb.Model | list[str]:
    """The model; or those that the tenant has, if it has none of that name."""
    try:
        return await manager.get_model(tenant, model)
    except NotFound:
        request = pb.ListModelsRequest(tenant=tenant, page_size=_NAMES)
        return [one.name for one in (await manager.list_models(request)).models]


async def _within(question: Awaitable[T]) -> T | CroupierError:
    try:
        async with asyncio.timeout(_EACH):
            return await question
    except TimeoutError:
        return DeadlineExceeded(f"it has not answered for {_EACH:g} s")
    except CroupierError as error:
        return error


def _asked(tenant: str, model: str, found: list[tuple[str, _Told | CroupierError]]) -> Asked:
    """What the managers know together: of each thing the word of one that knows it.

    Raises:
        PermissionDenied: the caller may not know of this tenant.
    """
    told = [one for _, one in found if not isinstance(one, CroupierError)]
    answers = [
        answer(target, one if isinstance(one, CroupierError) else one["status"]) for target, one in found
    ]
    failures: dict[str, str] = {}

    def best(what: str, name: str) -> Any:
        said = [one[what] for one in told if what in one]
        known = [one for one in said if not isinstance(one, CroupierError)]
        # Who has just started has heard little.
        if known:
            return max(known, key=lambda one: one.ByteSize() if hasattr(one, "ByteSize") else 0)
        if what == "tenant" and said and all(isinstance(one, PermissionDenied) for one in said):
            raise said[0]
        errors = [one for one in said if not isinstance(one, NotFound)]
        if errors and not (what == "rates" and isinstance(errors[0], Unimplemented)):
            failures[name] = failure(errors[0])
        return None

    one_model = best("model", "the model") if model else None
    status = best("tenant", "what its hand is and routers say of it")
    rates: pb.GetRatesResponse | None = best("rates", "how much it asks for")
    usage = best("usage", "what cells have in memory") if model else None
    return Asked(
        tenant=tenant,
        seen=Seen(answers),
        told=status,
        model=model,
        found=one_model if isinstance(one_model, pb.Model) else None,
        names=one_model if isinstance(one_model, list) else None,
        usage=usage,
        rates=next((row for row in rates.rows if row.tenant == tenant), None) if rates else None,
        failures=failures,
    )


def _say(asked: Asked, most: int) -> None:
    told = asked.told
    if told is not None:
        count = "1 model" if told.models == 1 else f"{told.models:,} models"
        hand = f"{len(told.hand)} cell{'s' * (len(told.hand) != 1)}"
        output.say(
            f"tenant {asked.tenant}: {count}; generation {told.generation} deals it {hand}{_kept(told)}"
        )
    if (line := _rate(asked.rates)) is not None:
        output.say(line)
    output.say("")
    rows(_CELLS, _cell_rows(asked), most)
    if asked.found is not None:
        output.say(f"model {asked.model}, release {asked.found.release.number}{_hot(told, asked.model)}:")
        rows(_VERSIONS, _version_rows(asked), most)
    if told is not None and told.requests:
        output.say("the latest requests that failed or were slow:")
        rows(_ENDED, _ended_rows(told), most)


def _kept(told: pb.TenantStatus) -> str:
    parts = []
    if told.residency.floor_bytes:
        parts.append(f"each keeps {output.size(told.residency.floor_bytes).text} of its models")
    if told.residency.pinned:
        parts.append(f"pinned: {', '.join(told.residency.pinned[:5])}")
    return "".join(f"; {part}" for part in parts)


def _hot(told: pb.TenantStatus | None, model: str) -> str:
    hot = next((one for one in told.hot if one.model == model), None) if told is not None else None
    if hot is None:
        return ""
    return f", hot with {hot.requests_per_second:,.0f} requests/s: {hot.copies} cells of its hand serve it"


def _rate(row: pb.RateRow | None) -> str | None:
    window = next((one for one in row.windows if one.seconds), None) if row is not None else None
    if window is None:
        return None
    counts = window.counts
    words = f"in the last {window.seconds:.0f} s {counts.requests:,} requests"
    for count, name in ((counts.failed, "failed"), (counts.refused, "refused"), (counts.cold, "cold")):
        words += f", {count:,} {name}"
    if window.HasField("p50") and window.HasField("p99"):
        words += f"; half within {window.p50 * 1e3:.3g} ms, 99 % within {window.p99 * 1e3:.3g} ms"
    return words


def _cell_rows(asked: Asked) -> list[tuple[Any, ...]]:
    """The hand, in the order of its places; what a part of another release does not tell is not known."""
    cells, said = asked.seen.cells, words(asked.seen)
    tells = any(one.report.HasField("troubles") for one in asked.seen.routers.values())
    uses = {use.cell: use for use in asked.told.uses} if asked.told is not None else {}
    found: list[tuple[Any, ...]] = []
    for name in asked.hand:
        flight = _in_flight(uses.get(name)), _latency(uses.get(name))
        one = cells.get(name)
        breaker = _breaker(said.get(name, ())) if tells else output.Shown(None, "unknown")
        if one is None or not one.registered:
            found.append(
                (
                    name,
                    one.cell.zone if one else None,
                    "missing",
                    *[None] * 4,
                    *flight,
                    *[None] * 3,
                    breaker,
                    None,
                )
            )
            continue
        load, work = one.cell.load, one.cell.load.work
        knows = load.HasField("work")
        share = load.used_bytes / load.capacity_bytes if load.capacity_bytes else 0.0
        found.append(
            (
                name,
                one.cell.zone,
                state(one.cell),
                load.resident,
                output.Shown(share, f"{share:.0%} of {output.size(load.capacity_bytes).text}"),
                ago(load.oldest_seconds) if load.resident else None,
                work.waiting_rows if knows else output.Shown(None, "unknown"),
                *flight,
                work.loading if knows else load.loading,
                _cold(work) if knows else output.Shown(None, "unknown"),
                _store(work) if knows else output.Shown(None, "unknown"),
                breaker,
                ago(one.heard) if one.HasField("heard") else None,
            )
        )
    return found


def _in_flight(use: pb.CellUse | None) -> output.Shown:
    """The calls of all routers that tell, and how many those may have that limit them."""
    if use is None:
        return output.Shown(None, "")
    words = f"{use.in_flight:,}"
    if use.limiting:
        words += f", at most {use.limit:,}"
        words += f" of {use.limiting} of {use.routers} routers" if use.routers > 1 else ""
    return output.Shown(use.in_flight, words)


def _latency(use: pb.CellUse | None) -> output.Shown:
    known = use is not None and use.latency_seconds
    return output.Shown(known or None, f"{known * 1e3:.3g} ms" if known else "")


def _cold(work: pb.Work) -> output.Shown:
    minute = work.loaded * 60 / work.seconds if work.seconds else 0.0
    return output.Shown(minute, f"{minute:,.0f}")


def _store(work: pb.Work) -> output.Shown:
    """How long a read takes, or has taken until now."""
    seconds = max(work.store.mean_seconds, work.store.oldest_seconds)
    return output.Shown(seconds, f"{seconds * 1e3:.3g} ms" if seconds else "")


def _breaker(said: tuple[Word, ...] | list[Word]) -> output.Shown:
    opened = [one for one in said if one.trouble.opened and one.trouble.breaker != "closed"]
    if not opened:
        return output.Shown("closed", "closed")
    worst = max(opened, key=lambda one: one.trouble.opened).trouble
    at = f" at {len(opened)} routers" if len(opened) > 1 else f" at {opened[0].router}"
    return output.Shown(worst.breaker, f"{worst.breaker} ({worst.why}){at}")


def _version_rows(asked: Asked) -> list[tuple[Any, ...]]:
    assert asked.found is not None
    traffic = {split.version: split.basis_points for split in asked.found.release.splits}
    resident: dict[int, list[tuple[str, int]]] = {}
    for cell in asked.usage.cells if asked.usage is not None else ():
        for one in cell.versions:
            resident.setdefault(one.version, []).append((cell.cell, one.requests))
    refused: dict[int, list[str]] = {}
    for row in asked.told.refused if asked.told is not None else ():
        if row.model == asked.model:
            refused.setdefault(row.version, []).append(row.cell)
    found: list[tuple[Any, ...]] = []
    # Those that get traffic first, then the latest.
    for version in sorted(asked.found.versions, key=lambda one: (one.number not in traffic, -one.number)):
        held = resident.get(version.number, [])
        where, count = output.listing([cell for cell, _ in held]), sum(used for _, used in held)
        unknown = output.Shown(None, "unknown")
        found.append(
            (
                version.number,
                output.share(traffic.get(version.number, 0)),
                version.engine,
                output.size(version.size),
                where if asked.usage is not None else unknown,
                count if asked.usage is not None else unknown,
                output.listing(refused.get(version.number, [])),
            )
        )
    return found


def _ended_rows(told: pb.TenantStatus) -> list[tuple[Any, ...]]:
    return [
        (
            ago(one.ago),
            one.code,
            one.reason if one.reason != one.code else "",
            output.Shown(one.seconds, f"{one.seconds * 1e3:,.0f} ms"),
            one.model,
            output.listing(one.cells),
            one.attempts,
            one.request_id,
        )
        for one in told.requests
    ]


def _document(asked: Asked) -> dict[str, Any]:
    told = asked.told
    versions = objects(_VERSION_KEYS, _version_rows(asked)) if asked.found is not None else None
    return {
        "tenant": asked.tenant,
        "models": told.models if told is not None else None,
        "generation": told.generation if told is not None else None,
        "hand": objects(_CELL_KEYS, _cell_rows(asked)),
        "previous_hand": list(told.previous_hand) if told is not None else None,
        "floor_bytes": told.residency.floor_bytes if told is not None else None,
        "pinned": list(told.residency.pinned) if told is not None else None,
        "limits_in_flight": {use.cell: use.limit for use in told.uses if use.limiting} if told else None,
        "hot": {one.model: one.copies for one in told.hot} if told else None,
        "model": asked.model or None,
        "versions": versions,
        "requests": objects(_ENDED_KEYS, _ended_rows(told)) if told is not None else None,
    }
