"""The keys that tokens are verified with, and what each is good for.

They come as a JSON Web Key Set (RFC 7517), in which each key has an id that tokens name as `kid`, or as one
secret in a file of its own, for tokens that name none. A key has exactly one algorithm, by its type, so that
a token never chooses how it is verified:

    oct          HS256, from 32 bytes on (RFC 7518, 3.2)
    RSA          RS256, from 2,048 bits on (3.3)
    EC, P-256    ES256

Keys for other uses and of other types may stand beside them and are passed over (RFC 7517, 5), as they do in
sets of identity providers. What nobody can have meant spoils the set: private keys, which have no business
at a router, keys that are too short, and two of one id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from croupier.settings import InvalidSettings

MOST_BYTES = 256 * 1024
MOST_KEYS = 100
MIN_SECRET_BYTES = 32
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
_MOST_ID_BYTES = 256
_HMAC = HMACAlgorithm(HMACAlgorithm.SHA256)
# RFC 7518, 6.2.2 and 6.3.2: what only private keys have.
_PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth"}


class BadKeys(InvalidSettings):
    """A file of keys that cannot be used. The operator's."""

    reason = "BAD_KEYS"


@dataclass(frozen=True, slots=True)
class Key:
    """`digest` is by what keys of the same id are the same; `material` is for PyJWT."""

    id: str
    algorithm: str
    digest: bytes
    material: Any = field(compare=False, repr=False)


Keys = Mapping[str, Key]
"""By id; a secret without one under the empty id."""


def secret_key(secret: bytes, key_id: str = "") -> Key:
    """Raises BadKeys."""
    if len(secret) < MIN_SECRET_BYTES:
        raise BadKeys(f"the token key is shorter than {MIN_SECRET_BYTES} bytes")
    try:
        # Or everybody who has a public key could sign with it.
        _HMAC.prepare_key(secret)
    except InvalidKeyError as error:
        raise BadKeys("the token key is a certificate or an asymmetric key, and no secret") from error
    return Key(key_id, "HS256", hashlib.sha256(b"oct" + secret).digest(), secret)


def read_jwks(data: bytes) -> dict[str, Key]:
    """The keys of a JSON Web Key Set.

    Raises:
        BadKeys: it is none, has none that tokens can be verified with, or has one that it should not.
    """
    if len(data) > MOST_BYTES:
        raise BadKeys(f"a key set has at most {MOST_BYTES} bytes")
    try:
        listed = json.loads(data)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadKeys('this is no key set: {"keys": [...]}') from error
    if not isinstance(listed, list) or not all(isinstance(jwk, dict) for jwk in listed):
        raise BadKeys("the keys of a key set are objects in a list")
    if len(listed) > MOST_KEYS:
        raise BadKeys(f"a key set has at most {MOST_KEYS} keys")
    keys: dict[str, Key] = {}
    for jwk in listed:
        key = _read(jwk)
        if key is None:
            continue
        if key.id in keys:
            raise BadKeys(f"two keys have the id {key.id!r}")
        keys[key.id] = key
    if not keys:
        raise BadKeys("the key set has no key for HS256, RS256 or ES256")
    return keys


def _read(jwk: dict[str, Any]) -> Key | None:
    """The key, or None if it is for something else."""
    kind = jwk.get("kty")
    algorithm = _ALGORITHMS.get(f"{kind} {jwk.get('crv')}" if kind == "EC" else f"{kind}")
    if algorithm is None or not _is_for_verifying(jwk, algorithm):
        return None
    key_id = jwk.get("kid")
    if not isinstance(key_id, str) or not 0 < len(key_id) <= _MOST_ID_BYTES:
        raise BadKeys("a key has no kid, by which tokens name it")
    if jwk.keys() & _PRIVATE:
        raise BadKeys(f"key {key_id!r} is a private one: a router needs its public half only")
    try:
        return _READERS[algorithm](jwk, key_id)
    except (InvalidKeyError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadKeys(f"key {key_id!r} cannot be read: {error}") from error


def _is_for_verifying(jwk: dict[str, Any], algorithm: str) -> bool:
    uses = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and isinstance(uses, list)
        and "verify" in uses
    )


def _read_secret(jwk: dict[str, Any], key_id: str) -> Key:
    return secret_key(HMACAlgorithm.from_jwk(jwk), key_id)


def _read_rsa(jwk: dict[str, Any], key_id: str) -> Key:
    key: Any = RSAAlgorithm.from_jwk(jwk)
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise ValueError(f"it has {key.key_size} bits, and not {MIN_RSA_BITS} to {MAX_RSA_BITS}")
    return Key(key_id, "RS256", _digest(jwk, "n", "e"), key)


def _read_ec(jwk: dict[str, Any], key_id: str) -> Key:
    return Key(key_id, "ES256", _digest(jwk, "x", "y"), ECAlgorithm.from_jwk(jwk))


def _digest(jwk: dict[str, Any], *members: str) -> bytes:
    return hashlib.sha256(json.dumps([jwk[name] for name in ("kty", *members)]).encode()).digest()


# By type and curve.
_ALGORITHMS = {"oct": "HS256", "RSA": "RS256", "EC P-256": "ES256"}
_READERS: dict[str, Callable[[dict[str, Any], str], Key]] = {
    "HS256": _read_secret,
    "RS256": _read_rsa,
    "ES256": _read_ec,
}
