"""`croupierctl release`: what is served for a model now, what was before, and how to get back to it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, TypeAlias

import typer

from croupier.errors import NotFound
from croupier.grpcio.manager import VersionManagerClient
from croupier.names import MAX_VERSION
from croupierctl import output
from croupierctl.arguments import Model, Tenant
from croupierctl.change import user
from croupierctl.servers import ask_manager
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.release import WHOLE

app = typer.Typer(no_args_is_help=True)

NoWarm: TypeAlias = Annotated[
    bool, typer.Option("--no-warm", help="Move at once; do not have the tenant's cells load it first.")
]
Reason: TypeAlias = Annotated[
    str, typer.Option(metavar="WORDS", help="What it is for: kept with the release. By default, the command.")
]


@app.command()
def show(tenant: Tenant, model: Model) -> None:
    """Show a model's traffic split and labels."""
    found = ask_manager(lambda manager: manager.get_model(tenant, model))
    if not found.HasField("release"):
        raise _no_release(tenant, model)
    _print(found.release)


@app.command("set")
def set_release(
    tenant: Tenant,
    model: Model,
    version: Annotated[int, typer.Argument(metavar="[VERSION]", min=0, help="Gets all traffic.")] = 0,
    split: Annotated[
        list[str],
        typer.Option(
            metavar="VERSION=SHARE",
            help="A version's traffic: 90% or basis points (9000); repeat it until all traffic is given.",
        ),
    ] = [],  # noqa: B006 - typer copies defaults, and needs them here
    label: Annotated[
        list[str], typer.Option(metavar="LABEL=VERSION", help="Put a label on a version; repeat it.")
    ] = [],  # noqa: B006
    unlabel: Annotated[list[str], typer.Option(metavar="LABEL", help="Take a label away; repeat it.")] = [],  # noqa: B006
    salt: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help='Deal every routing key anew, by this word; "" is that of a new model.',
            show_default=False,
        ),
    ] = None,
    no_warm: NoWarm = False,
    reason: Reason = "",
) -> None:
    """Move a model's traffic or labels; what is not mentioned stays.

    The tenant's cells load a version that is new in the release before it moves; if one does not, it stays.
    A routing key leaves its version only if the share of that shrinks, and comes only to one that grows.

    Fails with a conflict when somebody else changes the release in the same moment.
    """
    if version and split:
        raise typer.BadParameter("give one version for all traffic, or --split for each, not both")
    if not (version or split or label or unlabel or salt is not None):
        raise typer.BadParameter("give a version, --split, --label, --unlabel or --salt")
    splits = [pb.Split(version=version, basis_points=WHOLE)] if version else parse_splits(split)
    labels = dict(_label(text) for text in label)

    async def change(manager: VersionManagerClient) -> pb.Release:
        found = await manager.get_model(tenant, model)
        request = _request(found, splits, labels, unlabel)
        request.skip_warming = no_warm
        if salt is not None:
            request.salt = salt
        request.reason, request.author = reason or f"release set {tenant} {model}", user()
        return await manager.set_release(request)

    _print(ask_manager(change))


@app.command()
def promote(
    tenant: Tenant,
    model: Model,
    version: Annotated[
        int,
        typer.Argument(
            metavar="[VERSION]",
            min=0,
            help="The one on trial; 0: the newest that gets traffic or a label.",
        ),
    ] = 0,
    no_warm: NoWarm = False,
    reason: Reason = "",
) -> None:
    """Give a version that is on trial all traffic. Labels stay where they are."""

    async def change(manager: VersionManagerClient) -> pb.Release:
        found = await manager.get_model(tenant, model)
        request = all_traffic(found, version or _on_trial(found))
        request.skip_warming = no_warm
        request.reason, request.author = reason or f"release promote {tenant} {model}", user()
        return await manager.set_release(request)

    _print(ask_manager(change))


@app.command()
def rollback(
    tenant: Tenant,
    model: Model,
    to: Annotated[
        int, typer.Option("--to", min=0, help="The release that is to be served again; 0: the one before.")
    ] = 0,
    no_warm: NoWarm = False,
    reason: Reason = "",
) -> None:
    """Serve what an earlier release did: traffic, labels, and which keys get what.

    Its content becomes the next release, so this can be undone too.
    """
    request = pb.RollbackReleaseRequest(
        tenant=tenant, name=model, number=to, skip_warming=no_warm, reason=reason, author=user()
    )
    _print(ask_manager(lambda manager: manager.rollback_release(request)))


@app.command()
def history(tenant: Tenant, model: Model) -> None:
    """List a model's releases that are kept, the latest first."""
    found = ask_manager(lambda manager: manager.get_release_history(tenant, model)).releases
    rows = [
        (one.number, _splits(one), _labels(one), output.moment(one.at), one.author, one.reason)
        for one in found
    ]
    output.table(("release", "traffic", "labels", "at", "author", "reason"), rows)


@app.command()
def diff(
    tenant: Tenant,
    model: Model,
    before: Annotated[int, typer.Argument(min=1, metavar="N1", help="A release.", show_default=False)],
    after: Annotated[
        int, typer.Argument(min=0, metavar="[N2]", help="Another; 0 is the one that is served.")
    ] = 0,
) -> None:
    """Say what one release changes in another: whose traffic, and where labels are."""
    found = list(ask_manager(lambda manager: manager.get_release_history(tenant, model)).releases)
    old, new = _of_number(found, before), _of_number(found, after or found[0].number)
    rows = [("version", str(version), *shares) for version, *shares in _moved_traffic(old, new)]
    rows += [("label", name, *versions) for name, *versions in _moved_labels(old, new)]
    if old.salt != new.salt:
        rows.append(("salt", "", old.salt, new.salt))
    output.table(
        ("what", "which", f"release {old.number}", f"release {new.number}"),
        rows,
        empty=f"release {new.number} serves what {old.number} did",
    )


