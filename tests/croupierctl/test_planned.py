from croupierctl import planned
from protos.versions.v1 import versions_pb2 as pb

PLAN = pb.Plan(
    active=7,
    tenants=200_000,
    tenants_moved=12_500,
    slots=800_000,
    slots_moved=12_500,
    cold_loads=3_125.4,
    cold_bytes=4.2e9,
    warming_seconds=300,
    balance_before=1.02,
    balance_after=1.051,
    by_rates=True,
    overlap_before=[3, 1],
    overlap_after=[2, 2],
    cells=[pb.PlannedCell(cell=f"cell-{n}", slots_before=5, slots_after=7) for n in range(30)],
    moves=[pb.PlannedMove(tenant="acme", lost=["cell-3"], gained=["cell-7"])],
    shortfalls=[pb.PlannedShortfall(tenant="zeta", zones=2, possible=3)],
    shortfalls_total=9,
    stranded=["lost"],
    stranded_total=1,
    conflicts=["acme pins cell-3, which drains: its place is dealt"],
    conflicts_total=3,
    refusals=["it leaves 1 tenants without a cell: lost"],
)


def test_people_see_what_a_plan_comes_to(capsys):
    planned.show(PLAN, [f"+ seat cell-{n} in zone-a" for n in range(25)])
    out = capsys.readouterr().out
    for words in (
        "plan for         generation 7, 200,000 tenants",
        "and 5 more\n",
        "tenants moved    12,500 of 200,000 (6.25%)",
        "cold loads       3,125 to expect, 4.2 GB; the cell with most takes 5 minutes",
        "load max/mean    1.020 → 1.051, by requests a second",
        "overlap          0: 75.00%  1: 25.00%  →  0: 50.00%  1: 50.00%",
        "zone shortfalls  9 tenants: zeta 2 of 3, …",
        "without a cell   1 tenant: lost",
        "acme pins cell-3, which drains: its place is dealt\n                 and 2 more",
        "refused          it leaves 1 tenants",
        "and 10 more cells",
        "acme    cell-3  cell-7",
        "and 12,490 more tenants",
    ):
        assert words in out


def test_what_is_nothing_is_left_out(capsys):
    planned.show(pb.Plan(active=1), [])
    out = capsys.readouterr().out
    assert "without a cell" not in out
    assert "refused" not in out
    assert "overlap" in out


def test_programs_get_every_field():
    told = planned.told(PLAN)
    assert {*told} == {field.name for field in pb.Plan.DESCRIPTOR.fields}
    assert told["moves"] == [{"tenant": "acme", "lost": ["cell-3"], "gained": ["cell-7"]}]
    assert (told["tenants"], told["overlap_after"], told["by_rates"]) == (200_000, [2, 2], True)
