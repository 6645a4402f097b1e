"""`croupierctl status`: is everything all right, and if not, what, in one look."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from croupier.errors import CroupierError
from croupierctl import output
from croupierctl.advice import advice
from croupierctl.faults import faults
from croupierctl.seen import Seen, state
from croupierctl.servers import ask_each, current
from croupierctl.upkeep import due
from croupierctl.verdict import UNKNOWN, Verdict, ago, answer, failure, objects, rows
from protos.versions.v1 import versions_pb2 as pb

# Whoever looks waits no longer, whatever hangs.
_PATIENCE = 1.75
_AGAIN_SECONDS = 2.0
_ROWS = 12


def status(
    everything: Annotated[
        bool, typer.Option("--all", help="Show every part and every fault, however many.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every two seconds, until interrupted.")
    ] = False,
) -> None:
    """Say whether all is well, and if not, what is wrong.

    Asks every version manager of --manager. Exit code 0: all is well; 1: something is wrong; 2: that could
    not be found out.
    """
    while True:
        code = _look(everything=everything, clear=watch)
        if not watch:
            raise typer.Exit(code)
        time.sleep(_AGAIN_SECONDS)


def _look(*, everything: bool, clear: bool) -> int:
    told = ask_each(lambda manager: manager.get_status(timeout=_PATIENCE), _PATIENCE)
    errors = [one for _, one in told if isinstance(one, CroupierError)]
    seen = Seen([answer(target, one) for target, one in told])
    if clear and sys.stdout.isatty():
        print("\x1b[2J\x1b[H", end="")
    if not seen.told:
        for (target, _), error in zip(told, errors, strict=True):
            output.problem(type(error)(f"version manager {target}: {failure(error)}"), advice(error))
        return UNKNOWN
    verdict = Verdict.of([*faults(seen), *due(seen)])
    if current().as_json:
        output.emit(verdict.document() | _parts(seen))
    else:
        _print_parts(seen, everything=everything)
        verdict.say(everything=everything)
    return verdict.code


def _print_parts(seen: Seen, *, everything: bool) -> None:
    most = 10**9 if everything else _ROWS
    rows(("etcd", "version", "revision", "size", "leader"), _etcd_rows(seen), most)
    rows(
        ("version manager", "release", "protocol", "revision", "models", "generation", "map"),
        _manager_rows(seen),
        most,
    )
    rows(("router", "release", "protocol", "revision", "heard", "view"), _router_rows(seen), most)
    rows(
        ("cell", "zone", "state", "release", "models", "used", "capacity", "oldest", "heard"),
        _cell_rows(seen),
        most,
    )


def _etcd_rows(seen: Seen) -> list[tuple[Any, ...]]:
    members: dict[str, pb.EtcdMember] = {}
    for _, told in seen.told:
        for member in told.etcd.members:
            if member.endpoint not in members or not member.failure:
                members[member.endpoint] = member
    return [
        (
            endpoint,
            "silent" if member.failure else member.version,
            None if member.failure else member.revision,
            None if member.failure else output.size(member.size_bytes),
            None if member.failure else member.has_leader,
        )
        for endpoint, member in sorted(members.items())
    ]


def _manager_rows(seen: Seen) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for one in seen.answers:
        told = one.status
        if told is None:
            found.append((one.target, "silent", None, None, None, None, ""))
            continue
        state = "frozen" if told.frozen else "moves"
        part = told.part
        found.append(
            (one.target, part.release, part.protocol, told.revision, told.models, told.generation, state)
        )
    return found


def _router_rows(seen: Seen) -> list[tuple[Any, ...]]:
    return [
        (
            one.report.address or name,
            one.report.part.release,
            one.report.part.protocol,
            one.report.revision,
            ago(one.heard),
            _view(one),
        )
        for name, one in sorted(seen.routers.items(), key=lambda item: (-item[1].heard > -2, item[0]))
    ]


def _view(router: pb.RouterStatus) -> str:
    report = router.report
    if not report.serving:
        return "none"
    if not report.HasField("view_age"):
        return "snapshot"
    return "frozen" if report.refuses else "behind" if router.behind else "current"


def _cell_rows(seen: Seen) -> list[tuple[Any, ...]]:
    found = []
    for name, one in sorted(seen.cells.items(), key=lambda item: (item[1].registered, item[0])):
        cell, load = one.cell, one.cell.load
        is_loaded = one.registered and bool(load.resident)
        found.append(
            (
                name,
                cell.zone,
                state(cell) if one.registered else "missing",
                one.part.release,
                load.resident if one.registered else None,
                output.size(load.used_bytes) if one.registered else None,
                output.size(load.capacity_bytes) if one.registered else None,
                ago(load.oldest_seconds) if is_loaded else None,
                ago(one.heard) if one.HasField("heard") else None,
            )
        )
    return found


def _parts(seen: Seen) -> dict[str, Any]:
    etcd = ("endpoint", "version", "revision", "size_bytes", "has_leader")
    managers = ("manager", "release", "protocol", "revision", "models", "generation", "map")
    routers = ("router", "release", "protocol", "revision", "heard_seconds", "view")
    cells = (
        *("cell", "zone", "state", "release", "models", "used_bytes", "capacity_bytes"),
        *("oldest_seconds", "heard_seconds"),
    )
    return {
        "etcd": objects(etcd, _etcd_rows(seen)),
        "managers": objects(managers, _manager_rows(seen)),
        "routers": objects(routers, _router_rows(seen)),
        "cells": objects(cells, _cell_rows(seen)),
    }
