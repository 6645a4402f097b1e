"""What operators change while callers ask: releases, shard maps, cells, models."""

from __future__ import annotations

import pytest
from support.fleet import publish
from support.harm import await_registered, hand_of, with_manager
from support.load import MODEL, TENANTS, Tenant

from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb


def release(stack: Stack, tenant: str, version: int) -> None:
    splits = [pb.Split(version=version, basis_points=10_000)]
    request = pb.SetReleaseRequest(tenant=tenant, name=MODEL, splits=splits)
    with_manager(stack, lambda manager: manager.set_release(request))


@pytest.mark.fault("A release moves to and fro between two versions, twenty times", "no error")
def test_a_release_moves(fleet: Stack, load) -> None:
    tenant = TENANTS[0]
    with load() as seen:
        version = publish(fleet, tenant.name, MODEL, tenant.twin)
        for number in range(20):
            release(fleet, tenant.name, version if number % 2 == 0 else 1)
    seen.check()


@pytest.mark.fault("A hundred models are published and removed", "no error")
def test_models_come_and_go(fleet: Stack, load) -> None:
    with load() as seen:
        for number in range(100):
            publish(fleet, "passing", f"model-{number}", Tenant("passing", 30_000 + number).artifact)
        for number in range(100):
            with_manager(fleet, lambda manager, name=f"model-{number}": manager.delete_model("passing", name))
    seen.check()


@pytest.mark.fault("A cell loses its seat and gets it back", "no error")
def test_a_cell_loses_its_seat(fleet: Stack, load) -> None:
    cell = hand_of(fleet, TENANTS[0].name)[0]
    before = with_manager(fleet, lambda manager: manager.get_generation())
    hands = {one.name: hand_of(fleet, one.name) for one in TENANTS}
    with load() as seen:
        without = pb.Generation()
        without.CopyFrom(before)
        del without.seats[:]
        without.seats.extend(seat for seat in before.seats if seat.cell != cell)
        changed = with_manager(
            fleet, lambda manager: manager.set_generation(without, expected_number=before.number)
        )
        assert cell not in hand_of(fleet, TENANTS[0].name)
        with_manager(fleet, lambda manager: manager.set_generation(before, expected_number=changed.number))
        await_registered(fleet)
    seen.check()
    assert hands == {one.name: hand_of(fleet, one.name) for one in TENANTS}


@pytest.mark.fault("The size of hands changes from three to two and back", "no error")
def test_hands_change_their_size(fleet: Stack, load) -> None:
    with load() as seen:
        for size in (2, 3):
            generation = with_manager(fleet, lambda manager: manager.get_generation())
            generation.hand_size = size
            number = generation.number
            with_manager(
                fleet, lambda manager, g=generation, n=number: manager.set_generation(g, expected_number=n)
            )
    seen.check()
