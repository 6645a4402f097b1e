"""As much of SVG as the pictures need: boxes, dots, arrows and words, in the colours of a theme."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

_FONT = "-apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True, slots=True)
class Theme:
    """`harm` goes from unharmed to broken; lightness differs too, for those who tell no hues."""

    name: str
    ground: str
    panel: str
    line: str
    text: str
    faint: str
    accent: str
    harm: tuple[str, str, str, str]


LIGHT = Theme(
    name="light",
    ground="#ffffff",
    panel="#f6f8fa",
    line="#8c959f",
    text="#1f2328",
    faint="#59636e",
    accent="#0969da",
    harm=("#c4ccd4", "#e0a30b", "#c4560a", "#a40e26"),
)
DARK = Theme(
    name="dark",
    ground="#0d1117",
    panel="#161b22",
    line="#6e7681",
    text="#f0f6fc",
    faint="#9198a1",
    accent="#4493f8",
    harm=("#3d444d", "#a37a00", "#f0883e", "#ff5c5c"),
)


@dataclass(slots=True)
class Drawing:
    """Collects elements; `render` is the file. Coordinates are pixels from the upper left."""

    width: int
    height: int
    theme: Theme
    title: str
    elements: list[str] = field(default_factory=list)

    def words(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: int = 13,
        color: str = "",
        bold: bool = False,
        anchor: str = "start",
    ) -> None:
        weight = ' font-weight="600"' if bold else ""
        self.elements.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{color or self.theme.text}"'
            f' text-anchor="{anchor}"{weight}>{escape(words)}</text>'
        )

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: str,
        line: str = "",
        dashed: bool = False,
        corner: float = 7,
    ) -> None:
        stroke = f' stroke="{line}" stroke-width="1.5"' if line else ""
        dash = ' stroke-dasharray="6 5"' if dashed else ""
        self.elements.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{corner:g}"'
            f' fill="{fill}"{stroke}{dash}/>'
        )

    def dots(self, places: Iterable[tuple[float, float]], radius: float, color: str) -> None:
        """One path for all of them: lines of no length with round ends."""
        path = "".join(f"M{x:g} {y:g}h0" for x, y in places)
        if path:
            self.elements.append(
                f'<path d="{path}" stroke="{color}" stroke-width="{2 * radius:g}" stroke-linecap="round"/>'
            )

    def line(self, places: Sequence[tuple[float, float]], color: str, *, width: float = 1.8) -> None:
        if places:
            path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            self.elements.append(
                f'<path d="{path}" stroke="{color}" stroke-width="{width:g}" stroke-linejoin="round"'
                f' fill="none"/>'
            )

    def arrow(
        self,
        places: Sequence[tuple[float, float]],
        *,
        color: str = "",
        dashed: bool = False,
        both: bool = False,
    ) -> None:
        """A line through `places` with a head at its end, or at both ends."""
        color = color or self.theme.line
        path = "M" + "L".join(f"{x:g} {y:g}" for x, y in places)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.elements.append(f'<path d="{path}" stroke="{color}" stroke-width="1.8" fill="none"{dash}/>')
        ends = [(places[-2], places[-1])] + ([(places[1], places[0])] if both else [])
        for (from_x, from_y), (x, y) in ends:
            length = ((x - from_x) ** 2 + (y - from_y) ** 2) ** 0.5
            ux, uy = (x - from_x) / length, (y - from_y) / length
            left = f"{x - 9 * ux + 4.5 * uy:.1f} {y - 9 * uy - 4.5 * ux:.1f}"
            right = f"{x - 9 * ux - 4.5 * uy:.1f} {y - 9 * uy + 4.5 * ux:.1f}"
            self.elements.append(f'<path d="M{x:g} {y:g}L{left}L{right}z" fill="{color}"/>')

    def render(
        self, note: str = "written by `python -m bench pictures`; tests/bench/test_pictures.py compares"
    ) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}"'
            f' width="{self.width}" height="{self.height}" role="img" font-family="{_FONT}">'
        )
        ground = f'<rect width="{self.width}" height="{self.height}" rx="10" fill="{self.theme.ground}"/>'
        return "\n".join(
            [
                head,
                f"<!-- {note} -->",
                f"<title>{escape(self.title)}</title>",
                ground,
                *self.elements,
                "</svg>",
                "",
            ]
        )