def _no_release(tenant: str, model: str) -> NotFound:
    return NotFound(f"model {model} of {tenant} has no release; `croupierctl release set` makes one")


def _on_trial(model: pb.Model) -> int:
    named = [split.version for split in model.release.splits] + list(model.release.labels.values())
    if not named:
        raise _no_release(model.tenant, model.name)
    return max(named)


def _of_number(found: Sequence[pb.Release], number: int) -> pb.Release:
    for one in found:
        if one.number == number:
            return one
    kept = f"{found[-1].number} to {found[0].number}"
    raise NotFound(f"release {number} is not kept: there are {kept}", reason="UNKNOWN_RELEASE")


def _moved_traffic(old: pb.Release, new: pb.Release) -> list[tuple[int, output.Shown, output.Shown]]:
    shares = [{split.version: split.basis_points for split in one.splits} for one in (old, new)]
    versions = sorted(shares[0].keys() | shares[1].keys())
    both = [(version, shares[0].get(version, 0), shares[1].get(version, 0)) for version in versions]
    return [(version, output.share(a), output.share(b)) for version, a, b in both if a != b]


def _moved_labels(old: pb.Release, new: pb.Release) -> list[tuple[str, str, str]]:
    names = sorted(old.labels.keys() | new.labels.keys())
    both = [(name, str(old.labels.get(name, "")), str(new.labels.get(name, ""))) for name in names]
    return [(name, a, b) for name, a, b in both if a != b]


def all_traffic(model: pb.Model, version: int) -> pb.SetReleaseRequest:
    """The change that moves all of a model's traffic to `version` and leaves its labels."""
    return _request(model, [pb.Split(version=version, basis_points=WHOLE)], {}, [])


def _request(
    model: pb.Model, splits: list[pb.Split], labels: dict[str, int], unlabel: list[str]
) -> pb.SetReleaseRequest:
    kept = {name: version for name, version in model.release.labels.items() if name not in unlabel}
    missing = [name for name in unlabel if name not in model.release.labels]
    if missing:
        raise NotFound(f"model {model.name} of {model.tenant} has no label {missing[0]}")
    return pb.SetReleaseRequest(
        tenant=model.tenant,
        name=model.name,
        splits=splits or model.release.splits,
        labels=kept | labels,
        expected_number=model.release.number,
    )


def parse_splits(texts: Sequence[str]) -> list[pb.Split]:
    """The splits of `--split 1=90% --split 2=1000`. BadParameter if they do not add up to all traffic."""
    splits = [_split(text) for text in texts]
    numbers = [split.version for split in splits]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if twice:
        raise typer.BadParameter(f"version {twice[0]} has more than one --split")
    given = sum(split.basis_points for split in splits)
    if splits and given != WHOLE:
        raise typer.BadParameter(
            f"the splits add up to {output.share(given).text}, not 100 % "
            f"({given:,} of {WHOLE:,} basis points)"
        )
    return splits


def _split(text: str) -> pb.Split:
    version, _, amount = text.partition("=")
    try:
        points = Decimal(amount.removesuffix("%")) * (100 if amount.endswith("%") else 1)
        number, is_share = int(version), 0 < points <= WHOLE
    except (ArithmeticError, ValueError):
        raise typer.BadParameter(f"{text!r} is not VERSION=SHARE, like 1=90% or 1=9000") from None
    if not (0 < number <= MAX_VERSION and is_share):
        raise typer.BadParameter(f"{text!r}: a version is at least 1, its share above 0 % and at most 100 %")
    if points != int(points):
        raise typer.BadParameter(f"{text!r}: traffic is split in steps of 0.01 %")
    return pb.Split(version=number, basis_points=int(points))


def _label(text: str) -> tuple[str, int]:
    name, _, version = text.rpartition("=")
    if not name or not version.isdecimal():
        raise typer.BadParameter(f"{text!r} is not LABEL=VERSION, like stable=1")
    return name, int(version)


def _splits(release: pb.Release) -> output.Shown:
    splits = [(split.version, split.basis_points) for split in release.splits]
    return output.Shown(
        [{"version": version, "basis_points": points} for version, points in splits],
        ", ".join(f"version {version}: {output.share(points).text}" for version, points in splits),
    )


def _labels(release: pb.Release) -> output.Shown:
    return output.Shown(
        dict(release.labels),
        ", ".join(f"{name}: version {version}" for name, version in sorted(release.labels.items())),
    )


def _print(release: pb.Release) -> None:
    about = {"author": release.author, "reason": release.reason, "at": output.moment(release.at)}
    output.record(
        {
            "release": release.number,
            "splits": _splits(release),
            "labels": _labels(release),
            **({"salt": release.salt} if release.salt else {}),
            **({"restores": release.restores} if release.restores else {}),
            **(about if release.at else {}),
            # For `predict --min-revision`; only a change has one.
            **({"revision": release.revision} if release.revision else {}),
        }
    )
