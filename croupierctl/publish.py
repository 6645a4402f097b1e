"""`croupierctl models publish`: files become versions of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from croupier.artifacts.apart import Limits
from croupier.artifacts.batching import NO_DELAY, Batching, with_batching
from croupier.artifacts.engines import ONNX
from croupier.artifacts.format import view
from croupier.artifacts.packers.files import FileKind
from croupier.artifacts.rowwise import is_rowwise
from croupier.grpcio.manager import VersionManagerClient
from croupierctl import output
from croupierctl.arguments import Model, Tenant
from croupierctl.prepare import How, Prepared, prepare, read_sample
from croupierctl.release import all_traffic
from croupierctl.servers import ask_manager
from protos.versions.v1 import versions_pb2 as pb

_MIB = 1 << 20
_LIMITS = Limits()


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
    accepts_missing: Annotated[
        bool,
        typer.Option(
            help="NaN is a value that the model knows; trees take a feature that is left out for it."
        ),
    ] = False,
    version: Annotated[int, typer.Option(min=0, help="The version's number; 0 is the next free one.")] = 0,
    batch_delay: Annotated[
        float, typer.Option(min=0, max=1, metavar="SECONDS", help="How long a request waits for company.")
    ] = 0.0,
    batch_rows: Annotated[
        int, typer.Option(min=0, metavar="ROWS", help="Rows of one call at most; 0 for as many as may be.")
    ] = 0,
    check: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="ROWS",
            help="Rows to compare on, .parquet or .csv, beside those made from the model.",
            show_default=False,
        ),
    ] = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Publish without a comparison, which the version then says.")
    ] = False,
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

    Each file is packed in a process of its own, within limits, compared with its own library, and tried as a
    cell would serve it. All of them are, before the first is sent.
    """
    if version and len(files) > 1:
        raise typer.BadParameter("--version numbers one file, not several")
    if check and unchecked:
        raise typer.BadParameter("--check compares, and --unchecked does not")
    how = How(
        kind=kind,
        features=parse_features(features),
        accepts_missing=accepts_missing,
        sample=read_sample(check) if check else None,
        unchecked=unchecked,
        limits=Limits(max_memory * _MIB, max_cpu, max_time, max_size * _MIB),
    )
    prepared = [prepare(path, how) for path in files]
    artifacts = [one.artifact for one in prepared]
    batching = Batching(batch_delay, batch_rows)
    if batching != NO_DELAY:
        artifacts = [with_batching(artifact, batching) for artifact in artifacts]
        _say_where_nothing_is_batched(prepared)
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
            model_now = await manager.get_model(tenant, model)
            released = await manager.set_release(all_traffic(model_now, found.number))
            found.revision = released.revision or found.revision

    try:
        ask_manager(upload)
    finally:
        # What was published stays published, whatever failed after it.
        if published:
            _print_published(prepared, published)
    if not release:
        output.note(f"not released: croupierctl release set {tenant} {model} {published[-1].number}")


def _say_where_nothing_is_batched(prepared: Sequence[Prepared]) -> None:
    for one in prepared:
        artifact = view(one.artifact)
        if artifact.engine != ONNX:
            why = f"rows of the engine {artifact.engine} wait for nobody"
        elif not is_rowwise(artifact):
            why = "its requests are scored one by one, for its rows are not known to be independent"
        else:
            continue
        output.note(f"{one.path}: --batch-delay and --batch-rows change nothing: {why}")


def parse_features(text: str) -> list[str]:
    """Feature names from `a,b,c` or from the lines of `@FILE`."""
    if text.startswith("@"):
        try:
            lines = Path(text[1:]).read_text().splitlines()
        except OSError as error:
            raise typer.BadParameter(f"cannot read {text[1:]}: {error.strerror}") from None
        return [line.strip() for line in lines if line.strip()]
    return [name.strip() for name in text.split(",") if name.strip()]


def _print_published(prepared: list[Prepared], published: list[pb.Version]) -> None:
    rows = [
        (
            str(one.path),
            found.number,
            output.digest(found.artifact),
            found.engine,
            one.why,
            output.size(found.size),
            output.Shown(one.checked.told(), str(one.checked)),
            output.size(one.resident_bytes),
            output.Shown(one.row_microseconds, f"{one.row_microseconds:.3g}"),
            found.revision,
        )
        for one, found in zip(prepared, published, strict=False)
    ]
    columns = (
        "file",
        "version",
        "artifact",
        "engine",
        "why",
        "size",
        "compared",
        "resident",
        "row microseconds",
    )
    output.table((*columns, "revision"), rows)
