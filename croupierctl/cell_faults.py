"""What is wrong with a cell, from its report and from what routers say of it: pure.

A cell hangs whose report is overdue, and one that reports and does not answer: routers notice that after the
time of an attempt, and it is believed when it has happened twice with no answer in between. Three things look
the same to them and are others: a store that is slow (`strain`), a model that loads for long, and one that
does not end. A cell says of itself that it is at those.

What passes within seconds is nobody's fault: a cell that restarts, that drains, or whose machine was busy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from croupierctl.seen import CELL_SILENCE, Fault, Word, some, span, state
from protos.versions.v1 import versions_pb2 as pb

# Of cells that left a moment ago: so long may a restart take.
_RESTART = 5.0
# So often routers found it silent, with no answer in between; what was longer ago is not known to hold: a
# breaker is open for ten seconds at most, and then tries.
_SILENT_TIMES = 2
_FRESH = 12.0
# For so long it cannot be connected to, or refuses everything.
_LASTING = 4.0
# Calls that were given up in ten seconds, and in how many of those, of a cell that answers others.
_SLOW_CALLS, _SLOW_SECONDS = 20, 3
# A store that keeps a read waiting, or takes for each.
STORE_WAIT, STORE_MEAN = 2.5, 1.0
# A load, and a run, that take long; runs that were stopped in ten seconds, since they did not end.
_LOAD, _RUN, _STOPPED = 1.0, 2.5, 2
# A cell that is so full, and whose oldest model was used so few seconds ago, gives up what is in use.
_FULL = 0.9
_YOUNG = 30.0


def of_cell(name: str, cell: pb.CellStatus, said: Sequence[Word]) -> Iterator[Fault]:
    """Faults and notes of one cell; `said` is what routers have to say of it."""
    if not cell.registered:
        yield _missing(name, cell)
        return
    yield from _of_answers(name, cell, said)
    yield from _of_runs(name, cell.cell.load.work)
    yield from _of_seat(name, cell)
    yield from _of_models(name, cell.cell.load)


def waits_for_store(work: pb.Work) -> float:
    """Seconds for which a read of the store takes, or has taken until now; 0 if that is not long."""
    store = work.store
    if store.oldest_seconds >= STORE_WAIT:
        return store.oldest_seconds
    return store.mean_seconds if store.done > 1 and store.mean_seconds >= STORE_MEAN else 0.0


def is_heard(cell: pb.CellStatus) -> bool:
    """Whether what it said a moment ago still holds."""
    return cell.registered and cell.HasField("heard") and cell.heard <= CELL_SILENCE


def gives_up_used_models(load: pb.Load) -> bool:
    is_full = bool(load.capacity_bytes) and load.used_bytes >= _FULL * load.capacity_bytes
    return is_full and bool(load.resident) and load.oldest_seconds < _YOUNG


def _missing(name: str, cell: pb.CellStatus) -> Fault:
    if cell.HasField("left") and cell.left < _RESTART:
        return Fault("cell", name, f"cell {name} has just left: it may come back at once")
    return Fault(
        *("cell", name),
        f"cell {name} in {cell.seat_zone} has a seat and is not registered: the rest of each hand serves",
        "start it again, or look at its log; if it is gone for good: "
        f"croupierctl cells drain {name}, then croupierctl cells remove {name}",
    )


def _of_answers(name: str, cell: pb.CellStatus, said: Sequence[Word]) -> Iterator[Fault]:
    address = cell.cell.address
    silent = [one for one in said if _is_silent(one.trouble)]
    if not cell.HasField("heard"):
        yield Fault(
            *("cell", name),
            f"cell {name} is registered, and reports to no version manager that answers",
            f"see whether it runs at {address}, and is told every version manager: --manager",
        )
    elif cell.heard > CELL_SILENCE:
        also = f", and {_who(silent)} had no answer from it for {_longest(silent)}" if silent else ""
        yield Fault(
            *("cell", name),
            f"cell {name} hangs, or cannot be heard: its report is overdue by {span(cell.heard - 1)}{also}",
            f"look at it at {address}, and at its log; end its process if it does not come back",
        )
    elif (fault := _what_routers_say(name, cell, said, silent)) is not None:
        yield fault


def _what_routers_say(
    name: str, cell: pb.CellStatus, said: Sequence[Word], silent: Sequence[Word]
) -> Fault | None:
    """Of a cell that reports: that callers get no answer all the same."""
    address, work = cell.cell.address, cell.cell.load.work
    loading = work.oldest_load_seconds
    if waits_for_store(work) or work.store.oldest_seconds >= _LOAD or work.HasField("run"):
        # That is why; if it lasts, it is said for itself.
        return None
    if silent and loading >= _LOAD:
        return Fault(
            *("cell", name),
            f"cell {name} keeps callers waiting: a model has been loading for {span(loading)}",
            "see what it loads at /debug/loads of its admin port, and whether its disk and machine keep up",
        )
    if silent:
        return Fault(
            *("cell", name),
            f"cell {name} hangs: {_who(silent)} had no answer from it for {_longest(silent)}, "
            "though it reports",
            f"look at it at {address}, and at its log; end its process if it does not come back",
        )
    lasting = [one for one in said if _is_fresh(one.trouble) and one.trouble.seconds >= _LASTING]
    if away := [one for one in lasting if one.trouble.why == "unreachable"]:
        return Fault(
            *("cell", name),
            f"cell {name} cannot be connected to at {address}: {_who(away)} tried for {_longest(away)}, "
            "though it reports",
            "see to the way from there to it, its --advertise, and that certificates of both hold",
        )
    refusing = [one for one in lasting if one.trouble.why == "unavailable"]
    if refusing and cell.cell.state in ("", "active"):
        return Fault(
            *("cell", name),
            f"cell {name} turns requests away: {_who(refusing)} got nothing else for {_longest(refusing)}",
            "it has more to do than it can: see its load with croupierctl cells ls, and its log",
        )
    given_up = sum(one.trouble.given_up for one in said)
    if given_up >= _SLOW_CALLS and max(one.trouble.given_up_seconds for one in said) >= _SLOW_SECONDS:
        return Fault(
            *("cell", name),
            f"cell {name} is slow: of the calls to it in the last 10 s, {given_up:,} got no answer in the "
            "time of an attempt and went on to others",
            "see what it is at: /debug/ of its admin port, its log, and whether its machine keeps up",
        )
    return None


def _is_fresh(trouble: pb.CellTrouble) -> bool:
    return bool(trouble.opened) and trouble.failed_ago <= _FRESH


def _is_silent(trouble: pb.CellTrouble) -> bool:
    return _is_fresh(trouble) and trouble.why == "silent" and trouble.opened >= _SILENT_TIMES


def _who(said: Sequence[Word]) -> str:
    return f"router{'s' * (len(said) > 1)} {some([one.router for one in said])}"


def _longest(said: Sequence[Word]) -> str:
    return span(max(one.trouble.seconds for one in said))


def _runs_long(work: pb.Work) -> bool:
    return work.run.seconds >= _RUN or work.run.stopped >= _STOPPED


def _of_runs(name: str, work: pb.Work) -> Iterator[Fault]:
    """Of a model that does not end: callers of others are served meanwhile."""
    if not _runs_long(work):
        return
    run, artifact = work.run, work.run.artifact.hex()[:12]
    words = f"a model has run for {span(run.seconds)}"
    if run.seconds < _RUN:
        words = f"runs of a model are stopped since they do not end, {run.stopped} in the last 10 s"
    yield Fault(
        *("cell", name),
        f"on cell {name} {words}: artifact {artifact}",
        "publish a mended version: croupierctl why TENANT says whether it is that tenant's; once it has run "
        "for too long, it is refused for a while by itself",
    )


def _of_seat(name: str, cell: pb.CellStatus) -> Iterator[Fault]:
    if cell.seated and cell.cell.zone != cell.seat_zone:
        yield Fault(
            *("cell", name),
            f"cell {name} is in {cell.cell.zone}, and the shard map has it in {cell.seat_zone}",
            "have the map follow it: croupierctl cells add --all; or start it in the other --zone",
        )
    if cell.cell.state not in ("", "active"):
        yield Fault("cell", name, f"cell {name} is {state(cell.cell)}")
    elif not cell.seated:
        yield Fault("cell", name, f"cell {name} has no seat: croupierctl cells add {name} gives it one")


def _of_models(name: str, load: pb.Load) -> Iterator[Fault]:
    if load.quarantined_total:
        latest = load.quarantined[-1] if load.quarantined else pb.Quarantined()
        which = f", last {latest.artifact.hex()[:12]} ({latest.why} at {latest.phase})" if latest.why else ""
        count = "an artifact" if load.quarantined_total == 1 else f"{load.quarantined_total} artifacts"
        yield Fault(
            *("cell", name),
            f"cell {name} refuses {count} that crashed or hung it{which}",
            f"publish mended versions: croupierctl cells quarantine {name} lists them",
        )
    if gives_up_used_models(load):
        yield Fault(
            *("cell", name),
            f"cell {name} gives up models that are in use: it is {load.used_bytes / load.capacity_bytes:.0%} "
            f"full, and the one that it used longest ago it used {span(load.oldest_seconds)} ago",
            "give it more memory, or its tenants more cells: croupierctl shards hand-size N",
        )
