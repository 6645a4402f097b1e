"""What comes of one file: its bytes, compared with their digest, and where they were kept."""

import hashlib
import os
from pathlib import Path

import pytest
from support.irregular import KINDS, put
from support.loading import read

from cell.loading.file_image import ABSENT, CORRUPT, FAILED, READ, TOO_LARGE, Image
from cell.loading.file_reader import Reader
from cell.loading.gate import Gate
from cell.loading.sources import in_memory
from croupier.artifacts.format import Tensor, pack

CONTENT = b"content" * 1000


def key(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@pytest.fixture
def reader() -> Reader:
    return Reader(Gate(), 1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


def name(path: Path) -> bytes:
    return os.fsencode(path)


@pytest.mark.parametrize("content", [b"", b"a", CONTENT, os.urandom(3 * 2**20)])
def test_a_file_is_read_by_its_path_and_by_a_descriptor(
    reader: Reader, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "file").write_bytes(content)
    for where in ({"path": name(tmp_path / "file")}, {"file": in_memory(content)}):
        image = read(reader, key(content), **where)
        assert (image.outcome, image.size, image.digest) == (READ, len(content), key(content))
        assert bytes(memoryview(image)) == content
        assert memoryview(image).readonly


def test_what_is_no_regular_file_fails_at_once(reader: Reader, tmp_path: Path) -> None:
    for kind in KINDS:
        put(kind, tmp_path / kind)
        image = read(reader, key(b""), path=name(tmp_path / kind))
        assert image.outcome == FAILED
        assert "not a regular file" in str(image.error)
        with pytest.raises(BufferError):
            memoryview(image)
    assert read(reader, key(b""), path=name(tmp_path)).outcome == FAILED
    assert read(reader, key(b""), path=name(tmp_path / "absent")).outcome == ABSENT


def test_a_file_that_is_too_large_is_not_read(reader: Reader, file: Path) -> None:
    for most, outcome in ((len(CONTENT) - 1, TOO_LARGE), (len(CONTENT), READ)):
        assert read(reader, key(CONTENT), path=name(file), most=most).outcome == outcome


@pytest.mark.parametrize("drops", [False, True])
def test_other_bytes_than_the_digest_says_are_corrupt_and_may_be_removed(
    reader: Reader, file: Path, drops: bool
) -> None:
    image = read(reader, key(b"other"), path=name(file), drops_corrupt=drops)
    assert image.outcome == CORRUPT
    assert file.exists() != drops
    with pytest.raises(BufferError):
        memoryview(image)


def test_a_copy_is_kept_whole_for_its_owner_alone_or_not_at_all(
    reader: Reader, file: Path, tmp_path: Path
) -> None:
    keep, part = tmp_path / "ab" / "kept", tmp_path / "ab" / "kept.part"
    how = {"path": name(file), "keep": name(keep), "part": name(part)}
    image = read(reader, key(CONTENT), **how, keep_most=len(CONTENT) - 1)
    assert (image.is_kept, image.keep_error, keep.exists()) == (False, None, False)
    put("fifo", keep)
    image = read(reader, key(CONTENT), **how)
    assert (image.is_kept, image.keep_error) == (True, None)
    assert keep.read_bytes() == CONTENT
    assert keep.stat().st_mode & 0o777 == 0o600
    keep.unlink()
    keep.mkdir()
    image = read(reader, key(CONTENT), **how)
    assert (image.outcome, image.is_kept) == (READ, False)
    assert isinstance(image.keep_error, OSError)
    assert os.listdir(keep.parent) == ["kept"]
    assert read(reader, key(b"other"), **how).is_kept is False


def test_digests_are_those_of_the_standard_library(reader: Reader) -> None:
    """Of lengths around what SHA-256 takes at a time, and with any one bit of the digest wrong."""
    for size in (*range(130), 4095, 4096, 65_537):
        content = os.urandom(size)
        assert read(reader, key(content), file=in_memory(content)).outcome == READ
    digest = key(b"a")
    for bit in range(256):
        wrong = (int.from_bytes(digest, "big") ^ 1 << bit).to_bytes(32, "big")
        assert read(reader, wrong, file=in_memory(b"a")).outcome == CORRUPT


def test_a_link_is_not_followed(reader: Reader, file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    image = read(reader, key(CONTENT), path=name(link))
    assert image.outcome == FAILED
    assert image.error.filename == str(link)
    assert isinstance(image.error, OSError)


def test_the_error_is_the_system_s(reader: Reader, tmp_path: Path) -> None:
    image = read(reader, key(b""), path=name(tmp_path / "absent"))
    assert isinstance(image.error, FileNotFoundError)
    assert (image.size, image.tables_size, image.is_kept, image.keep_error) == (0, 0, False, None)
    (tmp_path / "file").write_text("")
    image = read(reader, key(b""), path=name(tmp_path / "file" / "below"))
    assert (image.outcome, type(image.error)) == (FAILED, NotADirectoryError)
    long = tmp_path / ("x" * 300)
    assert read(reader, key(b""), path=name(long)).outcome == FAILED


def test_the_size_of_the_tables_is_what_the_header_says_and_no_more(reader: Reader) -> None:
    tensor = Tensor("t", "FP32", (-1, 2))
    sizes = []
    for count in (1, 2, 3):
        inputs = [Tensor(str(place), "FP32", (-1, 1)) for place in range(count)]
        content = pack(engine="none", inputs=inputs, outputs=[tensor], sections={"s": b"x"})
        sizes.append(read(reader, key(content), file=in_memory(content)).tables_size)
    assert 0 < sizes[0] < sizes[1] < sizes[2]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0]
    for content in (b"", b"x" * 29):
        assert read(reader, key(content), file=in_memory(content)).tables_size == 0


def test_an_image_is_made_by_a_reader_alone() -> None:
    with pytest.raises(TypeError, match="reader"):
        Image()


def test_what_was_read_stays_while_somebody_looks_at_it(reader: Reader) -> None:
    view = memoryview(read(reader, key(CONTENT), file=in_memory(CONTENT)))
    reader.close()
    assert bytes(view) == CONTENT
    with pytest.raises(TypeError):
        view[0] = 1
