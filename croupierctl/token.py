"""`croupierctl token`: a tenant's credential for a router that checks tokens."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import jwt
import typer

from croupier.names import check_name
from croupierctl import output
from croupierctl.arguments import Tenant
from croupierctl.session import current
from router.identity import AUDIENCE, TokenIdentity


def token(
    tenant: Tenant,
    key_file: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, help="The router's --token-key file.", show_default=False),
    ],
    hours: Annotated[float, typer.Option(min=0.01, help="How long it holds.")] = 1.0,
) -> None:
    """Make a token for a tenant: a JWT signed with the router's key.

    Whoever has the key can be any tenant, and whoever has the token can be this one: keep both safe.
    """
    key = key_file.read_bytes().strip()
    made, expires = mint(key, check_name(tenant, "tenant"), now=time.time(), seconds=hours * 3600)
    if current().as_json:
        output.emit({"tenant": tenant, "token": made, "expires": expires})
    else:
        output.say(made)


def mint(key: bytes, tenant: str, *, now: float, seconds: float) -> tuple[str, int]:
    """A token for `tenant` and the second since 1970 in which it expires.

    Raises:
        InvalidSettings: a key that the router would refuse as well.
    """
    router = TokenIdentity(key, lambda: now)
    expires = int(now + seconds)
    claims = {"sub": tenant, "aud": AUDIENCE, "iat": int(now), "exp": expires}
    made = jwt.encode(claims, key, algorithm="HS256")
    router.tenant(lambda name: (f"Bearer {made}".encode(),) if name == b"authorization" else ())
    return made, expires
