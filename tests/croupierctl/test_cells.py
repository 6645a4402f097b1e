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


def test_people_read_units(run, manager):
    load = pb.Load(capacity_bytes=10_000_000, used_bytes=2_500_000, requests=4, hits=3)
    manager.cells = [cell(1, "zone-a", load=load)]
    shown = run("cells", "ls").out
    for words in ("127.0.0.1:9001", "2.5 MB", "10 MB", "75.0%"):
        assert words in shown
