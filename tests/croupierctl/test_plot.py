import sys
import xml.etree.ElementTree as ET

import pytest
from support.blasts import BLAST

from croupier.errors import InvalidRequest
from croupierctl.plot import FORMATS, NoPlots, check, draw
from protos.versions.v1 import versions_pb2 as pb


def words(path) -> set[str]:
    return {element.text for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")}


def test_counts_and_expectations_are_drawn_with_the_load(tmp_path):
    path, again = tmp_path / "blast.svg", tmp_path / "again.svg"
    for each in (path, again):
        draw(each, BLAST, "the hand of acme")
    # The same is the same file.
    assert path.read_bytes() == again.read_bytes()
    assert {
        "8,333",
        "4,000",
        "12",
        "cells shared with the hand of acme",
        "12,345 tenants, generation 4",
    } <= words(path)
    assert {"cell-3", "cell-7", "load per cell, max / mean 1.500", "requests/s over weight"} <= words(path)


@pytest.mark.parametrize("suffix", [one for one in FORMATS if one != ".svg"])
def test_each_other_format_is_drawn(tmp_path, suffix):
    path = tmp_path / f"blast{suffix}"
    draw(check(path), pb.Blast(), "nothing")
    assert path.stat().st_size > 1_000


def test_many_cells_are_not_named(tmp_path):
    many = pb.Blast(loads=[pb.CellLoad(cell=f"cell-{n}", load=n) for n in range(256)], overlap=[5])
    draw(tmp_path / "many.svg", many, "it")
    assert "256 cells, by name; those that break are red" in words(tmp_path / "many.svg")
    assert "cell-0" not in words(tmp_path / "many.svg")


def test_what_cannot_be_drawn_is_said_before(tmp_path, monkeypatch):
    with pytest.raises(InvalidRequest, match="ends with"):
        check(tmp_path / "blast.gif")
    with pytest.raises(InvalidRequest, match="there is no folder"):
        check(tmp_path / "nowhere" / "blast.svg")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(NoPlots, match=r"pip install 'croupier\[plot\]'"):
        check(tmp_path / "blast.svg")


def test_what_cannot_be_written_is_the_operators(tmp_path):
    (tmp_path / "blast.svg").mkdir()
    with pytest.raises(InvalidRequest, match="cannot write"):
        draw(tmp_path / "blast.svg", BLAST, "it")
