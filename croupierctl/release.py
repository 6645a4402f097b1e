"""`croupierctl release`: what is served for a model now."""

from __future__ import annotations

from typing import Annotated

import typer

from croupier.client.manager import VersionManagerClient
from croupier.errors import NotFound
from croupierctl import output
from croupierctl.arguments import Model, Tenant
from croupierctl.session import ask_manager
from protos.versions.v1 import versions_pb2 as pb
from version_manager.release import WHOLE

app = typer.Typer(help="What is served for a model now.", no_args_is_help=True)


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
            metavar="VERSION=SHARE", help="A version's traffic: basis points (9000) or 90%; repeat it."
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
    splits = [pb.Split(version=version, basis_points=WHOLE)] if version else [_split(text) for text in split]
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


def _split(text: str) -> pb.Split:
    version, _, amount = text.partition("=")
    try:
        points = round(float(amount[:-1]) * 100) if amount.endswith("%") else int(amount)
        return pb.Split(version=int(version), basis_points=points)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not VERSION=SHARE, like 1=9000 or 1=90%") from None


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
        }
    )
