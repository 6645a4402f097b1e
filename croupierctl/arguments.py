"""Arguments and options that several verbs share."""

from __future__ import annotations

import math
import re
from typing import Annotated, TypeAlias

import typer

from croupier.names import InvalidName, check_digest
from sharding.generation import Share, Size

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


_SPANS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def duration(said: str | float) -> float:
    """Seconds, of words like 90s, 10m or 1h30m; a number is of seconds. What an option's parser may be."""
    words = str(said).strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", words):
        return float(words)
    if not re.fullmatch(r"(\d+(\.\d+)?[smhd])+", words):
        raise typer.BadParameter(f"{said} is no time: say 90s, 10m or 1h30m")
    return sum(float(count) * _SPANS[unit] for count, _, unit in re.findall(r"(\d+(\.\d+)?)([smhd])", words))


def hand_size(said: str, least: int = 0) -> Size:
    """A number of cells, or a share of them as 20%, of `least` cells at least (0: not said)."""
    words = said.strip()
    if re.fullmatch(r"\d{1,9}", words):
        if least:
            raise typer.BadParameter(f"--min goes with a share such as 20%, and {words} is a number of cells")
        return int(words)
    if not re.fullmatch(r"\d{1,9} ?%", words):
        raise typer.BadParameter(f"{said} is no size of a hand: say how many cells, or a share such as 20%")
    percent = int(words.rstrip(" %"))
    if not 1 <= percent <= 100:
        raise typer.BadParameter(f"{percent} % of the cells is no size of a hand: it goes from 1 to 100 %")
    return Share(percent, least or 1)
