"""Keys that sign tokens: a JSON Web Key Set (RFC 7517) with its private halves, which only its owner reads.

A router is given the public half (`public_half`); of a secret there is no half, so a router that verifies
HS256 could sign as well. New keys stand behind older ones, and the last one signs.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from croupier.errors import InvalidRequest, NotFound
from croupier.files import read_regular, write_whole
from router.keys import BadKeys, Key, read_jwks, secret_key

_SECRET_BYTES = 32
_RSA_BITS = 3072
_PUBLIC = ("kty", "kid", "alg", "use", "crv", "x", "y", "n", "e", "k")

Jwk = dict[str, Any]


class NoSuchKey(NotFound):
    """The file has no key of that id. The operator's."""

    reason = "NO_SUCH_KEY"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with `material`; a router verifies with `key`."""

    key: Key
    material: Any


def read_signer(path: Path, key_id: str = "") -> Signer:
    """The key `key_id`, or the newest, of the set at `path`, or the secret that the file is.

    Raises:
        BadKeys: there is none that a router would take.
        NoSuchKey: none of that id.
    """
    try:
        data = read_regular(path.resolve())
    except OSError as error:
        raise BadKeys(f"{path} cannot be read: {error.strerror}") from error
    if not data.lstrip().startswith(b"{"):
        key = secret_key(data.strip())
        return Signer(key, key.material)
    jwk = _find(_read(path, data), key_id)
    (key,) = read_jwks(_encode([public_half(jwk)])).values()
    try:
        material = _ALGORITHMS[key.algorithm].from_jwk(jwk)
    except (InvalidKeyError, ValueError) as error:
        raise BadKeys(f"{path}: key {key.id!r} cannot be read: {error}") from error
    if key.algorithm != "HS256" and "d" not in jwk:
        raise BadKeys(f"{path}: key {key.id!r} has no private half to sign with")
    return Signer(key, material)


def read_keys(path: Path) -> list[Jwk]:
    """The keys at `path`, the oldest first; none if there is no file. Raises BadKeys."""
    try:
        return _read(path, read_regular(path.resolve()))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadKeys(f"{path} cannot be read: {error.strerror}") from error


def write_keys(path: Path, keys: list[Jwk]) -> None:
    """Put `keys` at `path`, for its owner alone and whole or not at all. Raises OSError."""
    write_whole(path.resolve(), _encode(keys), is_durable=True)


def new_key(algorithm: str, key_id: str = "") -> Jwk:
    """A key for `algorithm`, with an id by which operators see its age unless they give one."""
    key_id = key_id or f"{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(3)}"
    return {"kid": key_id, "alg": algorithm, "use": "sig", **_MAKERS[algorithm]()}


def remove(keys: list[Jwk], key_id: str) -> list[Jwk]:
    """`keys` without one. Raises NoSuchKey, or InvalidRequest for the last of all."""
    _find(keys, key_id)
    left = [jwk for jwk in keys if jwk["kid"] != key_id]
    if not left:
        raise InvalidRequest("a router needs one key at least: add another one before this goes", field="kid")
    return left


def public_half(jwk: Jwk) -> Jwk:
    """What verifies: of a secret all of it, of other keys what may be known."""
    return {name: jwk[name] for name in _PUBLIC if name in jwk and (name != "k" or jwk.get("kty") == "oct")}


def _find(keys: list[Jwk], key_id: str) -> Jwk:
    found = next((jwk for jwk in reversed(keys) if key_id in ("", jwk["kid"])), None)
    if found is None:
        raise NoSuchKey(f"there is no key {key_id!r}" if key_id else "there is no key yet")
    return found


def _read(path: Path, data: bytes) -> list[Jwk]:
    try:
        keys = json.loads(data)["keys"]
        if isinstance(keys, list) and all(isinstance(jwk["kid"], str) for jwk in keys):
            return keys
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadKeys(f"{path} is no set of keys with ids") from error
    raise BadKeys(f"{path} is no set of keys with ids")


def _encode(keys: list[Jwk]) -> bytes:
    return json.dumps({"keys": keys}, indent=1).encode() + b"\n"


def _new_secret() -> Jwk:
    return HMACAlgorithm.to_jwk(secrets.token_bytes(_SECRET_BYTES), as_dict=True)


def _new_rsa() -> Jwk:
    return RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, _RSA_BITS), as_dict=True)


def _new_ec() -> Jwk:
    return ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)


_MAKERS: dict[str, Callable[[], Jwk]] = {"ES256": _new_ec, "RS256": _new_rsa, "HS256": _new_secret}
_ALGORITHMS: dict[str, Any] = {"ES256": ECAlgorithm, "RS256": RSAAlgorithm, "HS256": HMACAlgorithm}
