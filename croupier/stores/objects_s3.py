"""Bytes by key in an S3 bucket, of AWS or of anything that speaks S3.

Writes are conditional (`If-None-Match: *`) where the server knows that, and plain where it says that
it does not: keys are digests, so writing twice writes the same. Every upload is signed together
with the SHA-256 of its body, so that the server refuses a damaged one; S3's newer checksum headers
are left out, for many servers do not know them and we hash what we read anyway.

botocore's errors end here:

    no such key                                       NotFound
    no such bucket, no or wrong credentials, 4xx      StoreRefused: no use in trying again
    5xx, throttled, no connection, time-outs          Unavailable, after botocore's own three attempts
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import ClientError as ConnectionFailed
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    InvalidRegionError,
    NoRegionError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as NotConnected

from croupier.errors import AlreadyExists, CroupierError, NotFound, Unavailable
from croupier.settings import InvalidSettings
from croupier.stores.refused import StoreRefused

_PASSING_CODES = {"RequestTimeout", "ThrottlingException", "ConditionalRequestConflict"}
_PASSING_FAILURES = (
    ConnectionFailed,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NotConnected,
    TokenRetrievalError,
)


class _NotImplemented(StoreRefused):
    """The server does not know what the request asks for."""


class S3Blobs:
    """Every key is an object of `bucket` below `prefix`; `client` is an aiobotocore S3 client."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    async def read(self, key: str) -> bytes:
        with _translated(key):
            response = await self._client.get_object(**self._at(key))
            async with response["Body"] as body:
                data: bytes = await body.read()
                return data

    async def create(self, key: str, data: bytes) -> None:
        try:
            with _translated(key):
                await self._client.put_object(**self._at(key), Body=data, IfNoneMatch="*")
        except AlreadyExists:
            # Another writer was first, with the same bytes.
            return
        except _NotImplemented:
            await self.replace(key, data)

    async def replace(self, key: str, data: bytes) -> None:
        with _translated(key):
            await self._client.put_object(**self._at(key), Body=data)

    async def exists(self, key: str) -> bool:
        try:
            with _translated(key):
                await self._client.head_object(**self._at(key))
        except NotFound:
            return False
        return True

    async def delete(self, key: str) -> None:
        with _translated(key):
            await self._client.delete_object(**self._at(key))

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}


@asynccontextmanager
async def open_bucket(
    bucket: str, prefix: str, *, endpoint: str | None = None, region: str | None = None
) -> AsyncIterator[S3Blobs]:
    """`bucket` at `endpoint`, AWS's own when None, with the credentials that botocore finds.

    Raises:
        InvalidSettings: there is no region, or none of that name.
    """
    config = AioConfig(
        connect_timeout=3.0,
        read_timeout=10.0,
        max_pool_connections=32,
        retries={"mode": "standard", "total_max_attempts": 3},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"payload_signing_enabled": True, "addressing_style": "path" if endpoint else "auto"},
    )
    opening = get_session().create_client("s3", endpoint_url=endpoint, region_name=region, config=config)
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(opening)
        except (NoRegionError, InvalidRegionError, ValueError) as error:
            raise InvalidSettings(f"the object store cannot be opened: {error}") from error
        yield S3Blobs(client, bucket, prefix)


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise _answer(error, key) from error
    except (BotoCoreError, ConnectionFailed) as error:
        raise _failure(error) from error


def _answer(error: ClientError, key: str) -> CroupierError:
    """What an error means that the server sent."""
    code: str = error.response["Error"]["Code"]
    status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status == 404 and code != "NoSuchBucket":
        return NotFound(f"the store has no {key}")
    if status == 412:
        return AlreadyExists(f"the store has {key} already")
    if status == 501:
        return _NotImplemented(f"the object store cannot do that: {error}")
    if status >= 500 or status in {408, 429} or code in _PASSING_CODES:
        return Unavailable(f"the object store cannot serve now: {error}")
    return StoreRefused(f"the object store refuses: {error}")


def _failure(error: Exception) -> CroupierError:
    """What an error means that arose before the server answered, or while it did."""
    if isinstance(error, _PASSING_FAILURES):
        return Unavailable(f"the object store cannot be reached: {error}")
    return StoreRefused(f"the object store cannot be used: {error}")
