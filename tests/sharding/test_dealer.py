"""What an operator may rely on when the fleet changes; the ring properties of Grafana's dskit, and more."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.generations import (
    EVERYBODY,
    OWNERS,
    SEED,
    TENANTS,
    dedicated,
    draining,
    even,
    generations,
    maps,
    names,
    overriding,
    resized,
    sizes,
    with_seat,
    without,
)

from sharding.dealer import Dealer, SizeRule
from sharding.generation import Generation, Override, Seat, Share, Size, check_generation, size_of

SOME = TENANTS[:200]


def hands(generation: Generation, tenants: tuple[str, ...] = TENANTS) -> list[frozenset[str]]:
    dealer = Dealer(check_generation(generation))
    return [frozenset(dealer.hand(tenant)) for tenant in tenants]


def assert_only_slots_on(
    cell: str, before: list[frozenset[str]], after: list[frozenset[str]], *, shrinks: bool = False
) -> int:
    """`cell` left every hand that held it, one other came for it, nothing else moved; how many did."""
    moved = 0
    for old, new in zip(before, after, strict=True):
        if cell in old:
            assert old - new == {cell}
            assert len(new - old) == (0 if shrinks else 1)
            moved += 1
        else:
            assert old == new
    return moved


class TestGrafanaProperties:
    @pytest.mark.parametrize("size", range(3, 16))
    def test_stability(self, size: int) -> None:
        generation = even(cells=50, zones=3, hand_size=size)
        shuffled = list(generation.seats)
        random.Random(size).shuffle(shuffled)
        one, other = Dealer(generation), Dealer(replace(generation, number=9, seats=tuple(shuffled)))
        for tenant in TENANTS[:100]:
            hand = one.hand(tenant)
            assert hand == one.hand(tenant) == other.hand(tenant)
            assert len(set(hand)) == len(hand) == size

    @pytest.mark.parametrize("per_zone", [1, 2, 5])
    def test_an_added_zone_keeps_what_was_dealt(self, per_zone: int) -> None:
        two = even(cells=20, zones=2, hand_size=2 * per_zone)
        added = tuple(Seat(f"third-{i}", "third") for i in range(10))
        three = replace(two, hand_size=3 * per_zone, seats=two.seats + added)
        for old, new in zip(hands(two, SOME), hands(three, SOME), strict=True):
            assert old < new


class TestZones:
    def test_a_hand_spans_every_zone(self) -> None:
        generation = even(cells=30, zones=5, hand_size=12)
        zone_of = {seat.cell: seat.zone for seat in generation.seats}
        dealer = Dealer(generation)
        for tenant in SOME:
            zones = [zone_of[cell] for cell in dealer.hand(tenant)]
            assert len(set(zones[:5])) == len(set(zones[5:10])) == 5
            assert len(set(zones[10:])) == 2

    def test_a_zone_that_runs_out_leaves_its_turns_to_the_others(self) -> None:
        seats = (Seat("a", "small"), *(Seat(f"b{i}", "big") for i in range(4)))
        for hand in hands(Generation(1, SEED, 4, seats), SOME):
            assert "a" in hand
            assert len(hand) == 4

    def test_a_hand_is_never_larger_than_the_fleet(self) -> None:
        generation = even(cells=6, zones=4, hand_size=40)
        assert hands(generation, SOME) == [frozenset(seat.cell for seat in generation.seats)] * len(SOME)


@given(generations(), st.lists(names, min_size=5, max_size=5), st.data())
def test_losing_a_cell_moves_the_slots_on_it_whatever_the_fleet(
    generation: Generation, tenants: list[str], data: st.DataObject
) -> None:
    active = [seat.cell for seat in generation.seats if not seat.draining]
    cell = data.draw(st.sampled_from(active))
    some = tuple(tenants)
    before, after = hands(generation, some), hands(draining(generation, cell), some)
    assert_only_slots_on(cell, before, after, shrinks=len(active) <= generation.hand_size)
    assert after == hands(without(generation, cell), some)


@given(generations(), names, st.floats(1.01, 10), st.data())
def test_more_weight_moves_slots_to_that_cell_only(
    generation: Generation, tenant: str, factor: float, data: st.DataObject
) -> None:
    seat = data.draw(st.sampled_from(generation.seats))
    heavier = with_seat(generation, replace(seat, weight=seat.weight * factor))
    (old,), (new,) = hands(generation, (tenant,)), hands(heavier, (tenant,))
    assert old == new or (new - old == {seat.cell} and len(old - new) == 1)


@given(generations(), names, st.integers(1, 12), st.integers(1, 12))
def test_hands_nest_whatever_the_fleet(generation: Generation, tenant: str, one: int, other: int) -> None:
    small, large = sorted((one, other))
    longer = Dealer(resized(generation, large)).hand(tenant)
    assert longer[:small] == Dealer(resized(generation, small)).hand(tenant)


@given(generations(), st.lists(names, min_size=1))
def test_an_explanation_agrees_with_the_hand(generation: Generation, tenants: list[str]) -> None:
    dealer = Dealer(generation, cached=1)
    seats = {seat.cell: seat for seat in generation.seats}
    for tenant in tenants:
        told = dealer.explain(tenant)
        assert told.hand == dealer.hand(tenant)
        assert [place.zone for place in told.places] == [seats[cell].zone for cell in told.hand]
        assert [place.round for place in told.places] == sorted(place.round for place in told.places)
        assert set(told.zones) == {seat.zone for seat in generation.seats if not seat.draining}
        assert not any(seats[cell].draining for cell in told.hand)


class TestOverrides:
    base = even()

    def deal(self, **said: object) -> tuple[str, ...]:
        return self.dealer(**said).hand("acme")

    def dealer(self, drained: str = "", **said: object) -> Dealer:
        generation = overriding(self.base, "acme", Override(**said))  # type: ignore[arg-type]
        return Dealer(check_generation(draining(generation, drained)))

    plain = Dealer(base).hand("acme")
    longer = Dealer(resized(base, 9)).hand("acme")

    def test_pins_are_the_hand(self) -> None:
        assert self.deal(pins=("cell-009", "cell-001")) == ("cell-009", "cell-001")

    def test_pins_outrank_exclusions_and_size(self) -> None:
        pins = ("cell-009", "cell-001")
        assert pins == self.deal(pins=pins, excludes=("cell-009",), hand_size=7, isolation_group="g")

    def test_a_cell_pinned_twice_is_held_once(self) -> None:
        assert self.deal(pins=("cell-009", "cell-009")) == ("cell-009",)

    def test_a_draining_pin_is_dealt_in_its_place(self) -> None:
        dealer = self.dealer(pins=("cell-009", "cell-001"), drained="cell-009")
        first = next(cell for cell in self.plain if cell not in {"cell-001", "cell-009"})
        assert dealer.hand("acme") == ("cell-001", first)
        told = dealer.explain("acme")
        assert (told.pinned, told.draining, told.size) == (("cell-001",), ("cell-009",), 2)
        assert [place.round for place in told.places] == [0, 1]

    def test_exclusions_close_up(self) -> None:
        hand = self.deal(excludes=self.plain[1:2])
        assert set(self.plain) - set(hand) == {self.plain[1]}
        assert len(hand) == 4

    def test_a_size_of_ones_own_outranks_the_default(self) -> None:
        assert self.deal(hand_size=9) == self.longer

    def test_a_size_and_exclusions_go_together(self) -> None:
        hand = self.deal(hand_size=9, excludes=self.longer[:2])
        assert len(hand) == 9
        assert set(self.longer[2:]) < set(hand)
        assert set(hand).isdisjoint(self.longer[:2])

    def test_an_isolation_group_stands_in_for_the_tenant(self) -> None:
        dealer = self.dealer(isolation_group="free-trials")
        assert dealer.hand("acme") == dealer.hand("free-trials") != self.plain

    def test_other_tenants_are_left_alone(self) -> None:
        dealer = self.dealer(pins=("cell-009",), hand_size=3, isolation_group="g")
        assert dealer.hand("globex") == Dealer(self.base).hand("globex")

    @pytest.mark.parametrize(
        ("said", "size", "rule"),
        [
            ({}, 4, SizeRule.DEFAULT),
            ({"hand_size": 6}, 6, SizeRule.TENANT),
            ({"hand_size": 6, "excludes": ("cell-001",)}, 6, SizeRule.TENANT),
            ({"hand_size": 6, "pins": ("cell-001",)}, 1, SizeRule.PINS),
        ],
    )
    def test_the_rule_is_told(self, said: dict[str, object], size: int, rule: SizeRule) -> None:
        told = self.dealer(**said).explain("acme")
        assert (size, rule) == (told.size, told.size_rule)
        assert size == len(told.hand)

    def test_everything_is_told(self) -> None:
        told = self.dealer(
            pins=("cell-009",), excludes=("cell-009", "cell-002"), isolation_group="g"
        ).explain("acme")
        assert (told.tenant, told.dealt_as, told.generation) == ("acme", "g", 2)
        assert (told.pinned, told.excluded, told.draining) == (("cell-009",), ("cell-002",), ())
        assert sorted(told.zones) == ["zone-0", "zone-1", "zone-2", "zone-3"]


class TestDedicatedSeats:
    base = even(hand_size=6)
    mine = ("cell-003", "cell-017", "cell-021")
    given = dedicated(base, "acme", *mine)

    def test_they_are_the_owners_whole_hand_and_nobody_elses(self) -> None:
        dealer = Dealer(check_generation(self.given))
        told = dealer.explain("acme")
        assert sorted(told.hand) == sorted(self.mine)
        assert (told.dealt_as, told.dedicated, told.size, told.size_rule) == (
            "acme",
            "acme",
            3,
            SizeRule.DEDICATED,
        )
        assert not any({*self.mine} & {*dealer.hand(tenant)} for tenant in SOME)
        assert dealer.explain("globex").dedicated == ""

    def test_for_others_it_is_as_if_they_were_not_there(self) -> None:
        gone = self.base
        for cell in self.mine:
            gone = without(gone, cell)
        assert hands(self.given, SOME) == hands(gone, SOME)
        resized_share = resized(self.given, Share(20, 4))
        assert hands(resized_share, SOME) == hands(resized(gone, Share(20, 4)), SOME)

    def test_a_size_of_ones_own_is_kept(self) -> None:
        for size, count in ((2, 2), (9, 3), (Share(50), 2)):
            dealer = Dealer(check_generation(overriding(self.given, "acme", Override(hand_size=size))))
            assert dealer.hand("acme") == Dealer(self.given).hand("acme")[:count]
            assert dealer.explain("acme").size_rule == SizeRule.TENANT

    def test_a_groups_are_dealt_to_its_members_alone(self) -> None:
        generation = dedicated(self.base, "banks", *self.mine)
        generation = overriding(generation, "acme", Override(isolation_group="banks"))
        generation = overriding(generation, "globex", Override(isolation_group="banks", hand_size=1))
        dealer = Dealer(check_generation(generation))
        assert sorted(dealer.hand("acme")) == sorted(self.mine)
        assert dealer.hand("globex") == dealer.hand("acme")[:1]
        assert dealer.hand("banks") == dealer.hand("acme")
        assert dealer.explain("acme").dedicated == dealer.explain("acme").dealt_as == "banks"

    def test_ones_own_outrank_those_of_the_group(self) -> None:
        generation = dedicated(self.given, "banks", "cell-040")
        generation = overriding(generation, "acme", Override(isolation_group="banks"))
        dealer = Dealer(check_generation(generation))
        assert sorted(dealer.hand("acme")) == sorted(self.mine)
        assert dealer.explain("acme").dealt_as == "acme"

    def test_a_draining_one_is_dealt_to_nobody(self) -> None:
        assert set(Dealer(check_generation(draining(self.given, self.mine[0]))).hand("acme")) == {
            *self.mine[1:]
        }

    def test_excluded_and_pinned(self) -> None:
        def deal(said: Override) -> tuple[str, ...]:
            return Dealer(check_generation(overriding(self.given, "acme", said))).hand("acme")

        assert set(deal(Override(excludes=self.mine[:1]))) == {*self.mine[1:]}
        assert deal(Override(pins=("cell-040", self.mine[0]))) == ("cell-040", self.mine[0])
        drained = draining(overriding(self.given, "acme", Override(pins=self.mine[:1])), self.mine[0])
        assert len(Dealer(drained).hand("acme")) == 1
        assert set(Dealer(drained).hand("acme")) < {*self.mine[1:]}


@given(maps(), st.data())
def test_a_dedicated_cell_is_dealt_to_its_owner_alone(generation: Generation, data: st.DataObject) -> None:
    dealer = Dealer(generation)
    seats = {seat.cell: seat for seat in generation.seats}
    for tenant in EVERYBODY:
        told = dealer.explain(tenant)
        rule = generation.overrides.get(tenant, Override())
        for place in told.places:
            assert not seats[place.cell].draining
            if place.cell not in rule.pins:
                assert seats[place.cell].dedicated == told.dedicated
                assert place.cell not in rule.excludes
        assert told.dedicated in ("", tenant, rule.isolation_group)


@given(maps(), st.sampled_from(OWNERS), st.data())
def test_dedicating_a_cell_moves_what_draining_it_would(
    generation: Generation, owner: str, data: st.DataObject
) -> None:
    """Of who is not dealt as its owner; and giving it back restores every hand."""
    cells = [seat.cell for seat in generation.active()]
    pinned = {pin for rule in generation.overrides.values() for pin in rule.pins}
    assume(len(cells) > 2 and not pinned >= {*cells})
    cell = data.draw(st.sampled_from([cell for cell in cells if cell not in pinned]))
    given = dedicated(generation, owner, cell)
    drained = draining(generation, cell)
    one, other, before = Dealer(given), Dealer(drained), Dealer(generation)
    back = Dealer(dedicated(given, "", cell))
    for tenant in EVERYBODY:
        if one.explain(tenant).dealt_as != owner:
            assert one.hand(tenant) == other.hand(tenant)
        assert back.hand(tenant) == before.hand(tenant)


@given(maps(), sizes, names)
def test_a_share_deals_as_what_it_comes_to(generation: Generation, size: Size, tenant: str) -> None:
    number = size_of(size, len(generation.active()))
    one, other = Dealer(resized(generation, size)), Dealer(resized(generation, number))
    for name in (*EVERYBODY, tenant):
        assert one.hand(name) == other.hand(name)


def test_the_seed_keys_every_hand() -> None:
    one, other = hands(even(), SOME), hands(replace(even(), seed=SEED + 1), SOME)
    same = sum(a == b for a, b in zip(one, other, strict=True))
    assert same <= 1


def test_the_cache_is_bounded_and_changes_nothing() -> None:
    small, large = Dealer(even(), cached=2), Dealer(even())
    for tenant in (*SOME, *reversed(SOME)):
        assert small.hand(tenant) == large.hand(tenant)
    assert small._cached.cache_info().currsize == 2
    assert large.hand("tenant-0") is large.hand("tenant-0")
