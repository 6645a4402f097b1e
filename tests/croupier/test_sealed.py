import stat

import pytest
from support.irregular import KINDS, put

from croupier.sealed import CorruptFile, read_sealed, write_sealed

MAGIC = b"croupier-test 1\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "file"


def test_what_was_written_is_read(path):
    write_sealed(path, MAGIC, [b"one", b"", b"two"])
    assert bytes(read_sealed(path, MAGIC)) == b"onetwo"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_every_damage_is_found(path):
    write_sealed(path, MAGIC, [b"content"])
    whole = path.read_bytes()
    for damaged in (
        *(whole[:length] for length in range(len(whole))),
        *(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))),
        whole + b"x",
    ):
        path.write_bytes(damaged)
        with pytest.raises(CorruptFile):
            read_sealed(path, MAGIC)


def test_another_kind_of_file_is_not_taken(path):
    write_sealed(path, b"croupier-other 1\n", [b"content"])
    with pytest.raises(CorruptFile, match="not a croupier-test 1"):
        read_sealed(path, MAGIC)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_not_waited_for(path, kind):
    path.parent.mkdir()
    put(kind, path)
    with pytest.raises(OSError, match="not a regular file"):
        read_sealed(path, MAGIC)


def test_what_could_not_be_written_leaves_the_old_one(path):
    write_sealed(path, MAGIC, [b"old"])

    def breaking():
        yield b"new"
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        write_sealed(path, MAGIC, breaking())
    assert bytes(read_sealed(path, MAGIC)) == b"old"
