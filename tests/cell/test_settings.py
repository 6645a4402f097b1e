"""The settings of a cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from cell.app import PROGRAM
from cell.settings import CellSettings
from croupier.settings import InvalidSettings, load


def test_settings_from_flags() -> None:
    found = load(
        CellSettings,
        PROGRAM,
        ["--id", "c7", "--zone", "z2", "--weight", "2.5", "--cache-dir", "/tmp/x", "--manager", ""],
        {"CROUPIER_CELL_CAPACITY_BYTES": "1000"},
    )
    assert (found.id, found.zone, found.weight, found.manager) == ("c7", "z2", 2.5, ())
    assert (found.folder, found.capacity_bytes) == (Path("/tmp/x"), 1000)


@pytest.mark.parametrize("bound", ["0.0.0.0:8600", "[::]:8600", ":8600"])
def test_a_cell_on_every_address_says_where_it_is_reached(bound: str) -> None:
    with pytest.raises(InvalidSettings, match="--advertise"):
        CellSettings().advertised(bound)
    assert CellSettings(advertise="cell:1").advertised(bound) == "cell:1"
    assert CellSettings().advertised("127.0.0.1:8600") == "127.0.0.1:8600"


@pytest.mark.parametrize(
    ("name", "value"), [("weight", -1.0), ("run_seconds", 0.0), ("max_loads", 0), ("cache_bytes", -1)]
)
def test_what_is_wrong_is_named_as_its_flag(name: str, value: float) -> None:
    with pytest.raises(InvalidSettings, match=f"--{name.replace('_', '-')} "):
        CellSettings(**{name: value}).check()


def test_each_cell_has_its_own_folder_and_all_have_one_store() -> None:
    one, two = CellSettings(id="one"), CellSettings(id="two")
    assert one.folder != two.folder
    assert one.store_url == two.store_url
    assert one.store_url.startswith("file:///")
