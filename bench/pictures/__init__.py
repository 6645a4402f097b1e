"""The pictures of the front page, as SVG: `python -m bench pictures` writes them into docs/pictures.

Hands come from the real dealer and chances from the real formula, so a picture says what the code does;
`tests/bench/test_pictures.py` holds the files to what is drawn here. Each picture is drawn for a light
and for a dark page, on a ground of its own, so that it can be read wherever it is shown: the
`fleet`, and a `hand`, in as much of `svg` as they need.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.pictures import fleet, hand
from bench.pictures.svg import DARK, LIGHT

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"


def pictures() -> Iterator[tuple[str, str]]:
    """Name of a file and what it holds."""
    for theme in (LIGHT, DARK):
        yield f"hand-{theme.name}.svg", hand.draw(theme)
        yield f"fleet-{theme.name}.svg", fleet.draw(theme)


def write(folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pictures():
        (folder / name).write_text(content)
