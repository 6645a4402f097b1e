from prometheus_client import REGISTRY

from router.latency import MOST_NAMED, CellSeconds
from router.view import KnownCell
from version_manager.model.fleet import Cell


def known(*cells: tuple[str, str]) -> dict[str, KnownCell]:
    return {name: KnownCell(Cell(name, zone, f"{name}:1")) for name, zone in cells}


def count(**labels: str) -> float | None:
    return REGISTRY.get_sample_value("croupier_router_attempt_seconds_count", labels)


def test_calls_are_counted_by_zone_cell_and_code() -> None:
    seconds = CellSeconds()
    seconds.follow(known(("lat-1", "a"), ("lat-2", "b")))
    for cell, code in (("lat-1", 0), ("lat-1", 0), ("lat-1", 14), ("lat-2", 1)):
        seconds.of(cell).took(code, 0.01)
    assert count(zone="a", cell="lat-1", code="OK") == 2
    assert count(zone="a", cell="lat-1", code="UNAVAILABLE") == 1
    assert count(zone="b", cell="lat-2", code="CANCELLED") == 1


def test_a_cell_that_is_gone_is_forgotten_and_begins_anew() -> None:
    seconds = CellSeconds()
    seconds.follow(known(("lat-3", "a")))
    seconds.of("lat-3").took(0, 0.01)
    seconds.follow(known(("lat-3", "a"), ("lat-4", "a")))
    assert count(zone="a", cell="lat-3", code="OK") == 1, "still there"
    seconds.follow(known(("lat-4", "a")))
    assert count(zone="a", cell="lat-3", code="OK") is None
    seconds.follow(known(("lat-3", "a")))
    seconds.of("lat-3").took(0, 0.01)
    assert count(zone="a", cell="lat-3", code="OK") == 1


def test_a_cell_that_moves_to_another_zone_is_counted_there() -> None:
    seconds = CellSeconds()
    for zone in ("a", "b"):
        seconds.follow(known(("lat-5", zone)))
        seconds.of("lat-5").took(0, 0.01)
    assert count(zone="a", cell="lat-5", code="OK") is None
    assert count(zone="b", cell="lat-5", code="OK") == 1


def test_of_very_many_cells_some_have_series_of_their_own() -> None:
    seconds = CellSeconds()
    cells = [(f"many-{number}", "z") for number in range(MOST_NAMED + 50)]
    seconds.follow(known(*cells))
    for name, _ in cells:
        seconds.of(name).took(0, 0.01)
    assert count(zone="z", cell="many-0", code="OK") == 1
    assert count(zone="z", cell="", code="OK") == 50
    seconds.follow({})
    assert count(zone="z", cell="many-0", code="OK") is None
    assert count(zone="z", cell="", code="OK") is None
