"""`croupierctl status`: is everything all right, and if not, what, in one look."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from croupier.errors import CroupierError, Unavailable, Unimplemented
from croupierctl import output
from croupierctl.advice import advice
from croupierctl.faults import Answer, Fault, Seen, faults
from croupierctl.servers import ask_each, current
from croupierctl.upkeep import due
from protos.versions.v1 import versions_pb2 as pb

# Whoever looks waits no longer, whatever hangs.
_PATIENCE = 1.75
_AGAIN_SECONDS = 2.0
_ROWS = 12
_FAULTS = 20
_WIDEST = 100

_WELL, _WRONG, _UNKNOWN = 0, 1, 2


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
    errors = [answer for _, answer in told if isinstance(answer, CroupierError)]
    seen = Seen([_answer(target, answer) for target, answer in told])
    if clear and sys.stdout.isatty():
        print("\x1b[2J\x1b[H", end="")
    if not seen.told:
        for (target, _), error in zip(told, errors, strict=True):
            output.problem(type(error)(f"version manager {target}: {_why(error)}"), advice(error))
        return _UNKNOWN
    found = [*faults(seen), *due(seen)]
    wrong = [fault for fault in found if fault.is_wrong]
    notes = [fault for fault in found if not fault.is_wrong]
    if current().as_json:
        output.emit(_document(seen, wrong, notes))
    else:
        _print_parts(seen, everything=everything)
        _print_faults(wrong, notes, everything=everything)
    return _WRONG if wrong else _WELL


def _answer(target: str, answer: pb.Status | CroupierError) -> Answer:
    if isinstance(answer, CroupierError):
        return Answer(target, None, _why(answer))
    return Answer(target, answer)


def _why(error: CroupierError) -> str:
    if isinstance(error, Unimplemented):
        return "it is of a release before this one"
    if isinstance(error, Unavailable) and error.reason == Unavailable.reason:
        # What gRPC says of it is long, and no more than this.
        return "it cannot be connected to"
    return error.message or error.reason


def _print_parts(seen: Seen, *, everything: bool) -> None:
    most = 10**9 if everything else _ROWS
    _print(("etcd", "version", "revision", "size", "leader"), _etcd_rows(seen), most)
    _print(
        ("version manager", "release", "protocol", "revision", "models", "generation", "map"),
        _manager_rows(seen),
        most,
    )
    _print(("router", "release", "protocol", "revision", "heard", "view"), _router_rows(seen), most)
    _print(
        ("cell", "zone", "state", "release", "models", "used", "capacity", "oldest", "heard"),
        _cell_rows(seen),
        most,
    )


def _print(columns: Sequence[str], rows: list[tuple[Any, ...]], most: int) -> None:
    if not rows:
        return
    output.table(columns, rows[:most])
    if len(rows) > most:
        output.say(f"and {len(rows) - most} more: --all")
    output.say("")


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
    rows: list[tuple[Any, ...]] = []
    for answer in seen.answers:
        told = answer.status
        if told is None:
            rows.append((answer.target, "silent", None, None, None, None, ""))
            continue
        state = "frozen" if told.frozen else "moves"
        part = told.part
        rows.append(
            (answer.target, part.release, part.protocol, told.revision, told.models, told.generation, state)
        )
    return rows


def _router_rows(seen: Seen) -> list[tuple[Any, ...]]:
    return [
        (
            one.report.address or name,
            one.report.part.release,
            one.report.part.protocol,
            one.report.revision,
            _ago(one.heard),
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
    rows = []
    for name, one in sorted(seen.cells.items(), key=lambda item: (item[1].registered, item[0])):
        cell, load = one.cell, one.cell.load
        is_loaded = one.registered and bool(load.resident)
        rows.append(
            (
                name,
                cell.zone,
                cell.state if one.registered else "missing",
                one.part.release,
                load.resident if one.registered else None,
                output.size(load.used_bytes) if one.registered else None,
                output.size(load.capacity_bytes) if one.registered else None,
                _ago(load.oldest_seconds) if is_loaded else None,
                _ago(one.heard) if one.HasField("heard") else None,
            )
        )
    return rows


def _ago(seconds: float) -> output.Shown:
    shown = f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return output.Shown(seconds, shown if seconds < 600 else f"{seconds / 60:.0f} min")


def _print_faults(wrong: list[Fault], notes: list[Fault], *, everything: bool) -> None:
    most = len(wrong) if everything else _FAULTS
    for fault in notes:
        _wrapped("note: ", f"{fault.words}.")
    if notes:
        output.say("")
    if not wrong:
        output.say("All is well.")
        return
    output.say("One thing is wrong:" if len(wrong) == 1 else f"{len(wrong):,} things are wrong:")
    for number, fault in enumerate(wrong[:most], 1):
        output.say("")
        _wrapped(f"{number}. ", f"{fault.words}.")
        _wrapped("   → ", f"{fault.advice}.")
    if len(wrong) > most:
        output.say(f"\nand {len(wrong) - most:,} more: --all")


def _wrapped(begin: str, words: str) -> None:
    width = min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)
    shown = textwrap.wrap(
        # What comes from others must not begin lines of its own.
        " ".join(words.split()),
        width,
        initial_indent=begin,
        subsequent_indent=" " * len(begin),
        break_long_words=False,
        break_on_hyphens=False,
    )
    output.say("\n".join(shown))


def _document(seen: Seen, wrong: Iterable[Fault], notes: Iterable[Fault]) -> dict[str, Any]:
    wrong = list(wrong)
    etcd = ("endpoint", "version", "revision", "size_bytes", "has_leader")
    managers = ("manager", "release", "protocol", "revision", "models", "generation", "map")
    routers = ("router", "release", "protocol", "revision", "heard_seconds", "view")
    cells = (
        *("cell", "zone", "state", "release", "models", "used_bytes", "capacity_bytes"),
        *("oldest_seconds", "heard_seconds"),
    )
    return {
        "well": not wrong,
        "faults": [asdict(fault) for fault in wrong],
        "notes": [{"part": note.part, "name": note.name, "words": note.words} for note in notes],
        "etcd": _objects(etcd, _etcd_rows(seen)),
        "managers": _objects(managers, _manager_rows(seen)),
        "routers": _objects(routers, _router_rows(seen)),
        "cells": _objects(cells, _cell_rows(seen)),
    }


def _objects(names: Sequence[str], rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [dict(zip(names, row, strict=True)) for row in rows]
