from dataclasses import replace

from sharding.generation import Generation, Override, Seat, Share
from version_manager.doubts import MOST, of_family, of_generation, of_limits, of_residency
from version_manager.map.family_image import Configs
from version_manager.map.image import Map
from version_manager.model.catalog import Catalog
from version_manager.model.family import Config, Families, Family
from version_manager.model.fleet import Cell
from version_manager.model.limits import UNLIMITED, Limits, TenantLimits
from version_manager.model.release import Model
from version_manager.model.residency import ResidencyRule
from version_manager.rates import Used

SEATS = (Seat("a", "east"), Seat("b", "west"), Seat("c", "west", draining=True))


def served(*cells):
    known = {cell.id: cell for cell in cells}
    return Map(Catalog.build("c", 1, [Model("acme", "churn", {}, None)]), known, (), {})


FLEET = served(*(Cell(seat.cell, seat.zone, "h:1") for seat in SEATS))


def test_a_map_that_is_meant_is_not_doubted():
    sound = Generation(1, 7, 2, SEATS, {"acme": Override(pins=("a",), hand_size=2)})
    assert of_generation(sound, FLEET) == []
    assert of_residency("acme", ResidencyRule(5, ("churn",)), FLEET) == []


def test_rules_for_a_tenant_that_is_not_there():
    rules = {"acne": Override(isolation_group="banks")}
    (said,) = of_generation(Generation(1, 7, 2, SEATS, rules), FLEET)
    assert said == "override acne: there is no such tenant, none has a model here"
    (said,) = of_residency("acne", ResidencyRule(5), FLEET)
    assert said == "there is no tenant acne: none has a model here"
    # Whoever only looks has done nothing that could be wrong.
    assert of_residency("acne", ResidencyRule(), FLEET) == []


def test_limits_below_what_is_asked_for_now():
    used = {"acme": Used(120.0, 3.0), "globex": Used(7.0, 0.0), "initech": Used(200.0, 9.0)}
    own = {"acme": Limits(rate=100, cold_loads=4), "initech": Limits(rate=UNLIMITED)}
    limits = TenantLimits(Limits(rate=5, cold_loads=8), own)
    assert of_limits("acme", limits, used, FLEET) == [
        "acme has 120 requests/s now, more than the 100/s that it may have"
    ]
    # Of everybody's, all whom they bear on, those that ask for most first.
    assert of_limits("", limits, used, FLEET) == [
        "initech has 9 cold answers/s now, more than the 8/s that it may have",
        "acme has 120 requests/s now, more than the 100/s that it may have",
        "globex has 7 requests/s now, more than the 5/s that it may have",
    ]
    assert of_limits("acme", TenantLimits(Limits(rate=200)), used, FLEET) == []
    assert of_limits("acme", limits, {}, FLEET) == []
    many = {f"tenant-{number}": Used(10.0, 0.0) for number in range(MOST + 5)}
    assert len(of_limits("", limits, many, FLEET)) == MOST


def test_limits_of_a_tenant_that_is_not_there():
    limits = TenantLimits(tenants={"acne": Limits(rate=5)})
    assert of_limits("acne", limits, {}, FLEET) == ["there is no tenant acne: none has a model here"]
    assert of_limits("acme", limits, {}, FLEET) == []
    assert of_limits("acne", TenantLimits(), {}, FLEET) == []


def test_hands_that_are_larger_than_the_fleet():
    said = of_generation(Generation(1, 7, 3, SEATS, {"acme": Override(hand_size=9)}), FLEET)
    assert said == [
        "hands of 3 are larger than the fleet: 2 seats are dealt",
        "override acme: a hand of 9 is larger than the fleet, 2 seats",
    ]


def test_dedicated_seats_that_are_not_meant():
    seats = (*SEATS, Seat("d", "east", dedicated="acme"), Seat("e", "west", dedicated="acme"))
    there = served(*(Cell(seat.cell, seat.zone, "h:1") for seat in seats))
    assert of_generation(Generation(1, 7, 2, seats), there) == []
    told = {
        "override acme: a hand of 1 leaves 1 of its dedicated seats idle": Override(hand_size=1),
        "override acme: a hand of 3 is larger than what is dedicated to acme, 2 seats": Override(hand_size=3),
        "override acme pins a, not an active seat dedicated to acme": Override(pins=("a", "d")),
        "override acme: it has dedicated seats, so group banks has no say": Override(isolation_group="banks"),
    }
    for words, rule in told.items():
        assert of_generation(Generation(1, 7, 2, seats, {"acme": rule}), there) == [words]


def test_seats_that_are_dedicated_to_nobody_that_is_there():
    seats = (*SEATS, Seat("d", "east", dedicated="banks"))
    there = served(*(Cell(seat.cell, seat.zone, "h:1") for seat in seats))
    (said,) = of_generation(Generation(1, 7, 2, seats), there)
    assert said == "seats are dedicated to banks: there is no such tenant or isolation group"
    member = {"acme": Override(isolation_group="banks")}
    assert of_generation(Generation(1, 7, 2, seats, member), there) == []


def test_a_group_that_is_a_tenant_with_dedicated_seats():
    seats = (*SEATS, Seat("d", "east", dedicated="acme"))
    there = served(*(Cell(seat.cell, seat.zone, "h:1") for seat in seats))
    said = of_generation(Generation(1, 7, 2, seats, {"globex": Override(isolation_group="acme")}), there)
    assert said[0] == "override globex: its group is tenant acme, whose dedicated seats it is dealt too"


def test_shares_that_ask_for_more_than_there_is():
    rules = {"acme": Override(hand_size=Share(5, 9))}
    assert of_generation(Generation(1, 7, Share(10, 3), SEATS, rules), FLEET) == [
        "hands of 3 are larger than the fleet: 2 seats are dealt",
        "override acme: a hand of 9 is larger than the fleet, 2 seats",
    ]


def test_seats_and_cells_that_do_not_fit():
    there = served(Cell("a", "east", "h:1"), Cell("b", "north", "h:1"))
    assert of_generation(Generation(1, 7, 2, SEATS), there) == [
        "seat b is in west, and its cell says that it is in north",
        "seat c: no such cell is registered",
    ]


def test_nobody_is_told_without_end():
    rules = {f"t{n}": Override(hand_size=1) for n in range(1000)}
    assert len(of_generation(Generation(1, 7, 2, SEATS, rules), FLEET)) == MOST


def test_a_config_of_no_model_and_one_that_goes_are_told_of():
    known = replace(FLEET, configs=Configs(families=Families({"churn": Family("churn", 3)})))
    assert of_family(("", "anything"), Config(1, Family("anything", 1)), known) == []
    assert of_family(("acme", "churn"), Config(1, Family("churn", 1)), known) == []
    (said,) = of_family(("acme", "churm"), Config(1, Family("churm", 1)), known)
    assert said == "tenant acme has no model churm"
    (said,) = of_family(("acme", "churn"), Config(4, None), known)
    assert said == "family churn holds for it from now on, config 3"
    assert of_family(("acme", "fraud"), Config(4, None), known) == []
    assert of_family(("", "churn"), Config(4, None), known) == []
