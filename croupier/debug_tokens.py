"""What a reply says of how it was made, to a caller who asks (`croupier-debug: 1`): for operators to read.

A token names one generation and one cell to whoever has the deployment's seed, which operators ask the
version manager for. To a tenant it is a number, and another tenant has another one for the same cell: two of
them cannot find out by it what they share.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

# The key of a request's metadata that asks for it, and of the trailing metadata that has it.
DEBUG = b"croupier-debug"
# In trailing metadata beside it: that models were loaded for the request, for how many of its items.
COLD = b"croupier-debug-cold"
# Of a request with many items, the first; those of a longer hand are cut.
MOST_TOKENS = 16
_BYTES = 8


def token(seed: int, tenant: str, generation: int, cell: str) -> str:
    """16 hexadecimal digits."""
    words = "\0".join((tenant, str(generation), cell)).encode()
    return blake2b(words, digest_size=_BYTES, key=seed.to_bytes(8, "big"), person=DEBUG).hexdigest()


def named(seed: int, tenant: str, said: str, generation: int, cells: Iterable[str]) -> str:
    """Which of `cells` a token names in `generation`; empty: none."""
    return next((cell for cell in cells if token(seed, tenant, generation, cell) == said), "")
