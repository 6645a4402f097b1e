"""`croupierctl keys`: the keys that sign tenants' tokens, made and taken away one by one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from croupier.errors import AlreadyExists
from croupierctl import output, signing

app = typer.Typer(no_args_is_help=True)


class Algorithm(StrEnum):
    ES256 = "ES256"
    RS256 = "RS256"
    HS256 = "HS256"


File: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FILE", help="The file of the keys that sign; keep it safe.")
]


@app.command()
def add(
    file: File,
    algorithm: Annotated[
        Algorithm, typer.Option(help="With HS256, routers have to be given the secret.")
    ] = Algorithm.ES256,
    kid: Annotated[str, typer.Option(help="The key's id; today and some digits if unset.")] = "",
) -> None:
    """Add a key, which signs from now on; the file is made if there is none.

    Give routers its public half before a token is made with it.
    """
    keys = signing.read_keys(file)
    made = signing.new_key(algorithm, kid)
    if any(jwk["kid"] == made["kid"] for jwk in keys):
        raise AlreadyExists(f"there is a key {made['kid']} already")
    signing.write_keys(file, [*keys, made])
    _show([made])


@app.command("list")
def list_keys(file: File) -> None:
    """List the keys of a file, the oldest first; the last one signs."""
    _show(signing.read_keys(file))


@app.command()
def public(
    file: File,
    to: Annotated[Path, typer.Argument(metavar="TO", help="The file for a router's --token-keys.")],
) -> None:
    """Write what routers need to verify tokens; they read it within a second or two."""
    halves = [signing.public_half(jwk) for jwk in signing.read_keys(file)]
    signing.write_keys(to, halves)
    _show(halves)


@app.command()
def remove(file: File, kid: Annotated[str, typer.Argument(metavar="KID", help="The key's id.")]) -> None:
    """Take a key away: tokens that it signed hold no longer once routers have its set without it."""
    left = signing.remove(signing.read_keys(file), kid)
    signing.write_keys(file, left)
    _show(left)


def _show(keys: list[signing.Jwk]) -> None:
    output.table(("kid", "algorithm"), [(jwk["kid"], jwk.get("alg", "")) for jwk in keys])
