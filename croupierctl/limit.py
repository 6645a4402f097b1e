"""`croupierctl tenants limit`: what a tenant may take, or everybody who has no limits of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeAlias

import typer

from croupier.errors import InvalidRequest
from croupier.grpcio.manager import VersionManagerClient
from croupier.names import check_name
from croupierctl import output
from croupierctl.change import user
from croupierctl.how import DryRun
from croupierctl.servers import ask_manager, current
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.limits import FIELDS, NO_LIMITS, UNLIMITED, Limits, check_limits
from version_manager.model.wire import limits_from_pb, limits_to_pb

_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
# No float turns these to infinity.
_NUMBER = r"(\d{1,16}(?:\.\d{1,9})?)"
# What a limit counts; "at a time" is not by the second.
_OF = {
    "rate": "requests/s",
    "in_flight": "requests at a time",
    "cold_loads": "cold loads/s",
    "rows": "rows/s",
    "bytes": "/s",
}
_WORDS = "none: unlimited though the default limits it; default: nothing of its own"


@dataclass(frozen=True, slots=True)
class _Said:
    """What an option says of one field; None: that nothing of its own is said any more."""

    value: float | None


def _number(said: str) -> _Said:
    """So many a second, with or without that being said."""
    matched = re.fullmatch(rf"{_NUMBER}(?:/s)?", said.strip())
    return _Said(float(matched[1])) if matched else _words(said, "a number a second, such as 100 or 0.5/s")


def _whole(said: str) -> _Said:
    words = said.strip()
    return (
        _Said(float(words))
        if re.fullmatch(r"\d{1,16}", words)
        else _words(said, "a whole number, such as 20")
    )


def _bytes(said: str) -> _Said:
    """So many a second, in one of `_UNITS` or in none."""
    matched = re.fullmatch(rf"{_NUMBER} ?([kmg]?i?b)?(?:/s)?", said.strip().lower())
    if not matched or (matched[2] or "b") not in _UNITS:
        return _words(said, "bytes a second, such as 8MiB or 500kB/s")
    return _Said(float(matched[1]) * _UNITS[matched[2] or "b"])


def _words(said: str, wanted: str) -> _Said:
    match said.strip().lower():
        case "none":
            return _Said(UNLIMITED)
        case "default":
            return _Said(None)
        case _:
            raise typer.BadParameter(f"{said} is no limit: say {wanted}, or none, or default")


Rate: TypeAlias = Annotated[
    _Said | None,
    typer.Option("--rate", metavar="N", parser=_number, help=f"Requests a second; {_WORDS}."),
]
InFlight: TypeAlias = Annotated[
    _Said | None, typer.Option("--in-flight", metavar="N", parser=_whole, help="Requests at a time.")
]
ColdLoads: TypeAlias = Annotated[
    _Said | None,
    typer.Option(
        "--cold-loads", metavar="N", parser=_number, help="Models a second that have to be loaded for it."
    ),
]
Rows: TypeAlias = Annotated[
    _Said | None, typer.Option("--rows", metavar="N", parser=_number, help="Rows of its requests a second.")
]
Bytes: TypeAlias = Annotated[
    _Said | None,
    typer.Option("--bytes", metavar="SIZE", parser=_bytes, help="Of its requests a second, such as 8MiB."),
]


def limit(
    tenant: Annotated[str, typer.Argument(metavar="[TENANT]", help="The customer.", show_default=False)] = "",
    rate: Rate = None,
    in_flight: InFlight = None,
    cold_loads: ColdLoads = None,
    rows: Rows = None,
    byte_rate: Bytes = None,
    default: Annotated[
        bool, typer.Option("--default", help="In place of a tenant: of everybody without their own.")
    ] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Forget what was said before.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Only show what holds, as without any limit.")] = False,
    dry_run: DryRun = False,
    reason: Annotated[
        str, typer.Option(metavar="WORDS", help="What it is for, in the audit. By default, the command.")
    ] = "",
) -> None:
    """Say what a tenant may take of the whole deployment.

    What is not mentioned stays. Beyond its limits a tenant is refused, with RESOURCE_EXHAUSTED, and nobody
    else feels it. Routers are told within a second.
    """
    said = {
        name: one
        for name, one in zip(FIELDS, (rate, in_flight, cold_loads, rows, byte_rate), strict=True)
        if one is not None
    }
    _check(tenant, default=default)
    if show and (said or clear):
        raise typer.BadParameter("--show changes nothing, so it goes with no limit and not with --clear")
    if not said and not clear:
        _print(tenant, ask_manager(lambda manager: manager.get_limits(tenant)))
        return
    wanted = _Change(tenant, said, clear)
    try:
        wanted.of(NO_LIMITS)
    except InvalidRequest as error:
        raise typer.BadParameter(error.message) from error

    async def work(manager: VersionManagerClient) -> tuple[pb.KeptLimits, pb.KeptLimits]:
        before = await manager.get_limits(tenant)
        after = wanted.of(limits_from_pb(before.limits))
        made = await manager.set_limits(
            pb.SetLimitsRequest(
                tenant=tenant,
                limits=limits_to_pb(after),
                expected_revision=before.revision,
                reason=reason or wanted.command,
                author=user(),
                dry_run=dry_run,
            )
        )
        return before, made

    before, made = ask_manager(work)
    _print(tenant, made, before)
    if dry_run:
        output.note("a dry run: nothing was set")


def _check(tenant: str, *, default: bool) -> None:
    if bool(tenant) == default:
        raise typer.BadParameter("name a tenant, or say --default: not both, and not neither")
    if tenant:
        check_name(tenant, "tenant")


@dataclass(frozen=True, slots=True)
class _Change:
    tenant: str
    said: Mapping[str, _Said]
    clear: bool

    def of(self, before: Limits) -> Limits:
        """What follows. Raises InvalidRequest: a number that is out of bounds."""
        found = NO_LIMITS if self.clear else before
        return check_limits(replace(found, **{name: one.value for name, one in self.said.items()}))

    @property
    def command(self) -> str:
        """As it was said, more or less: the reason by default."""
        words = ["tenants limit", self.tenant or "--default", *(("--clear",) if self.clear else ())]
        for name, one in self.said.items():
            value = "default" if one.value is None else "none" if one.value == UNLIMITED else f"{one.value:g}"
            words += [f"--{name.replace('_', '-')}", value]
        return " ".join(words)


def _print(tenant: str, kept: pb.KeptLimits, before: pb.KeptLimits | None = None) -> None:
    """What holds; with `before`, what changed too."""
    own, default = limits_from_pb(kept.limits), limits_from_pb(kept.default_limits)
    held = own.over(default)
    was = (
        None if before is None else limits_from_pb(before.limits).over(limits_from_pb(before.default_limits))
    )
    if current().as_json:
        fields: dict[str, Any] = {
            "tenant": tenant or None,
            "limits": _told(held),
            "own": _told(own),
            "default": _told(default),
            "before": None if was is None else _told(was),
            "revision": kept.revision,
        }
        output.record(fields | output.warnings(kept.warnings))
        return
    columns = ["limit", *(["before"] if was else []), "holds", *(["own", "default"] if tenant else [])]
    rows = []
    for at, name in enumerate(FIELDS):
        row = [
            name.replace("_", " "),
            *([words(name, was.said()[at])] if was else []),
            words(name, held.said()[at]),
        ]
        if tenant:
            row += [_said(name, own.said()[at]), _said(name, default.said()[at])]
        rows.append(row)
    output.table(columns, rows)
    output.warnings(kept.warnings)


def _told(limits: Limits) -> dict[str, float | str | None]:
    """For programs: a number, "none", or null where nothing is said."""
    return {
        name: "none" if value == UNLIMITED else value
        for name, value in zip(FIELDS, limits.said(), strict=True)
    }


def words(name: str, value: float | None) -> str:
    """What holds of one limit, for people."""
    if value is None or value == UNLIMITED:
        return "no limit"
    if name == "bytes":
        return f"{_size(value)}{_OF[name]}"
    return f"{value:,.15g} {_OF[name]}"


def limited(limits: Limits) -> str:
    """All that limits a tenant, in one line."""
    found = [
        words(name, value) for name, value in zip(FIELDS, limits.said(), strict=True) if value is not None
    ]
    return ", ".join(found) or "what it likes, nothing is limited"


def _said(name: str, value: float | None) -> str:
    return "" if value is None else words(name, value)


def _size(count: float) -> str:
    """In the largest unit that --bytes takes and that says it exactly."""
    for unit in ("GiB", "GB", "MiB", "MB", "KiB", "kB"):
        if count >= (size := _UNITS[unit.lower()]) and count % size == 0:
            return f"{count / size:g} {unit}"
    return f"{count:,.15g} B"
