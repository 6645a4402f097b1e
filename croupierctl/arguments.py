"""Arguments and options that several verbs share."""

from __future__ import annotations

import math
from typing import Annotated, TypeAlias

import typer

from croupier.names import InvalidName, check_digest

Tenant: TypeAlias = Annotated[str, typer.Argument(metavar="TENANT", help="The customer.", show_default=False)]
Model: TypeAlias = Annotated[
    str, typer.Argument(metavar="MODEL", help="The model's name.", show_default=False)
]
Version: TypeAlias = Annotated[
    int, typer.Option("--version", min=0, help="An exact version; 0 takes what the release says.")
]
Label: TypeAlias = Annotated[str, typer.Option("--label", help="The version that carries this label.")]
Key: TypeAlias = Annotated[
    str, typer.Option("--key", help="Routing key: keeps a caller on one side of a traffic split.")
]


def digest_of(artifact: str) -> bytes:
    """The digest that 64 digits name. Raises BadParameter."""
    try:
        return check_digest(bytes.fromhex(artifact))
    except (ValueError, InvalidName) as error:
        raise typer.BadParameter("an artifact is named by the 64 digits of its SHA-256") from error


def finite(seconds: float) -> float:
    """What an option's callback may be: nan is below no bound, and infinity is no time to wait."""
    if not math.isfinite(seconds):
        raise typer.BadParameter("it must be a finite number")
    return seconds
