"""The embedded store: over restarts, of several processes, forgotten in time, and clear when it cannot be."""

import asyncio
import os
import resource
import stat
import subprocess
import sys

import pytest

from croupier.settings import InvalidSettings
from croupier.stores.features import StoreDown, StoreFull, features_key, open_store
from croupier.stores.features_embedded import EmbeddedFeatures
from croupier.stores.refused import StoreRefused

KEY = features_key("acme", "profile", "u1")
# Around where LMDB's own keys end.
LONG = [features_key("acme", "profile", "x" * (length - 24)) for length in (509, 510, 511, 512, 536)]


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def store(tmp_path, clock):
    store = EmbeddedFeatures(tmp_path / "features", max_bytes=1 << 20, clock=clock)
    yield store
    await store.close()


async def scanned(store, prefix):
    return sorted([key async for key in store.scan(prefix)])


async def test_what_was_written_is_read_by_the_next_process(tmp_path):
    url = f"lmdb:{tmp_path}/new/features"
    store = open_store(url)
    await store.put_many([(KEY, b"blob"), (KEY + b"2", b"")], None)
    await store.close()
    store = open_store(f"{url}?readonly=1")
    assert await store.get_many([KEY, b"missing", KEY + b"2"]) == [b"blob", None, b""]
    assert store.get_now([]) == []
    with pytest.raises(StoreRefused, match="read only"):
        await store.put_many([(KEY, b"other")], None)
    await store.close()


async def test_it_is_for_its_owner_alone(store, tmp_path):
    await store.put_many([(KEY, b"blob")], None)
    folder = tmp_path / "features"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


async def test_keys_of_any_length_are_kept_apart(store):
    items = [(key, b"blob of %d" % len(key)) for key in LONG]
    other = LONG[-1][:-1] + b"y"
    await store.put_many(items, None)
    assert store.get_now([*LONG, other]) == [*(value for _, value in items), None]
    assert await scanned(store, features_key("acme", "profile", "x")) == LONG
    assert await scanned(store, LONG[-1][:-1]) == [LONG[-1]]
    assert await store.types([LONG[0], other]) == ["string", "none"]
    assert await store.delete_many([*LONG[2:], other]) == 3
    assert store.get_now(LONG) == [items[0][1], items[1][1], None, None, None]


async def test_a_scan_has_every_key_of_its_prefix_and_no_other(store):
    keys = [features_key("acme", "profile", f"u{number}") for number in range(2500)]
    await store.put_many([(key, b"") for key in keys], None)
    await store.put_many([(b"croupier/f/acme/profilf/u", b""), (b"croupier/f/acme/profil", b"")], None)
    assert await scanned(store, b"croupier/f/acme/profile/") == sorted(keys)
    assert await scanned(store, b"croupier/f/nobody/") == []


async def test_what_changed_meanwhile_is_left_alone(store, clock):
    await store.put_many([(LONG[-1], b"old"), (KEY, b"old"), (b"gone", b"old")], 10.0)
    await store.put_many([(KEY, b"new")], 10.0)
    changes = [
        (LONG[-1], b"old", b"less"),
        (KEY, b"old", b"less"),
        (b"gone", b"old", None),
        (b"x", b"", b"y"),
    ]
    assert await store.change_many(changes) == 2
    assert store.get_now([LONG[-1], KEY, b"gone", b"x"]) == [b"less", b"new", None, None]
    clock.now += 10.0
    assert store.get_now([LONG[-1]]) == [None]


async def test_what_is_kept_for_a_while_is_forgotten_then(store, clock):
    await store.put_many([(KEY, b"blob")], 10.0)
    await store.put_many([(KEY + b"2", b"blob")], None)
    clock.now += 9.9
    assert store.get_now([KEY]) == [b"blob"]
    # The same value, written again, is kept for as long again.
    await store.put_many([(KEY, b"blob")], 10.0)
    clock.now += 9.9
    assert store.get_now([KEY]) == [b"blob"]
    clock.now += 0.1
    assert store.get_now([KEY, KEY + b"2"]) == [None, b"blob"]
    assert await scanned(store, KEY) == [KEY + b"2"]
    assert await store.types([KEY]) == ["none"]


async def test_a_writer_deletes_what_is_forgotten_of_as_many_keys_as_it_writes(store, clock):
    await store.put_many([(b"%d" % number, b"") for number in range(100)], 5.0)
    clock.now += 5.0
    for left in (91, 81, 71):
        await store.put_many([(b"other", b"")] * 10, None)
        assert store._env.stat()["entries"] == left


async def test_writers_give_back_the_room_of_what_is_forgotten(store, clock):
    blob = bytes(1000)
    # Many times what there is room for.
    for turn in range(20):
        await store.put_many([(b"%d/%d" % (turn, number), blob) for number in range(200)], 5.0)
        clock.now += 5.0
    await store.put_many([(b"many/%d" % number, blob) for number in range(400)], 5.0)
    clock.now += 5.0
    # There is no room for it beside all of those, and it looks at no more keys than it writes at first.
    await store.put_many([(b"a/%d" % number, blob) for number in range(500)], None)
    assert len(await scanned(store, b"")) == store._env.stat()["entries"] == 500


