"""`croupierctl release`: what is served for a model now."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import typer

from croupier.errors import NotFound
from croupier.grpcio.manager import VersionManagerClient
from croupier.names import MAX_VERSION
from croupierctl import output
from croupierctl.arguments import Model, Tenant
from croupierctl.servers import ask_manager
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.release import WHOLE

app = typer.Typer(no_args_is_help=True)


@app.command()
def show(tenant: Tenant, model: Model) -> None:
    """Show a model's traffic split and labels."""
    found = ask_manager(lambda manager: manager.get_model(tenant, model))
    if not found.HasField("release"):
        raise NotFound(f"model {model} of {tenant} has no release; `croupierctl release set` makes one")
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
    no_warm: Annotated[
        bool, typer.Option("--no-warm", help="Move at once; do not have the tenant's cells load it first.")
    ] = False,
) -> None:
    """Move a model's traffic or labels; what is not mentioned stays.

    The tenant's cells load a version that is new in the release before it moves; if one does not, it stays.

    Fails with a conflict when somebody else changes the release in the same moment.
    """
    if version and split:
        raise typer.BadParameter("give one version for all traffic, or --split for each, not both")
    if not (version or split or label or unlabel):
        raise typer.BadParameter("give a version, --split, --label or --unlabel")
    splits = [pb.Split(version=version, basis_points=WHOLE)] if version else parse_splits(split)
    labels = dict(_label(text) for text in label)

    async def change(manager: VersionManagerClient) -> pb.Release:
        found = await manager.get_model(tenant, model)
        request = _request(found, splits, labels, unlabel)
        request.skip_warming = no_warm
        return await manager.set_release(request)

    _print(ask_manager(change))


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


def _print(release: pb.Release) -> None:
    splits = [(split.version, split.basis_points) for split in release.splits]
    output.record(
        {
            "release": release.number,
            "splits": output.Shown(
                [{"version": version, "basis_points": points} for version, points in splits],
                ", ".join(f"version {version}: {output.share(points).text}" for version, points in splits),
            ),
            "labels": output.Shown(
                dict(release.labels),
                ", ".join(f"{name}: version {version}" for name, version in sorted(release.labels.items())),
            ),
            # For `predict --min-revision`; only a change has one.
            **({"revision": release.revision} if release.revision else {}),
        }
    )
