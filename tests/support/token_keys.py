"""Keys of every kind that tokens are signed with, made once a test run."""

from __future__ import annotations

import functools
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm

SECRET = b"s" * 32


@functools.cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@functools.cache
def ec_key(curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve())


def secret_jwk(secret: bytes = SECRET, **members: Any) -> dict[str, Any]:
    return {**HMACAlgorithm.to_jwk(secret, as_dict=True), "kid": "secret", **members}


def rsa_jwk(key: Any = None, **members: Any) -> dict[str, Any]:
    """Of the public half unless `key` is a private one."""
    made: dict[str, Any] = RSAAlgorithm.to_jwk(key or rsa_key().public_key(), as_dict=True)
    return {**made, "key_ops": ["verify"], "kid": "rsa", **members}


def ec_jwk(key: Any = None, **members: Any) -> dict[str, Any]:
    """Of the public half unless `key` is a private one."""
    made: dict[str, Any] = ECAlgorithm.to_jwk(key or ec_key().public_key(), as_dict=True)
    return {**made, "kid": "ec", **members}


def key_set(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()
