"""What a version manager might tell of a blast."""

from protos.versions.v1 import versions_pb2 as pb

BLAST = pb.Blast(
    generation=4,
    tenants=12_345,
    cells=["cell-3", "cell-7"],
    whole=12,
    partial=4_000,
    expected_whole=11.25,
    expected_partial=4_012.5,
    whole_tenants=[f"whole-{n}" for n in range(12)],
    partial_tenants=[pb.PartialLoss(tenant="acme", left=0.75)],
    overlap=[8_333, 4_000, 12],
    expected_overlap=[8_321.25, 4_012.5, 11.25, 0.0],
    loads=[pb.CellLoad(cell="cell-3", slots=7, load=1.5), pb.CellLoad(cell="cell-7", slots=5, load=0.5)],
    by_rates=True,
)
