"""What models take, by the digest of their artifacts, as far as the log needs it; read once, and bounded.

A fleet's models have few different signatures: equal ones are one object. Of an artifact that is gone, or
damaged, there is none.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass

from croupier.artifacts.datatypes import DATATYPES
from croupier.artifacts.format import MAX_FEATURES, Artifact, InvalidArtifact, Tensor, view
from croupier.errors import DataLoss, NotFound
from croupier.names import DIGEST_BYTES
from croupier.stores.objects import ObjectStore

_log = logging.getLogger(__name__)

MOST_KNOWN = 50_000
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Signature:
    """A model's features in its order, empty for one that takes tensors only, and its inputs."""

    features: tuple[str, ...]
    inputs: tuple[Tensor, ...]

    @classmethod
    def of(cls, artifact: Artifact) -> Signature:
        return cls(artifact.features or _numbered(artifact.inputs), artifact.inputs)


def _numbered(inputs: tuple[Tensor, ...]) -> tuple[str, ...]:
    """As a cell names the columns of a single input of numbers."""
    if len(inputs) != 1 or len(inputs[0].shape) != 2 or DATATYPES[inputs[0].datatype].kind not in "iuf":
        return ()
    width = inputs[0].shape[1]
    return tuple(map(str, range(width))) if width <= MAX_FEATURES else ()


class Signatures:
    """Those of artifacts in `store`; `most` of them are remembered."""

    def __init__(self, store: ObjectStore, most: int = MOST_KNOWN) -> None:
        self._store, self._most = store, most
        self._known: OrderedDict[bytes, Signature | None] = OrderedDict()
        self._equal: dict[Signature, Signature] = {}

    def get(self, digest: bytes) -> Signature | None:
        """The signature of an artifact that was read; None if it has none."""
        found = self._known.get(digest)
        if found is not None:
            self._known.move_to_end(digest)
        return found

    async def read(self, digests: set[bytes]) -> None:
        """Have those of `digests`, more than `most` of them too.

        Raises:
            Unavailable, StoreRefused: the store says nothing now.
        """
        missing = [one for one in digests if one not in self._known and len(one) == DIGEST_BYTES]
        for at in range(0, len(missing), _AT_ONCE):
            some = missing[at : at + _AT_ONCE]
            found = await asyncio.gather(*map(self._read, some))
            self._known.update(zip(some, found, strict=True))

    def forget(self) -> None:
        """Keep `most` of them, those that were used last."""
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        if len(self._equal) > self._most:
            self._equal.clear()

    async def _read(self, digest: bytes) -> Signature | None:
        try:
            artifact = view(await self._store.get(digest))
        except (NotFound, DataLoss, InvalidArtifact) as error:
            _log.warning("the signature of %s is not known: %s", digest.hex(), error)
            return None
        signature = Signature.of(artifact)
        return self._equal.setdefault(signature, signature)
