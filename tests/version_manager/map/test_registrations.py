import pytest
from support.records import KEYS, FakeEtcd, cell

from croupier.protocol import CURRENT, FIRST
from version_manager.map.image import Image
from version_manager.map.records import Spoken, encode

RECORD, PROTOCOL = KEYS.cell("cell-1"), KEYS.protocol("cell-1")


@pytest.fixture
def image() -> Image:
    image = Image(KEYS)
    image.begin("catalog")
    return image


@pytest.fixture
def etcd() -> FakeEtcd:
    return FakeEtcd()


def take(image: Image, event):
    change, problems = image.apply(event.puts, [key for key, _ in event.deletes], event.revision)
    assert not problems
    return change


def joined(etcd: FakeEtcd, *, lease: int, protocol: int = CURRENT):
    """What a manager of this release writes for a cell."""
    return etcd.change({RECORD: encode(cell()), PROTOCOL: encode(Spoken(protocol))}, lease=lease)


def protocol_of(image: Image) -> int:
    return image.map.cells["cell-1"].protocol


def test_both_keys_make_one_cell(image, etcd):
    change = take(image, joined(etcd, lease=7))
    assert [(one.id, one.protocol) for one in change.cells] == [("cell-1", CURRENT)]
    assert protocol_of(image) == CURRENT


def test_a_record_alone_is_of_the_release_before(image, etcd):
    take(image, etcd.change({RECORD: encode(cell())}, lease=7))
    assert protocol_of(image) == FIRST


def test_what_stands_under_another_lease_is_of_another_process(image, etcd):
    take(image, joined(etcd, lease=7))
    # A manager of the release before writes the record only.
    change = take(image, etcd.change({RECORD: encode(cell(port=9001))}, lease=8))
    assert [one.protocol for one in change.cells] == [FIRST]
    take(image, etcd.delete(PROTOCOL))
    assert protocol_of(image) == FIRST


def test_another_number_alone_is_a_change(image, etcd):
    take(image, joined(etcd, lease=7, protocol=1))
    change = take(image, etcd.change({PROTOCOL: encode(Spoken(2))}, lease=7))
    assert [one.protocol for one in change.cells] == [2]


def test_a_number_without_a_cell_is_no_cell(image, etcd):
    change = take(image, etcd.change({PROTOCOL: encode(Spoken(2))}, lease=7))
    assert not change.size
    assert not image.map.cells


def test_a_cell_goes_with_its_keys(image, etcd):
    take(image, joined(etcd, lease=7))
    change = take(image, etcd.delete(RECORD, PROTOCOL))
    assert change.removed_cells == ("cell-1",)
    assert not image.map.cells
    take(image, etcd.change({RECORD: encode(cell())}, lease=7))
    assert protocol_of(image) == FIRST


def test_garbage_takes_nothing_away(image, etcd):
    take(image, joined(etcd, lease=7))
    event = etcd.change({RECORD: b"{", PROTOCOL: b'{"protocol": -1}'})
    _, problems = image.apply(event.puts, (), event.revision)
    assert [problem.kind for problem in problems] == ["cell", "cell"]
    assert protocol_of(image) == CURRENT