async def test_a_full_store_says_so_and_goes_on_reading(store):
    await store.put_many([(KEY, b"blob")], None)
    with pytest.raises(StoreFull, match="max_bytes"):
        await store.put_many([(b"%d" % number, bytes(1000)) for number in range(2000)], None)
    assert store.get_now([KEY, b"0"]) == [b"blob", None]
    await store.put_many([(KEY, b"other")], None)
    assert store.get_now([KEY]) == [b"other"]


async def test_a_disk_that_is_full_is_a_full_store(store):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(StoreFull, match="disk"):
            await store.put_many([(b"%d" % number, bytes(1000)) for number in range(500)], None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await store.put_many([(KEY, b"blob")], None)
    assert store.get_now([KEY]) == [b"blob"]


@pytest.mark.parametrize("damage", ["garbage", "cut", "pages"])
async def test_a_damaged_file_is_refused(tmp_path, damage):
    store = EmbeddedFeatures(tmp_path)
    await store.put_many([(b"%d" % number, bytes(100)) for number in range(2000)], None)
    await store.close()
    file = tmp_path / "data.mdb"
    whole = file.read_bytes()
    rest = len(whole) - 8192
    file.write_bytes(
        {"garbage": b"x" * 8192, "cut": whole[: len(whole) // 2], "pages": whole[:8192] + bytes(rest)}[damage]
    )
    with pytest.raises(StoreRefused, match=str(tmp_path)):
        EmbeddedFeatures(tmp_path).get_now([b"%d" % number for number in range(2000)])


async def test_a_value_of_somebody_else_is_not_read_as_forgotten(store):
    with store._env.begin(write=True) as transaction:
        transaction.put(KEY, b"odd")
    assert store.get_now([KEY]) == [b""]
    assert await scanned(store, KEY) == [KEY]


async def test_a_folder_that_cannot_be(tmp_path, store):
    with pytest.raises(InvalidSettings, match="no feature store"):
        EmbeddedFeatures(tmp_path / "none", is_readonly=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSettings, match="cannot be made"):
        EmbeddedFeatures(tmp_path / "file" / "below")
    with pytest.raises(InvalidSettings, match="open already"):
        EmbeddedFeatures(tmp_path / "features")


@pytest.mark.parametrize(
    "url",
    [
        "lmdb:features",
        "lmdb://host/features",
        "lmdb:/x?size=1",
        "lmdb:/x?max_bytes=9",
        "lmdb:/x?readonly=yes",
    ],
)
def test_urls_that_name_no_folder(url):
    with pytest.raises(InvalidSettings):
        open_store(url)


OTHER = """
import asyncio, sys
from pathlib import Path
from croupier.stores.features_embedded import EmbeddedFeatures
async def main():
    store = EmbeddedFeatures(Path(sys.argv[1]), max_bytes=1 << 20)
    assert store.get_now([b"ours"]) == [b"1"]
    await store.put_many([(b"theirs", b"2")], None)
    print("written", flush=True)
    if sys.argv[2] == "hold":
        with store._env.begin(write=True):
            print("holds", flush=True)
            sys.stdin.readline()
    else:
        await asyncio.to_thread(sys.stdin.readline)
        print(store.get_now([b"later"]), flush=True)
asyncio.run(main())
"""


def other_process(store, mode):
    return subprocess.Popen(
        [sys.executable, "-c", OTHER, str(store._folder), mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


async def test_two_processes_see_what_the_other_writes(store):
    await store.put_many([(b"ours", b"1")], None)
    with other_process(store, "read") as other:
        assert await asyncio.to_thread(other.stdout.readline) == "written\n"
        assert store.get_now([b"theirs"]) == [b"2"]
        await store.put_many([(b"later", b"3")], None)
        assert other.communicate("\n")[0] == "[b'3']\n"
    assert other.returncode == 0


async def test_a_writer_that_others_keep_waiting_says_so(store, monkeypatch):
    await store.put_many([(b"ours", b"1")], None)
    with other_process(store, "hold") as other:
        assert await asyncio.to_thread(other.stdout.readline) == "written\n"
        assert await asyncio.to_thread(other.stdout.readline) == "holds\n"
        monkeypatch.setattr("croupier.stores.features_embedded._WAIT", 0.01)
        with pytest.raises(StoreDown, match="writer waiting"):
            await store.put_many([(b"waits", b"3")], None)
        assert store.get_now([b"theirs"]) == [b"2"]
        # The one behind it was not begun, and is not done later either.
        with pytest.raises(StoreDown):
            await store.put_many([(b"never", b"3")], None)
        other.communicate("\n")
    monkeypatch.undo()
    await store.put_many([(b"next", b"4")], None)
    assert store.get_now([b"waits", b"never", b"next"]) == [b"3", None, b"4"]
