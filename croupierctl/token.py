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
from croupierctl.servers import current
from croupierctl.signing import Signer, read_signer
from router.tokens import AUDIENCE, DEFAULT_RULES, TokenRules, verify


def token(
    tenant: Tenant,
    key_file: Annotated[
        Path,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Keys made by `croupierctl keys`, or the router's --token-key file.",
            show_default=False,
        ),
    ],
    hours: Annotated[float, typer.Option(min=0.01, help="How long it holds.")] = 1.0,
    kid: Annotated[str, typer.Option(help="The id of the key that signs; the newest if unset.")] = "",
    audience: Annotated[str, typer.Option(help="The router's --token-audience.")] = AUDIENCE,
    issuer: Annotated[str, typer.Option(help="The router's --token-issuer.")] = "",
) -> None:
    """Make a token for a tenant: a JWT signed with a key that the router knows.

    Whoever has the key can be any tenant, and whoever has the token can be this one: keep both safe.
    """
    signer = read_signer(key_file, kid)
    rules = TokenRules(audience, issuer)
    made, expires = mint(
        signer, check_name(tenant, "tenant"), now=time.time(), seconds=hours * 3600, rules=rules
    )
    if current().as_json:
        output.emit({"tenant": tenant, "token": made, "expires": expires, "kid": signer.key.id})
    else:
        output.say(made)


def mint(
    signer: Signer, tenant: str, *, now: float, seconds: float, rules: TokenRules = DEFAULT_RULES
) -> tuple[str, int]:
    """A token for `tenant` and the second since 1970 in which it expires.

    Raises:
        Unauthenticated: one that a router would refuse.
    """
    expires = int(now + seconds)
    claims = {"sub": tenant, "aud": rules.audience, "iat": int(now), "exp": expires}
    if rules.issuer:
        claims["iss"] = rules.issuer
    key = signer.key
    headers = {"kid": key.id} if key.id else {}
    made = jwt.encode(claims, signer.material, algorithm=key.algorithm, headers=headers)
    verify(made, {key.id: key}, rules, lambda: now)
    return made, expires
