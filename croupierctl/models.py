"""`croupierctl models`: list, show and remove them."""

from __future__ import annotations

from typing import Annotated

import typer

from croupier.artifacts.comparison import Comparison
from croupier.grpcio.manager import VersionManagerClient
from croupierctl import output
from croupierctl.arguments import Model, Tenant
from croupierctl.lazy import LazyGroup, Verb
from croupierctl.servers import ask_manager, current
from croupierctl.usage import ask_usage, shown
from protos.versions.v1 import versions_pb2 as pb

_PAGE = 500


class _Models(LazyGroup):
    verbs = (
        Verb(
            "publish",
            *("croupierctl.publish", "publish"),
            "Publish files as versions of a model, in their order.",
        ),
        Verb(
            "publish-many",
            *("croupierctl.publish_many", "publish_many"),
            "Publish a list of files, each as the next version of its model.",
        ),
    )


app = typer.Typer(cls=_Models, no_args_is_help=True)


@app.command()
def ls(
    tenant: Annotated[str, typer.Argument(help="One tenant's only.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=0, help="So many models at most; 0 for all.")] = 200,
) -> None:
    """List models with what is released of them."""

    async def ask(manager: VersionManagerClient) -> tuple[list[pb.Model], bool]:
        models: list[pb.Model] = []
        token = ""
        while True:
            size = min(_PAGE, limit - len(models)) if limit else _PAGE
            request = pb.ListModelsRequest(tenant=tenant, page_size=size, page_token=token)
            page = await manager.list_models(request)
            models += page.models
            token = page.next_page_token
            if not token or (limit and len(models) >= limit):
                return models, bool(token)

    models, more = ask_manager(ask)
    rows = [_row(model) for model in models]
    output.table(
        ("tenant", "model", "versions", "latest", "release", "traffic", "labels", "artifacts"),
        rows,
        empty="no models",
    )
    if more:
        output.note(f"there are more than {limit}: --limit 0 lists all")


def _row(model: pb.Model) -> tuple[object, ...]:
    traffic = [(split.version, split.basis_points) for split in model.release.splits]
    labels = dict(model.release.labels)
    artifacts = {version.number: version.artifact for version in model.versions}
    served = [output.digest(artifacts[number]).text for number, _ in traffic if number in artifacts]
    return (
        model.tenant,
        model.name,
        len(model.versions),
        max((version.number for version in model.versions), default=None),
        model.release.number or None,
        output.Shown(
            [{"version": number, "basis_points": points} for number, points in traffic],
            ", ".join(f"{number}: {output.share(points).text}" for number, points in traffic),
        ),
        output.Shown(labels, ", ".join(f"{name}: {number}" for name, number in sorted(labels.items()))),
        output.Shown([_artifact(version) for version in model.versions], ", ".join(served)),
    )


def _artifact(version: pb.Version) -> dict[str, object]:
    return {"version": version.number, "artifact": version.artifact, "checked": compared(version).value}


def compared(version: pb.Version) -> output.Shown:
    """What a version was compared with before it was published; nothing if nobody said."""
    if not version.HasField("checked"):
        return output.Shown(None, "")
    told = version.checked
    found = Comparison(told.library, told.version, told.sample, told.made, told.difference)
    return output.Shown(found.told(), str(found))


@app.command()
def show(tenant: Tenant, model: Model) -> None:
    """Show a model's versions, each with its traffic, its labels and the cells that quarantined it."""

    async def ask(manager: VersionManagerClient) -> tuple[pb.Model, list[pb.Cell]]:
        return await manager.get_model(tenant, model), await manager.list_cells()

    found, cells = ask_manager(ask)
    refusing: dict[bytes, list[str]] = {}
    for cell in cells:
        for one in cell.load.quarantined:
            refusing.setdefault(one.artifact, []).append(cell.id)
    traffic = {split.version: split.basis_points for split in found.release.splits}
    rows = [
        (
            version.number,
            output.share(traffic.get(version.number, 0)),
            output.listing(
                sorted(n for n, number in found.release.labels.items() if number == version.number)
            ),
            output.digest(version.artifact, short=False),
            version.engine,
            compared(version),
            output.size(version.size),
            output.moment(version.created),
            output.listing(refusing.get(version.artifact, [])),
        )
        for version in found.versions
    ]
    columns = ("version", "traffic", "labels", "artifact", "engine", "compared", "size", "created")
    output.table((*columns, "quarantined by"), rows)


@app.command()
def rm(
    tenant: Tenant,
    model: Model,
    version: Annotated[int, typer.Option(min=0, help="One version only; 0 is the whole model.")] = 0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a model, or one version that is not released. Says what traffic it gets, and got."""
    what = f"version {version} of {tenant}'s model {model}" if version else f"{tenant}'s model {model}"

    async def ask(manager: VersionManagerClient) -> tuple[pb.Model, pb.Usage | None]:
        found = await manager.get_model(tenant, model)
        is_known = not version or any(one.number == version for one in found.versions)
        return found, await ask_usage(manager, tenant, model, version) if is_known else None

    found, usage = ask_manager(ask)
    traffic, used = traffic_of(found, version), shown(usage)
    if not yes and not current().as_json:
        output.note(f"{what}: {traffic}; {used.text}")
        typer.confirm(f"Remove {what}?", abort=True)

    async def remove(manager: VersionManagerClient) -> None:
        if version:
            await manager.delete_version(tenant, model, version)
        else:
            await manager.delete_model(tenant, model)

    ask_manager(remove)
    output.note(f"removed {what}: {traffic}; {used.text}")
    if current().as_json:
        output.emit({"tenant": tenant, "model": model, "version": version or None, "usage": used.value})


def traffic_of(model: pb.Model, version: int = 0) -> str:
    """Which requests a model, or a version of it, gets by its release, in words."""
    release = model.release
    if not release.number:
        return "nothing is released, so that it gets requests for exact versions only"
    splits = {split.version: output.share(split.basis_points).text for split in release.splits}
    if not version:
        served = ", ".join(f"version {number} {share}" for number, share in splits.items())
        return f"release {release.number} serves it: {served}"
    labels = sorted(name for name, number in release.labels.items() if number == version)
    named = f" and those for label {', '.join(labels)}" if labels else ""
    share = (
        f"{splits[version]} of the model's requests" if version in splits else "no request without a version"
    )
    return f"release {release.number} gives it {share}{named}"
