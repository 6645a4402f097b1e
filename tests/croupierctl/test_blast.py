import pytest
from support.blasts import BLAST

from croupierctl.blast import number
from protos.versions.v1 import versions_pb2 as pb


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["--cells", "cell-3, cell-7"], pb.GetBlastRequest(cells=["cell-3", "cell-7"])),
        (["--tenant", "acme"], pb.GetBlastRequest(tenant="acme")),
        (["--zone", "zone-a"], pb.GetBlastRequest(zone="zone-a")),
        (["--poison", "3"], pb.GetBlastRequest(poison=3)),
    ],
)
def test_what_breaks_is_asked_for(manager, run, words, asked):
    run("blast", *words)
    assert manager.asked == asked


@pytest.mark.parametrize("words", [[], ["--cells", ","], ["--zone", "z", "--tenant", "t"], ["--poison", -1]])
def test_one_thing_breaks(manager, run, words):
    run("blast", *words, code=2)
    assert manager.asked is None


def test_who_is_hurt_stands_beside_the_chance_of_it(manager, run):
    manager.blast = BLAST
    lines = [" ".join(line.split()) for line in run("blast", "--cells", "cell-3,cell-7").out.splitlines()]
    assert lines == [
        "generation 4, 12,345 tenants: 2 cells break",
        "tenants that counted expected",
        "lose every cell 12 11.25",
        "lose some 4,000 4,012",
        "",
        f"lose every cell: {', '.join(f'whole-{n}' for n in range(10))}, and 2 more",
        "",
        "lose some: acme (keeps 75%), and 3,999 more",
    ]


def test_poison_is_told_with_the_worst_of_its_draws(manager, run):
    manager.blast = pb.Blast(
        generation=4, tenants=500, whole=0.5, partial=40, expected_whole=0.25, worst_whole=3, worst_partial=50
    )
    lines = [" ".join(line.split()) for line in run("blast", "--poison", 2).out.splitlines()]
    assert lines == [
        "generation 4: 2 of 500 tenants break all cells of their hands; on average of 100 draws",
        "others tenants expected most",
        "lose every cell 0.5 0.25 3",
        "lose some 40 0 50",
    ]


def test_programs_get_all_of_it(manager, ask):
    manager.blast = BLAST
    told = ask("blast", "--zone", "zone-a")
    assert {name: told[name] for name in ("generation", "tenants", "whole", "expected_whole")} == {
        "generation": 4,
        "tenants": 12_345,
        "whole": 12,
        "expected_whole": 11.25,
    }
    assert len(told["whole_tenants"]) == 12
    assert told["partial_tenants"] == [{"tenant": "acme", "left": 0.75}]
    assert told["loads"][0] == {"cell": "cell-3", "slots": 7, "load": 1.5}


def test_a_picture_is_drawn_beside_it(manager, run, tmp_path):
    manager.blast = BLAST
    picture = tmp_path / "blast.png"
    assert f"drawn: {picture}" in run("blast", "--zone", "zone-a", "--plot", picture).err
    assert picture.read_bytes().startswith(b"\x89PNG")
    run("blast", "--poison", 2, "--plot", picture, code=2)


def test_what_cannot_be_drawn_is_not_asked_for(manager, run, tmp_path):
    assert (
        "ends with .png, .svg, .pdf" in run("blast", "--zone", "z", "--plot", tmp_path / "a.gif", code=1).err
    )
    assert manager.asked is None


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (4_000, "4,000"), (0.00152, "0.00152"), (1e6 / 3, "333,333")]
)
def test_what_is_expected_is_rounded_as_it_can_be_read(count, text):
    assert number(count).text == text
