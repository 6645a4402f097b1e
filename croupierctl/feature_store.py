"""The feature store that a command works on, and running it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import typer

if TYPE_CHECKING:
    from croupier.stores.features import FeatureStore

T = TypeVar("T")

Store: TypeAlias = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="URL",
        envvar="CROUPIERCTL_FEATURES_STORE",
        help="The feature store: lmdb:/folder, redis://host:port, …",
        show_default=False,
    ),
]
Group: TypeAlias = Annotated[
    str, typer.Argument(metavar="GROUP", help="The group of features.", show_default=False)
]


def ask_store(url: str, work: Callable[[FeatureStore], Awaitable[T]], *, only_reads: bool = False) -> T:
    """Run `work` with the store at `url`. Raises what it does, and InvalidSettings.

    A folder is made where there is none, unless `work` only reads.
    """
    import asyncio

    from croupier.stores.features import open_store

    async def run() -> T:
        store = open_store(_readonly(url) if only_reads else url)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def _readonly(url: str) -> str:
    if not url.startswith("lmdb:") or "readonly=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}readonly=1"
