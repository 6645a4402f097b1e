"""`croupierctl models`: publish versions, list, show and remove them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from croupier.artifacts.batching import NO_DELAY, Batching, with_batching
from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.files import FileKind, told_by
from croupier.artifacts.packers.process import Limits, pack_file_apart
from croupier.client.manager import VersionManagerClient
from croupierctl import output
from croupierctl.arguments import Model, Tenant
from croupierctl.release import all_traffic
from croupierctl.session import ask_manager, current
from protos.versions.v1 import versions_pb2 as pb

app = typer.Typer(help="Models and their versions.", no_args_is_help=True)

_PAGE = 500
_MIB = 1 << 20
_LIMITS = Limits()


@app.command()
def publish(
    tenant: Tenant,
    model: Model,
    files: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="XGBoost's .json or .ubj, LightGBM's .txt, ONNX files, packed artifacts.",
            show_default=False,
        ),
    ],
    kind: Annotated[
        FileKind | None,
        typer.Option(help="What the files are; told by their first bytes.", show_default=False),
    ] = None,
    features: Annotated[
        str, typer.Option(metavar="NAMES", help="The model's features: a,b,c, or @FILE with one a line.")
    ] = "",
    accepts_missing: Annotated[bool, typer.Option(help="NaN is a value that the model knows.")] = False,
    version: Annotated[int, typer.Option(min=0, help="The version's number; 0 is the next free one.")] = 0,
    batch_delay: Annotated[
        float, typer.Option(min=0, max=1, metavar="SECONDS", help="How long a request waits for company.")
    ] = 0.0,
    batch_rows: Annotated[
        int, typer.Option(min=0, metavar="ROWS", help="Rows of one call at most; 0 for as many as may be.")
    ] = 0,
    release: Annotated[bool, typer.Option("--release", help="Move all traffic to the last of them.")] = False,
    max_memory: Annotated[
        int, typer.Option(min=256, metavar="MIB", help="Memory that packing a file may take.")
    ] = _LIMITS.memory_bytes // _MIB,
    max_cpu: Annotated[
        int, typer.Option(min=1, metavar="SECONDS", help="CPU time that packing a file may take.")
    ] = _LIMITS.cpu_seconds,
    max_time: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Time that packing a file may take.")
    ] = _LIMITS.wall_seconds,
    max_size: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="The largest file, and the largest artifact.")
    ] = _LIMITS.file_bytes // _MIB,
) -> None:
    """Publish files as versions of a model, in their order.

    Each file is packed in a process of its own, within limits: what crashes its reader harms nothing else.
    """
    if version and len(files) > 1:
        raise typer.BadParameter("--version numbers one file, not several")
    names = parse_features(features)
    limits = Limits(max_memory * _MIB, max_cpu, max_time, max_size * _MIB)
    artifacts = [_artifact(path, kind, names, accepts_missing, limits) for path in files]
    batching = Batching(batch_delay, batch_rows)
    if batching != NO_DELAY:
        artifacts = [with_batching(artifact, batching) for artifact in artifacts]
    published: list[pb.Version] = []

    async def upload(manager: VersionManagerClient) -> None:
        with output.progress() as bar:
            task = bar.add_task("publishing", total=sum(map(len, artifacts)))

            def advance(count: int) -> None:
                bar.advance(task, count)

            for artifact in artifacts:
                found = await manager.publish(tenant, model, artifact, version=version, progress=advance)
                published.append(found)
        if release:
            await manager.set_release(all_traffic(await manager.get_model(tenant, model), found.number))

    try:
        ask_manager(upload)
    finally:
        # What was published stays published, whatever failed after it.
        if published:
            _print_published(files, published)
    if not release:
        output.note(f"not released: croupierctl release set {tenant} {model} {published[-1].number}")


def parse_features(text: str) -> list[str]:
    """Feature names from `a,b,c` or from the lines of `@FILE`."""
    if text.startswith("@"):
        try:
            lines = Path(text[1:]).read_text().splitlines()
        except OSError as error:
            raise typer.BadParameter(f"cannot read {text[1:]}: {error.strerror}") from None
        return [line.strip() for line in lines if line.strip()]
    return [name.strip() for name in text.split(",") if name.strip()]


def _artifact(
    path: Path, kind: FileKind | None, features: list[str], accepts_missing: bool, limits: Limits
) -> bytes:
    with path.open("rb") as file:
        # One byte more than is allowed tells that there is more.
        data = file.read(limits.file_bytes + 1)
    try:
        kind = kind or told_by(data)
        if kind is FileKind.ARTIFACT and (features or accepts_missing):
            raise typer.BadParameter(f"{path} is packed: its features are in it already")
        return pack_file_apart(data, kind, features=features, accepts_missing=accepts_missing, limits=limits)
    except InvalidArtifact as error:
        raise InvalidArtifact(f"{path}: {error.message}") from error


def _print_published(files: list[Path], published: list[pb.Version]) -> None:
    rows = [
        (str(path), found.number, output.digest(found.artifact), found.engine, output.size(found.size))
        for path, found in zip(files, published, strict=False)
    ]
    output.table(("file", "version", "artifact", "engine", "size"), rows)


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
        ("tenant", "model", "versions", "latest", "release", "traffic", "labels"), rows, empty="no models"
    )
    if more:
        output.note(f"there are more than {limit}: --limit 0 lists all")


def _row(model: pb.Model) -> tuple[object, ...]:
    traffic = [(split.version, split.basis_points) for split in model.release.splits]
    labels = dict(model.release.labels)
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
    )


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
            output.size(version.size),
            output.moment(version.created),
            output.listing(refusing.get(version.artifact, [])),
        )
        for version in found.versions
    ]
    columns = ("version", "traffic", "labels", "artifact", "engine", "size", "created", "quarantined by")
    output.table(columns, rows)


@app.command()
def rm(
    tenant: Tenant,
    model: Model,
    version: Annotated[int, typer.Option(min=0, help="One version only; 0 is the whole model.")] = 0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a model, or one version that is not released."""
    what = f"version {version} of {tenant}'s model {model}" if version else f"{tenant}'s model {model}"
    if not yes and not current().as_json:
        typer.confirm(f"Remove {what}?", abort=True)

    async def remove(manager: VersionManagerClient) -> None:
        if version:
            await manager.delete_version(tenant, model, version)
        else:
            await manager.delete_model(tenant, model)

    ask_manager(remove)
    output.note(f"removed {what}")
