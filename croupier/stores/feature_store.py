"""What a feature store does, whichever it is, and how it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from croupier.errors import FailedPrecondition, Unavailable


class StoreDown(Unavailable):
    """The feature store does not answer, or not in time. Passes by itself."""

    reason = "FEATURE_STORE_DOWN"


class StoreFull(FailedPrecondition):
    """The feature store takes no more. The operator's: give it room, or have it keep less."""

    reason = "FEATURE_STORE_FULL"


class FeatureStore(Protocol):
    """Bytes by key. Any method may raise StoreDown, or StoreRefused where a setting has to change."""

    async def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """What lies under each of `keys`, in one read; None where nothing does."""

    async def put_many(self, items: Sequence[tuple[bytes, bytes]], keep_seconds: float | None) -> None:
        """Write keys and values, in one go as far as the store can; None: kept until they are deleted.

        Raises:
            StoreFull: there is no room. Some of them may have been written.
        """

    def scan(self, prefix: bytes) -> AsyncIterator[bytes]:
        """The keys that begin with `prefix`, in no order, some perhaps twice.

        One that is written meanwhile may be missing.
        """

    async def delete_many(self, keys: Sequence[bytes]) -> int:
        """Forget `keys`; returns how many there were."""

    async def change_many(self, changes: Sequence[tuple[bytes, bytes, bytes | None]]) -> int:
        """Of keys, values and what is to stand there instead, if the value still does; returns how many did.

        None: nothing. A key is kept for as long as it would have been.
        """

    async def types(self, keys: Sequence[bytes]) -> Sequence[str]:
        """ "string" where `get_many` finds something, "none" where nothing is, else what hides it there."""

    async def close(self) -> None: ...
