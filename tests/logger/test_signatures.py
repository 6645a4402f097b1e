"""Signatures are read once, equal ones are one, and what is gone has none."""

from pathlib import Path

import pytest
from support.spooled import TENSORS, WIDE, artifact

from croupier.artifacts.format import Tensor
from croupier.errors import Unavailable
from croupier.stores.objects import VerifiedObjects
from croupier.stores.objects_file import FileBlobs
from logger.signatures import Signature, Signatures


@pytest.fixture
def store(tmp_path: Path) -> VerifiedObjects:
    return VerifiedObjects(FileBlobs(tmp_path))


async def test_a_signature_is_that_of_its_artifact(store: VerifiedObjects) -> None:
    digests = [await store.put(artifact(one)) for one in (WIDE, TENSORS)]
    signatures = Signatures(store)
    await signatures.read(set(digests))
    assert [signatures.get(digest) for digest in digests] == [WIDE, TENSORS]


async def test_a_model_without_names_has_numbers(store: VerifiedObjects) -> None:
    digest = await store.put(artifact(Signature((), (Tensor("x", "FP32", (-1, 3)),))))
    signatures = Signatures(store)
    await signatures.read({digest})
    assert getattr(signatures.get(digest), "features", None) == ("0", "1", "2")


async def test_what_is_gone_or_none_has_no_signature(store: VerifiedObjects) -> None:
    nothing = await store.put(b"nothing")
    signatures = Signatures(store)
    await signatures.read({bytes(32), nothing, b"short", b""})
    assert [signatures.get(one) for one in (bytes(32), nothing, b"short", b"")] == [None] * 4


async def test_it_is_read_once_and_forgotten_when_there_are_many(store: VerifiedObjects) -> None:
    class Counting(VerifiedObjects):
        reads = 0

        async def get(self, digest: bytes) -> bytes:
            Counting.reads += 1
            return await store.get(digest)

    digests = [await store.put(artifact(one)) for one in (WIDE, TENSORS)]
    signatures = Signatures(Counting(FileBlobs(Path())), most=1)
    for _ in range(3):
        await signatures.read(set(digests))
    assert Counting.reads == 2
    signatures.get(digests[1])
    signatures.get(digests[0])
    signatures.forget()
    assert [signatures.get(one) for one in digests] == [WIDE, None]


async def test_a_store_that_is_away_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await Signatures(VerifiedObjects(FileBlobs(tmp_path / "away"))).read({bytes(32)})
