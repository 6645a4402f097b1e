from support.version_manager_fake import cell

from protos.versions.v1 import versions_pb2 as pb


def test_cells_are_listed_by_zone(ask, manager):
    load = pb.Load(capacity_bytes=10_000_000, used_bytes=2_500_000, resident=3, requests=4, hits=3)
    manager.cells = [cell(2, "zone-b"), cell(1, "zone-a", load=load), cell(3, "zone-a", state="draining")]
    rows = ask("cells", "ls")
    assert [row["cell"] for row in rows] == ["cell-1", "cell-3", "cell-2"]
    assert rows[0]["used"] == 2_500_000
    assert rows[0]["hit_rate"] == 0.75
    assert rows[1]["state"] == "draining"
    assert rows[2]["hit_rate"] is None


def quarantined(number: int, since: float) -> pb.Quarantined:
    return pb.Quarantined(artifact=bytes([number]) * 32, since=since, why="SIGSEGV", phase="score")


def test_quarantined_artifacts_are_counted_listed_and_lifted(ask, run, manager):
    first = pb.Load(quarantined=[quarantined(1, 10.0), quarantined(2, 30.0)], quarantined_total=2)
    second = pb.Load(quarantined=[quarantined(1, 20.0)], quarantined_total=80)
    manager.cells = [cell(1, "zone-a", load=first), cell(2, "zone-a", load=second), cell(3, "zone-b")]
    assert [row["quarantined"] for row in ask("cells", "ls")] == [2, 80, 0]
    rows = ask("cells", "quarantine")
    assert [(row["artifact"][:2], row["cell"], row["since"]) for row in rows] == [
        ("02", "cell-1", 30.0),
        ("01", "cell-2", 20.0),
        ("01", "cell-1", 10.0),
    ]
    assert [(row["why"], row["at"]) for row in ask("cells", "quarantine", "cell-2")] == [("SIGSEGV", "score")]
    assert "cell-2 refuses 80 in all" in run("cells", "quarantine").err
    assert ask("cells", "lift", "01" * 32, "--cell", "cell-2") == [{"cell": "cell-2"}]
    assert ask("cells", "lift", "01" * 32) == [{"cell": "cell-1"}]
    assert [row["artifact"][:2] for row in ask("cells", "quarantine")] == ["02"]


def test_what_is_not_quarantined_cannot_be_lifted(run, manager):
    manager.cells = [cell(1, "zone-a")]
    assert "no cell reports" in run("cells", "lift", "01" * 32, code=1).err
    assert "64 digits" in run("cells", "lift", "0102", code=2).err
    assert "64 digits" in run("cells", "lift", "digest", code=2).err
    assert "no cell x" in run("cells", "quarantine", "x", code=1).err
    assert "nothing is quarantined" in run("cells", "quarantine").err


def test_people_read_units(run, manager):
    load = pb.Load(capacity_bytes=10_000_000, used_bytes=2_500_000, requests=4, hits=3)
    manager.cells = [cell(1, "zone-a", load=load)]
    shown = run("cells", "ls").out
    for words in ("127.0.0.1:9001", "2.5 MB", "10 MB", "75.0%"):
        assert words in shown


def test_who_is_on_a_cell_is_listed(manager, run, ask):
    on_it = pb.ListCellTenantsResponse(
        tenants=[
            pb.CellTenant(tenant="acme", place=2, size=4, models=3, rate=12.5),
            pb.CellTenant(tenant="beta", place=1, size=4, models=1),
        ],
        tenants_total=3_000,
        generation=7,
    )
    manager.cell_tenants = [on_it, on_it]
    told = run("cells", "tenants", "cell-1")
    assert [" ".join(line.split()) for line in told.out.splitlines()] == [
        "tenant place models requests/s",
        "acme 2 of 4 3 12.5",
        "beta 1 of 4 1",
    ]
    assert "2,998 more in generation 7" in told.err
    assert ask("cells", "tenants", "cell-1")[1] == {
        "tenant": "beta",
        "place": 1,
        "models": 1,
        "requests/s": None,
    }
    assert "nobody has cell-9 in its hand" in run("cells", "tenants", "cell-9").err
