"""`croupierctl families`: what models of one name have in common, whichever tenant's they are."""

from __future__ import annotations

import difflib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from croupier.errors import FailedPrecondition, NotFound, TooLarge
from croupier.grpcio.manager import VersionManagerClient
from croupierctl import family_file, output
from croupierctl.change import user
from croupierctl.how import DryRun
from croupierctl.servers import ask_manager, current
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.family import Family, FamilyKey, FeatureSpec, changed_parts
from version_manager.model.family_wire import family_from_pb, family_to_pb

app = typer.Typer(no_args_is_help=True)

Of: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="FAMILY",
        help="A family's name; TENANT/NAME: what that model has in its place.",
        show_default=False,
    ),
]
Reason: TypeAlias = Annotated[
    str, typer.Option(metavar="WORDS", help="What it is for: kept with the config. By default, the command.")
]
File: TypeAlias = Annotated[
    Path,
    typer.Argument(
        exists=True,
        dir_okay=False,
        allow_dash=True,
        help="YAML or JSON, as `families show --as-file` writes it; - is standard input.",
        show_default=False,
    ),
]

_LEVELS = {pb.Finding.ERROR: "error", pb.Finding.WARNING: "warning", pb.Finding.INFORMATION: "information"}


class Misfit(FailedPrecondition):
    """Models would be asked for what they cannot take. The operator's: mend the config."""

    reason = "MISFIT"


@app.command("ls")
def list_families(
    tenant: Annotated[
        str, typer.Argument(metavar="[TENANT]", help="What its models have of their own.", show_default=False)
    ] = "",
) -> None:
    """List families, and models that have a config of their own."""
    found = ask_manager(lambda manager: manager.list_families(tenant))
    rows = [
        (
            *(_named((one.tenant, one.name)), one.number, one.features, one.stored),
            *(output.Shown(one.log_share, f"{one.log_share * 100:.6g} %"), one.owner),
            *(output.listing(one.tags), one.author, output.moment(one.at)),
        )
        for one in found.rows
    ]
    columns = ("family", "config", "features", "stored", "logged", "owner", "tags", "author", "at")
    output.table(columns, rows, empty="no families: `croupierctl families apply FILE` makes one")
    if found.rows_total > len(found.rows):
        output.note(f"{found.rows_total - len(found.rows)} more are not listed")


@app.command()
def show(
    family: Of,
    number: Annotated[int, typer.Option(min=0, help="An earlier config; 0 is the one that holds.")] = 0,
    as_file: Annotated[
        bool, typer.Option("--as-file", help="As a file for `families apply`: YAML, or JSON with --json.")
    ] = False,
) -> None:
    """Show what holds for a family, or for one model in its place."""
    key = _key(family)
    told = ask_manager(lambda manager: manager.get_family(key[1], key[0], number)).family
    if told.removed:
        raise NotFound(
            f"{family} was taken away by config {told.number}: see `croupierctl families history {family}`",
            reason="UNKNOWN_FAMILY",
        )
    found = family_from_pb(told, told.number)
    if as_file:
        output.emit(family_file.plain(found)) if current().as_json else print(
            family_file.to_yaml(found), end=""
        )
        return
    _show(key, told, found)


@app.command()
def apply(
    file: File,
    model: Annotated[
        str,
        typer.Option(metavar="TENANT/NAME", help="For that model alone, in place of its family's config."),
    ] = "",
    dry_run: DryRun = False,
    unchecked: Annotated[
        bool,
        typer.Option("--unchecked", help="Apply it without a comparison, or though requests would fail."),
    ] = False,
    reason: Reason = "",
) -> None:
    """Make a config from a file the one that holds.

    It changes the config whose number it has: if another one holds by now, that is a conflict. It is compared
    with models that are released under that name: if requests to any of them would fail, so does this.
    """
    wanted = family_file.parse(_read(file))
    key = _key(model) if model else ("", wanted.name)
    if key[1] != wanted.name:
        raise family_file.InvalidFile(f"name: the file is of {wanted.name}, not of {key[1]}", field="name")
    if model and not key[0]:
        raise typer.BadParameter(f"--model is TENANT/NAME, not {model}")
    wanted = replace(wanted, tenant=key[0])

    async def work(manager: VersionManagerClient) -> tuple[pb.Family, pb.KeptFamily, bool]:
        before = await _held(manager, key)
        request = pb.ApplyFamilyRequest(
            family=family_to_pb(key, wanted),
            expected_number=wanted.number or before.number,
            reason=reason or f"families apply {file.name}",
            author=user(),
            dry_run=dry_run or not unchecked,
        )
        made = await manager.apply_family(request)
        if request.dry_run and not dry_run and not _fails(made):
            request.dry_run = False
            made = await manager.apply_family(request)
        return before, made, request.dry_run

    before, made, is_dry = ask_manager(work)
    _made(key, before, made, dry_run=is_dry)


