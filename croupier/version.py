"""Which release this is."""

import importlib.metadata
from functools import cache


@cache
def version() -> str:
    """The release that is installed; "unknown" in a checkout that is not."""
    try:
        return importlib.metadata.version("croupier")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
