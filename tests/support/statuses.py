"""What version managers tell of deployments: a well one, to be harmed."""

from __future__ import annotations

from protos.versions.v1 import versions_pb2 as pb

NOW = 1.8e9
DAY = 86_400.0


def part(release: str = "0.1.0", **ends: float) -> pb.Part:
    """`ends` are days from now until a certificate ends, by its setting."""
    certificates = [
        pb.Certificate(setting=setting.replace("_", "-"), ends=NOW + days * DAY)
        for setting, days in ends.items()
    ]
    return pb.Part(release=release, protocol=3, certificates=certificates)


def cell(name: str = "cell-1") -> pb.CellStatus:
    load = pb.Load(capacity_bytes=1000, used_bytes=500, resident=3, oldest_seconds=1000.0)
    told = pb.Cell(id=name, zone="a", address="h:1", weight=1, state="active", load=load, protocol=3)
    return pb.CellStatus(cell=told, part=part(), registered=True, seated=True, seat_zone="a", heard=0.5)


def router(name: str = "host:7") -> pb.RouterStatus:
    report = pb.RouterReport(
        id=name,
        address="h:8500",
        part=part(),
        serving=True,
        catalog="c",
        revision=9,
        generation=2,
        view_age=1.0,
    )
    return pb.RouterStatus(report=report, heard=0.5)


def status() -> pb.Status:
    """Of a manager that sees nothing wrong: one member of etcd, one router, two cells."""
    member = pb.EtcdMember(endpoint="e:2379", version="3.4.23", revision=9, size_bytes=2000, has_leader=True)
    return pb.Status(
        part=part(),
        now=NOW,
        etcd=pb.EtcdStatus(members=[member], watched_revision=9, watched=1.0),
        catalog="c",
        revision=9,
        models=5,
        generation=2,
        previous=1,
        cells=[cell(), cell("cell-2")],
        cells_total=2,
        routers=[router()],
        routers_total=1,
    )