@app.command()
def rm(family: Of, reason: Reason = "", dry_run: DryRun = False) -> None:
    """Take a config away: callers send everything from then on. It can be rolled back."""
    key = _key(family)

    async def work(manager: VersionManagerClient) -> tuple[pb.Family, pb.KeptFamily]:
        before = await _held(manager, key)
        request = pb.ApplyFamilyRequest(
            family=family_to_pb(key, None),
            expected_number=before.number,
            reason=reason or f"families rm {family}",
            author=user(),
            dry_run=dry_run,
        )
        return before, await manager.apply_family(request)

    _made(key, *ask_manager(work), dry_run=dry_run)


@app.command()
def rollback(
    family: Of,
    to: Annotated[
        int, typer.Option("--to", min=0, help="The config whose content is to hold; 0: the one before.")
    ] = 0,
    dry_run: DryRun = False,
    reason: Reason = "",
) -> None:
    """Have an earlier config hold again. Its content becomes the next one, so this can be undone too."""
    key = _key(family)

    async def work(manager: VersionManagerClient) -> tuple[pb.Family, pb.KeptFamily]:
        before = await _held(manager, key)
        request = pb.RollbackFamilyRequest(
            tenant=key[0],
            name=key[1],
            number=to,
            expected_number=before.number,
            reason=reason,
            author=user(),
            dry_run=dry_run,
        )
        return before, await manager.rollback_family(request)

    _made(key, *ask_manager(work), dry_run=dry_run)


@app.command()
def history(family: Of) -> None:
    """List the configs that are kept."""
    key = _key(family)
    found = list(ask_manager(lambda manager: manager.get_family_history(key[1], key[0])).configs)
    rows = []
    for one, before in zip(found, [*found[1:], None], strict=True):
        changed = changed_parts(_content(before), _content(one)) if before is not None else []
        what = "taken away" if one.removed else ", ".join(changed)
        rows.append((one.number, output.moment(one.at), one.author, one.reason, len(one.features), what))
    output.table(("config", "at", "author", "reason", "features", "changed"), rows)


@app.command()
def diff(
    family: Of,
    before: Annotated[int, typer.Argument(min=1, metavar="N1", help="A config.", show_default=False)],
    after: Annotated[
        int, typer.Argument(min=0, metavar="[N2]", help="Another; 0 is the one that holds.")
    ] = 0,
) -> None:
    """Say what one config changes in another, as lines of their files."""
    key = _key(family)

    async def ask(manager: VersionManagerClient) -> tuple[pb.Family, pb.Family]:
        old = await manager.get_family(key[1], key[0], before)
        new = await manager.get_family(key[1], key[0], after)
        return old.family, new.family

    old, new = ask_manager(ask)
    if current().as_json:
        changed = changed_parts(_content(old), _content(new))
        output.emit({"before": old.number, "after": new.number, "changed": changed})
        return
    lines = _differences(old, new)
    for line in lines:
        output.say(line)
    if not lines:
        output.note(f"config {new.number} says what {old.number} does")


@app.command()
def schema() -> None:
    """Print the JSON schema of the file."""
    output.emit(family_file.schema())


async def _held(manager: VersionManagerClient, key: FamilyKey) -> pb.Family:
    """What holds; number 0: there never was one."""
    try:
        return (await manager.get_family(key[1], key[0])).family
    except NotFound:
        return pb.Family(tenant=key[0], name=key[1], removed=True)


def _made(key: FamilyKey, before: pb.Family, made: pb.KeptFamily, *, dry_run: bool) -> None:
    """Tell what changed, and what models say to it. Raises Misfit: a dry run, and requests would fail."""
    now = made.family
    is_same = now.number == before.number
    fails = _fails(made)
    if current().as_json:
        fields: dict[str, Any] = {
            "family": _named(key),
            "config": now.number,
            "before": before.number,
            "removed": now.removed,
            "changed": [] if is_same else changed_parts(_content(before), _content(now)),
            "dry_run": dry_run,
        }
        if dry_run:
            fields["findings"] = [_finding(one) for one in made.findings]
            counts = ("models", "models_total", "artifacts", "failed")
            fields["sample"] = {name: getattr(made.sample, name) for name in counts}
        output.record(fields | output.warnings(made.warnings))
    else:
        for line in _differences(before, now):
            output.say(line)
        output.say(f"{_named(key)}: {_outcome(before, now, is_same=is_same, dry_run=dry_run)}")
        output.warnings(made.warnings)
        if dry_run and not now.removed:
            _print_findings(made)
    if dry_run:
        output.note("nothing was changed" if fails else "a dry run: nothing was changed")
    if fails:
        raise Misfit("with this config requests would fail: see the errors above")


