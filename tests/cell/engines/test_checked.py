"""What an engine takes over from a thread that has read and checked a file."""

import hashlib

import pytest
from sklearn.linear_model import LinearRegression
from support.loading import read

from cell.engines.checked import CheckedFile, adopt
from cell.engines.forest import Forest
from cell.engines.linear import Linear
from cell.engines.packed import PackedEngine
from cell.loading.file_image import Image
from cell.loading.file_reader import Reader
from cell.loading.gate import Gate
from cell.loading.sources import in_memory
from cell.memory.arena import Arena, ArenaFull
from croupier.artifacts.engines import LINEAR
from croupier.artifacts.format import view
from croupier.artifacts.packers.linear import pack_linear


@pytest.fixture
def reader() -> Reader:
    return Reader(Gate(), 1)


def artifact(value: float = 1.5) -> bytes:
    model = LinearRegression()
    model.coef_, model.intercept_, model.n_features_in_ = [value] * 3, 0.0, 3
    return pack_linear(model, features=["a", "b", "c"])


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def image_of(reader: Reader, content: bytes) -> Image:
    return read(reader, digest(content), file=in_memory(content))


def test_a_model_of_what_a_thread_checked_is_the_one_that_the_engine_makes(reader: Reader) -> None:
    content, arena = artifact(), Arena(2**20)
    image = image_of(reader, content)
    found = view(memoryview(image))
    model = adopt(image, found.section(LINEAR), LINEAR, Linear, arena, digest(content))
    assert model is not None
    plain = Linear(view(content).section(LINEAR), arena, digest(content))
    assert bytes(memoryview(model)) == bytes(memoryview(plain))
    assert (model.features, model.columns, model.digest) == (plain.features, plain.columns, plain.digest)
    assert model.row_cost == plain.row_cost
    loaded = PackedEngine(LINEAR, arena).load(found, digest(content))
    assert bytes(memoryview(loaded)) == bytes(memoryview(plain))


def test_what_it_did_not_check_is_not_taken_over(reader: Reader) -> None:
    content, arena = artifact(), Arena(2**20)
    image = image_of(reader, content)
    section = view(memoryview(image)).section(LINEAR)
    for other, engine in ((section[:-1], LINEAR), (section, "forest"), (bytes(section), LINEAR)):
        assert adopt(image, other, engine, Linear, arena, digest(content)) is None
    damaged = bytearray(content)
    damaged[content.index(bytes(section))] = 9
    image = image_of(reader, bytes(damaged))
    section = view(memoryview(image)).section(LINEAR)
    assert adopt(image, section, LINEAR, Linear, arena, image.digest) is None
    assert arena.used == 0


def test_a_file_in_which_nothing_was_found_gives_nothing() -> None:
    arena = Arena(2**20)
    section = view(artifact()).section(LINEAR)
    assert adopt(CheckedFile(), section, LINEAR, Linear, arena, bytes(32)) is None
    with pytest.raises(TypeError):
        memoryview(CheckedFile())
    assert arena.used == 0


def test_what_is_no_model_or_no_digest_is_a_bug_and_says_so(reader: Reader) -> None:
    content, arena = artifact(), Arena(2**20)
    image = image_of(reader, content)
    section = view(memoryview(image)).section(LINEAR)
    with pytest.raises(ValueError, match="32 bytes"):
        adopt(image, section, LINEAR, Linear, arena, b"short")
    with pytest.raises(TypeError):
        adopt(image, section, LINEAR, int, arena, image.digest)  # type: ignore[type-var]
    with pytest.raises(TypeError):
        adopt(image, "section", LINEAR, Linear, arena, image.digest)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        adopt(None, section, LINEAR, Linear, arena, image.digest)  # type: ignore[arg-type]
    assert adopt(image, section, "", Linear, arena, image.digest) is None
    assert adopt(image, section, "linear\0", Linear, arena, image.digest) is None
    assert arena.used == 0


def test_an_arena_that_is_full_says_so_and_keeps_nothing(reader: Reader) -> None:
    content, arena = artifact(), Arena(4096, segment_bytes=4096)
    image = image_of(reader, content)
    section = view(memoryview(image)).section(LINEAR)
    models: list[Linear | None] = []

    def fill() -> None:
        while True:
            models.append(adopt(image, section, LINEAR, Linear, arena, image.digest))

    with pytest.raises(ArenaFull):
        fill()
    assert arena.used == len(models) * arena.room(len(section)) >= 4096
    models.clear()
    assert arena.used == 0


def test_a_model_outlives_its_file(reader: Reader) -> None:
    content, arena = artifact(), Arena(2**20)
    image = image_of(reader, content)
    with memoryview(image) as whole, view(whole).section(LINEAR) as section:
        expected = bytes(section)
        model = adopt(image, section, LINEAR, Forest, arena, image.digest)
    del image
    assert model is not None
    assert bytes(memoryview(model)) == expected
    assert model.features == 3
