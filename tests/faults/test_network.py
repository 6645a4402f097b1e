"""Connections that break, refuse or carry nothing any more."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from support.harm import addresses, hand_of, is_answering
from support.load import TENANTS
from support.waiting import wait_until
from support.wires import WiredStack, Wires

from croupierctl.stack import Stack


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, serving) -> Iterator[WiredStack]:
    """Four cells in two zones, hands of two, everything behind proxies."""
    with Wires() as wires:
        stack = WiredStack(tmp_path_factory.mktemp("wired"), cells=4, zones=2, hand_size=2, wires=wires)
        with serving(stack):
            yield stack


@pytest.mark.fault("A cell's network breaks: connections end, new ones are refused", "no error")
def test_a_cell_is_cut_off(fleet: WiredStack, load) -> None:
    cell = hand_of(fleet, TENANTS[0].name)[0]
    with load() as seen:
        fleet.wires.cut(cell)
        time.sleep(2.0)
        fleet.wires.mend(cell)
    seen.check()


@pytest.mark.fault("A cell's network carries nothing any more, and no connection ends", "no error")
def test_a_cells_network_hangs(fleet: WiredStack, load) -> None:
    cell = hand_of(fleet, TENANTS[0].name)[0]
    with load() as seen:
        fleet.wires.hang(cell)
        time.sleep(4.0)
        fleet.wires.mend(cell)
    seen.check()


@pytest.mark.fault("Each cell in turn is cut off for half a second", "no error")
def test_cells_are_cut_off_in_turn(fleet: WiredStack, load) -> None:
    with load() as seen:
        for number in range(fleet.cells):
            fleet.wires.cut(f"cell-{number}")
            time.sleep(0.5)
            fleet.wires.mend(f"cell-{number}")
            time.sleep(0.5)
    seen.check()


@pytest.mark.fault("The version manager is cut off from etcd, and later its packets are lost", "no error")
def test_etcd_is_unreachable(fleet: WiredStack, load) -> None:
    with load() as seen:
        fleet.wires.cut("etcd")
        time.sleep(3.0)
        fleet.wires.mend("etcd")
        fleet.wires.hang("etcd")
        time.sleep(3.0)
        fleet.wires.mend("etcd")
        wait_until(lambda: is_whole(fleet), "the manager answers and knows its cells", timeout=40.0)
    seen.check()


def is_whole(stack: Stack) -> bool:
    return is_answering(stack) and len(addresses(stack)) == stack.cells