def _fails(made: pb.KeptFamily) -> bool:
    """Whether requests would."""
    return any(one.level == pb.Finding.ERROR for one in made.findings)


def _outcome(before: pb.Family, now: pb.Family, *, is_same: bool, dry_run: bool) -> str:
    if is_same:
        return f"config {now.number} says that already"
    verb = "would hold" if dry_run else "holds"
    what = f"config {now.number} {verb}" + (f", after {before.number}" if before.number else "")
    return what + (": there is none any more" if now.removed else "")


def _print_findings(made: pb.KeptFamily) -> None:
    sample = made.sample
    rows = [tuple(_finding(one).values()) for one in made.findings]
    columns = ("level", "feature", "what", "models", "tenants")
    shown = [(*row[:4], output.listing(row[4])) for row in rows]
    if shown:
        output.table(columns, shown)
    if not sample.models_total:
        output.note("no model of that name is released: nothing to compare with")
        return
    failed = f"; {sample.failed} could not be read" if sample.failed else ""
    output.note(
        f"compared with {sample.models:,} of {sample.models_total:,} models that are released, by"
        f" {sample.artifacts:,} artifacts{failed}"
    )


def _finding(one: pb.Finding) -> dict[str, Any]:
    return {
        "level": _LEVELS.get(one.level, str(one.level)),
        "feature": one.feature,
        "what": one.message,
        "models": one.models,
        "tenants": list(one.tenants),
    }


def _show(key: FamilyKey, told: pb.Family, found: Family) -> None:
    log = found.log
    about: dict[str, Any] = {
        "family": _named(key),
        "config": told.number,
        "description": found.description,
        "owner": found.owner,
        "tags": output.listing(found.tags),
        "store failure": found.store_failure,
        "log": output.Shown(
            family_file.plain(found).get("log"),
            f"{log.share * 100:.6g} % of requests{_sensitive(log.sensitive)}" if log else "nothing",
        ),
        "author": told.author,
        "reason": told.reason,
        "at": output.moment(told.at),
    }
    if current().as_json:
        output.record(about | {"features": family_file.plain(found).get("features", [])})
        return
    output.record(about)
    if found.features:
        print()
        output.table(
            ("feature", "dtype", "source", "where", "default", "max age", "range"),
            [_feature_row(one) for one in found.features],
        )


def _sensitive(names: Any) -> str:
    return "".join(f", {name}: {how}" for name, how in names.items())


def _feature_row(one: FeatureSpec) -> tuple[Any, ...]:
    default = "required" if one.default is None else one.default
    low, high = ("" if bound is None else f"{bound:.15g}" for bound in (one.low, one.high))
    return (
        one.name,
        one.dtype,
        one.source,
        f"{one.group} of {one.entity}" if one.is_stored else "",
        f"{default:.15g}" if isinstance(default, float) else default,
        family_file.span(one.max_age) if one.max_age else "",
        f"{low} … {high}" if low or high else "",
    )


def _content(told: pb.Family) -> Family | None:
    """Without its number, which is another each time."""
    return None if told.removed else family_from_pb(told, 1)


def _differences(before: pb.Family, after: pb.Family) -> list[str]:
    old, new = (
        [] if one is None else family_file.to_yaml(one).splitlines() for one in map(_content, (before, after))
    )
    names = f"config {before.number}", f"config {after.number}"
    return list(difflib.unified_diff(old, new, *names, lineterm="", n=2))


def _key(words: str) -> FamilyKey:
    tenant, slash, name = words.rpartition("/")
    if slash and not (tenant and name):
        raise typer.BadParameter(f"{words} is neither a family nor TENANT/NAME")
    return tenant, name


def _named(key: FamilyKey) -> str:
    return f"{key[0]}/{key[1]}" if key[0] else key[1]


def _read(file: Path) -> bytes:
    with sys.stdin.buffer if file == Path("-") else file.open("rb") as source:
        data = source.read(family_file.MAX_BYTES + 1)
    if len(data) > family_file.MAX_BYTES:
        raise TooLarge(f"{file} is larger than any family")
    return data
