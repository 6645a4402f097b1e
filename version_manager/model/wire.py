"""The version manager's dataclasses to messages of `protos.versions.v1` and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from croupier.artifacts.comparison import Comparison
from croupier.names import DIGEST_BYTES, check_name
from croupier.protocol import announced
from protos.versions.v1 import versions_pb2 as pb
from sharding.generation import Generation, Override, Seat, Share, Size, dealt_as, size_of
from version_manager.model.fleet import Cell, CellState, Load, Quarantined
from version_manager.model.limits import FIELDS, Limits, check_limits
from version_manager.model.release import Model, Range, Release, Split, Version
from version_manager.model.residency import ResidencyRule

# What a manager keeps of a cell's report.
_MOST_QUARANTINED = 64
_MOST_WORDS = 64


def version_to_pb(version: Version) -> pb.Version:
    message = pb.Version(
        number=version.number,
        artifact=version.artifact,
        size=version.size,
        engine=version.engine,
        created=version.created,
    )
    if version.checked is not None:
        message.checked.CopyFrom(comparison_to_pb(version.checked))
    return message


def comparison_to_pb(checked: Comparison) -> pb.Comparison:
    return pb.Comparison(
        library=checked.library,
        version=checked.version,
        sample=checked.sample,
        made=checked.made,
        difference=checked.difference,
    )


def comparison_from_pb(message: pb.Comparison) -> Comparison:
    """Raises InvalidComparison."""
    return Comparison(message.library, message.version, message.sample, message.made, message.difference)


def version_from_pb(message: pb.Version) -> Version:
    """Raises InvalidComparison."""
    checked = comparison_from_pb(message.checked) if message.HasField("checked") else None
    return Version(message.number, message.artifact, message.size, message.engine, message.created, checked)


def splits_to_pb(splits: Sequence[Split]) -> list[pb.Split]:
    return [pb.Split(version=split.version, basis_points=split.basis_points) for split in splits]


def release_to_pb(release: Release) -> pb.Release:
    return pb.Release(
        number=release.number,
        splits=splits_to_pb(release.splits),
        labels=release.labels,
        salt=release.salt,
        ranges=[pb.Range(end=one.end, version=one.version) for one in release.ranges],
        author=release.author,
        reason=release.reason,
        at=release.at,
        restores=release.restores,
    )


def release_from_pb(message: pb.Release) -> Release:
    return Release(
        message.number,
        splits_from_pb(message.splits),
        dict(message.labels),
        message.salt,
        tuple(Range(one.end, one.version) for one in message.ranges),
        message.author,
        message.reason,
        message.at,
        message.restores,
    )


def splits_from_pb(messages: Iterable[pb.Split]) -> tuple[Split, ...]:
    return tuple(Split(split.version, split.basis_points) for split in messages)


def model_to_pb(model: Model) -> pb.Model:
    """A model as operators are told of it; routers are told less (`encoded.told`)."""
    return pb.Model(
        tenant=model.tenant,
        name=model.name,
        versions=[version_to_pb(version) for _, version in sorted(model.versions.items())],
        release=release_to_pb(model.release) if model.release else None,
    )


def model_from_pb(message: pb.Model) -> Model:
    """Raises InvalidComparison."""
    versions = {version.number: version_from_pb(version) for version in message.versions}
    release = None
    if message.HasField("release"):
        release = release_from_pb(message.release)
    return Model(message.tenant, message.name, versions, release)


def generation_to_pb(generation: Generation) -> pb.Generation:
    message = pb.Generation(
        number=generation.number,
        seed=generation.seed,
        seed_since=generation.seed_since,
        author=generation.author,
        reason=generation.reason,
        at=generation.at,
    )
    owners = generation.owners()
    cells = {owner: len(pool) for owner, pool in generation.pools().items()}
    _set_size(message, generation.hand_size, cells[""])
    for seat in generation.seats:
        message.seats.add(
            cell=seat.cell,
            zone=seat.zone,
            weight=seat.weight,
            draining=seat.draining,
            dedicated=seat.dedicated,
        )
    for tenant, override in generation.overrides.items():
        told = message.overrides[tenant]
        told.pins.extend(override.pins)
        told.excludes.extend(override.excludes)
        told.isolation_group = override.isolation_group
        name = dealt_as(tenant, override, owners)
        _set_size(told, override.hand_size, cells.get(name, cells[""]))
    return message


def _set_size(message: pb.Generation | pb.Override, size: Size, cells: int) -> None:
    message.hand_size = size_of(size, cells)
    if isinstance(size, Share):
        message.hand_percent, message.hand_min = size.percent, size.min


def generation_from_pb(message: pb.Generation) -> Generation:
    seats = tuple(
        Seat(seat.cell, seat.zone, seat.weight, seat.draining, seat.dedicated) for seat in message.seats
    )
    overrides = {
        tenant: Override(
            tuple(override.pins), tuple(override.excludes), _size(override), override.isolation_group
        )
        for tenant, override in message.overrides.items()
    }
    return Generation(
        message.number,
        message.seed,
        _size(message),
        seats,
        overrides,
        message.seed_since,
        message.author,
        message.reason,
        message.at,
    )


def _size(message: pb.Generation | pb.Override) -> Size:
    return Share(message.hand_percent, message.hand_min or 1) if message.hand_percent else message.hand_size


def load_to_pb(load: Load) -> pb.Load:
    return pb.Load(
        capacity_bytes=load.capacity_bytes,
        used_bytes=load.used_bytes,
        resident=load.resident,
        loading=load.loading,
        oldest_seconds=load.oldest_seconds,
        requests=load.requests,
        hits=load.hits,
        quarantined=[
            pb.Quarantined(artifact=one.artifact, since=one.since, why=one.why, phase=one.phase)
            for one in load.quarantined
        ],
        quarantined_total=load.quarantined_total,
    )


def load_from_pb(message: pb.Load) -> Load:
    return Load(
        message.capacity_bytes,
        message.used_bytes,
        message.resident,
        message.loading,
        message.oldest_seconds,
        message.requests,
        message.hits,
        # A cell may say what it likes, but not without end.
        tuple(
            Quarantined(one.artifact, one.since, one.why[:_MOST_WORDS], one.phase[:_MOST_WORDS])
            for one in message.quarantined[:_MOST_QUARANTINED]
            if len(one.artifact) == DIGEST_BYTES
        ),
        message.quarantined_total,
    )


def cell_to_pb(cell: Cell) -> pb.Cell:
    return pb.Cell(
        id=cell.id,
        zone=cell.zone,
        address=cell.address,
        weight=cell.weight,
        state=(CellState.DRAINING if cell.state is CellState.WARMING else cell.state).value,
        load=load_to_pb(cell.load),
        protocol=cell.protocol,
        warming=cell.state is CellState.WARMING,
    )


def state_of(message: pb.Cell) -> CellState:
    """Raises ValueError for a state that is not a `CellState`."""
    state = CellState(message.state)
    return CellState.WARMING if message.warming and state is CellState.DRAINING else state


def cell_from_pb(message: pb.Cell) -> Cell:
    """Raises ValueError for a state that is not a `CellState`."""
    return Cell(
        message.id,
        message.zone,
        message.address,
        message.weight,
        state_of(message),
        load_from_pb(message.load),
        announced(message.protocol),
    )


def residency_to_pb(tenant: str, residency: ResidencyRule, revision: int) -> pb.Residency:
    return pb.Residency(
        tenant=tenant, floor_bytes=residency.floor_bytes, pinned=residency.pinned, revision=revision
    )


def residency_from_pb(message: pb.SetResidencyRequest) -> ResidencyRule:
    return ResidencyRule(message.floor_bytes, tuple(message.pinned))


def limits_to_pb(limits: Limits) -> pb.Limits:
    return pb.Limits(
        rate=limits.rate,
        in_flight=limits.in_flight,
        cold_loads=limits.cold_loads,
        rows=limits.rows,
        bytes=limits.bytes,
    )


def limits_from_pb(message: pb.Limits) -> Limits:
    """Raises InvalidRequest."""
    told = {field.name: value for field, value in message.ListFields()}
    return check_limits(Limits(**{name: told.get(name) for name in FIELDS}))


def tenant_limits_to_pb(one: tuple[str, Limits]) -> pb.TenantLimits:
    return pb.TenantLimits(tenant=one[0], limits=limits_to_pb(one[1]))


def tenant_limits_from_pb(message: pb.TenantLimits) -> tuple[str, Limits]:
    """Raises InvalidRequest."""
    return check_name(message.tenant, "tenant"), limits_from_pb(message.limits)
