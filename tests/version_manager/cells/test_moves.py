"""What is warmed before other cells are asked, and where: always inside the next hand."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sharding.dealer import Dealer
from sharding.generation import Generation, Seat
from sharding.hashing import hash64
from sharding.placement import cells_for
from version_manager.cells.moves import Hot, Move, Standing, Wanted, by_rates, dosed, moving, wanted
from version_manager.model.catalog import Catalog
from version_manager.model.release import Model, Release, Split, Version

SEED = 7
CELLS = tuple(f"cell-{number}" for number in range(8))
TENANTS = tuple(f"tenant-{number}" for number in range(20))


def digest(tenant: str, name: str, number: int = 1) -> bytes:
    return hash64(tenant, name, str(number)).to_bytes(8, "big") * 4


def model(tenant: str, name: str, *, released: bool = True, artifact: bytes = b"") -> Model:
    version = Version(1, artifact or digest(tenant, name), 10, "forest")
    release = Release(1, (Split(1, 10_000),)) if released else None
    return Model(tenant, name, {1: version}, release)


def catalog(*more: Model) -> Catalog:
    return Catalog.build(models=[model(tenant, f"m{n}") for tenant in TENANTS for n in range(3)] + [*more])


def dealer(*cells: str, number: int = 1, size: int = 3) -> Dealer:
    seats = tuple(Seat(cell, f"zone-{cell[-1]}") for cell in cells)
    return Dealer(Generation(number, SEED, size, seats))


def standing(*cells: str, awake: Sequence[str] = CELLS, number: int = 1, size: int = 3) -> Standing:
    return Standing(dealer(*cells, number=number, size=size), frozenset(awake))


def everything(cat: Catalog, *cells: str) -> dict[str, list[Hot]]:
    """Every cell says that it holds every model."""
    hot = [Hot(one.versions[1].artifact) for one in cat]
    return dict.fromkeys(cells, hot)


SOME_CELLS = st.sets(st.sampled_from(CELLS), min_size=1)


@given(SOME_CELLS, SOME_CELLS, SOME_CELLS, st.integers(1, 4), st.integers(1, 4))
def test_whatever_is_warmed_will_be_asked_for_there_by_the_next_hand(
    old, new, awake, before_size, after_size
):
    cat = catalog()
    before = standing(*sorted(old), awake=[*awake], size=before_size)
    after = standing(*sorted(new), awake=[*awake], number=2, size=after_size)
    moves = moving(cat, before, after)
    plan = wanted(
        moves, {cell: [Hot(digest("tenant-1", "m0")), Hot(digest("tenant-2", "m1"))] for cell in old}
    )
    for cell, models in plan.items():
        assert cell in awake
        for one in models:
            assert cell in after.active.hand(one.tenant)
            assert one.tenant in TENANTS


@given(SOME_CELLS, SOME_CELLS)
def test_every_model_that_moves_is_loaded_by_who_is_asked_first(old, new):
    cat = catalog()
    before, after = standing(*sorted(old)), standing(*sorted(new), number=2)
    moves = moving(cat, before, after)
    # Each is hot where it is asked for, and nowhere else.
    hot: dict[str, list[Hot]] = {}
    for one in cat:
        first = cells_for(before.active, None, one.tenant, one.name)[0]
        hot.setdefault(first, []).append(Hot(one.versions[1].artifact))
    loaded = {(cell, one.digest) for cell, models in wanted(moves, hot).items() for one in models}
    needed = set()
    for one in cat:
        was, now = (cells_for(x.active, None, one.tenant, one.name)[0] for x in (before, after))
        if was != now:
            needed.add((now, one.versions[1].artifact))
    assert loaded == needed


def test_a_cell_that_leaves_hands_each_model_to_the_next_cell_of_its_order():
    cat = catalog()
    before = standing(*CELLS)
    after = replace(before, awake=before.awake - {"cell-3"})
    moves = moving(cat, before, after)
    assert moves
    for its in moves.values():
        for move in its:
            assert "cell-3" in move.before
    for one in cat:
        order = cells_for(before.active, None, one.tenant, one.name)
        its = moves.get(one.versions[1].artifact, [])
        assert [move.to[0] for move in its] == ([order[1]] if order[0] == "cell-3" else [])


def test_while_a_map_takes_over_the_one_that_deals_to_a_tenant_counts():
    cat = catalog()
    old, new = dealer(*CELLS[:4]), dealer(*CELLS[4:], number=2)
    before = Standing(new, frozenset(CELLS), old, ramp=5_000)
    after = replace(before, awake=before.awake - {CELLS[0]})
    for its in moving(cat, before, after).values():
        for move in its:
            assert set(move.to) <= set(CELLS[:4])


def test_a_model_that_several_hold_is_loaded_by_as_many_and_by_none_that_has_it():
    move = Move("acme", 5, 10, frozenset("abc"), "a", ("d", "e", "f"))
    moves = {b"x": [move]}
    hot = [Hot(b"x", 5)]
    assert {*wanted(moves, {"a": hot})} == {"d"}
    assert {*wanted(moves, {"a": hot, "b": hot})} == {"d", "e"}
    assert {*wanted(moves, {"a": hot, "b": hot, "d": hot})} == {"e"}
    # One that says it twice has it once.
    assert {*wanted(moves, {"a": hot * 9})} == {"d"}


def test_what_is_not_released_or_of_no_tenant_or_garbage_goes_nowhere():
    cat = catalog(model("tenant-1", "draft", released=False))
    before, after = standing(*CELLS[:4]), standing(*CELLS[4:], number=2)
    moves = moving(cat, before, after)
    bad = [digest("tenant-1", "draft"), digest("tenant-1", "deleted"), b"\0" * 32, b"", b"short"]
    assert wanted(moves, {cell: [Hot(one, 2**64 - 1) for one in bad] for cell in CELLS}) == {}


def test_a_cell_cannot_have_others_load_what_is_of_no_tenant_of_its_own():
    cat = catalog()
    before, after = standing(*CELLS[:4], size=2), standing(*CELLS[4:], number=2, size=2)
    moves = moving(cat, before, after)
    plan = wanted(moves, {"cell-0": everything(cat, "cell-0")["cell-0"]})
    tenants = {one.tenant for models in plan.values() for one in models}
    assert tenants == {tenant for tenant in TENANTS if "cell-0" in before.active.hand(tenant)}


def test_an_artifact_of_several_tenants_is_loaded_for_who_had_it_loaded_or_for_all():
    shared = b"s" * 32
    one, other = (
        Move(tenant, owner, 10, frozenset("a"), "a", (to,))
        for tenant, owner, to in (("t", 1, "b"), ("u", 2, "c"))
    )
    moves = {shared: [one, other]}
    assert {*wanted(moves, {"a": [Hot(shared, 1)]})} == {"b"}
    assert {*wanted(moves, {"a": [Hot(shared, 0)]})} == {"b", "c"}
    # Who had it loaded has it no more.
    assert {*wanted(moves, {"a": [Hot(shared, 3)]})} == {"b", "c"}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5)), max_size=60), st.integers(0, 100))
def test_a_tenant_with_very_many_hot_models_takes_what_others_leave(models, room):
    listed = [Wanted(bytes([rank]), tenant, size, rank) for rank, (tenant, size) in enumerate(models)]
    taken = dosed(listed, room)
    by_digest = {one.digest: one for one in listed}
    assert sum(by_digest[one].size for one in taken) <= room
    counts = {tenant: sum(by_digest[one].tenant == tenant for one in taken) for tenant in "abc"}
    for tenant in "abc":
        has_more = sum(one.tenant == tenant for one in listed) > counts[tenant]
        # Nobody has two more than one who has not got all.
        assert not has_more or all(other <= counts[tenant] + 1 for other in counts.values())


def test_a_tenant_of_a_hundred_thousand_models_does_not_push_out_the_ordinary_ones():
    listed = [Wanted(b"%d" % rank, "greedy", 10, rank) for rank in range(100_000)]
    listed += [Wanted(b"t%d" % n, f"tenant-{n}", 10, 100_000 + n) for n in range(50)]
    taken = set(dosed(listed, 1_000))
    assert {b"t%d" % n for n in range(50)} <= taken
    assert len(taken) == 100


def test_of_a_cell_that_cannot_be_asked_the_busiest_tenants_come_first():
    moves = {
        b"idle": [Move("idle", 1, 1, frozenset("a"), "a", ("b",))],
        b"busy": [Move("busy", 2, 1, frozenset("a"), "a", ("b",))],
        b"else": [Move("busy", 2, 1, frozenset("c"), "c", ("b",))],
    }
    assert [one.digest for one in by_rates(moves, {"busy": 5.0}, "a")] == [b"busy", b"idle"]


def test_nothing_moves_while_the_same_cells_are_asked():
    cat = catalog()
    assert moving(cat, standing(*CELLS), standing(*CELLS, number=2)) == {}
    assert moving(cat, standing(*CELLS), standing(*CELLS, awake=[], number=2)) == {}
