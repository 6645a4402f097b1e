"""The architecture: who asks whom, and what may be gone while released models go on being served."""

from __future__ import annotations

from bench.pictures.svg import Drawing, Theme
from sharding.dealer import Dealer
from sharding.generation import Generation, Seat

_CELLS, _ZONES, _HAND = 8, 4, 3


def draw(theme: Theme) -> str:
    title = (
        "A caller asks a router, which asks one cell of the tenant's hand. Cells load models from the object"
        " store. The control plane, a version manager over etcd, may be gone meanwhile."
    )
    drawing = Drawing(840, 396, theme, title)
    _data_plane(drawing)
    _control_plane(drawing)
    return drawing.render()


def _data_plane(drawing: Drawing) -> None:
    theme = drawing.theme
    _part(drawing, 24, 96, 108, "caller", "any gRPC client")
    _part(drawing, 208, 96, 132, "router", "deals, tries again")
    _part(drawing, 714, 96, 106, "object store", "S3 or files")
    drawing.arrow([(132, 125), (206, 125)], color=theme.accent)
    drawing.words(169, 116, "tenant,", size=12, color=theme.faint, anchor="middle")
    drawing.words(169, 143, "model, row", size=12, color=theme.faint, anchor="middle")
    seats = tuple(Seat(f"cell-{number}", f"{number % _ZONES}") for number in range(_CELLS))
    hand = Dealer(Generation(number=1, seed=1, hand_size=_HAND, seats=seats)).hand("acme")
    drawing.box(420, 24, 226, 206, fill=theme.panel)
    drawing.words(533, 46, "cells, in zones", color=theme.faint, anchor="middle")
    for number in range(_CELLS):
        zone, row = number % _ZONES, number // _ZONES
        x, y = 430 + row * 108, 56 + zone * 42
        held = f"cell-{number}" in hand
        line = theme.accent if held else theme.line
        drawing.box(x, y, 98, 34, fill=theme.ground, line=line)
        ink = theme.accent if held else theme.faint
        drawing.words(x + 49, y + 22, f"cell-{number}", color=ink, bold=held, anchor="middle")
    drawing.arrow([(340, 125), (418, 125)], color=theme.accent)
    drawing.words(379, 116, "one cell of", size=12, color=theme.faint, anchor="middle")
    drawing.words(379, 143, "its hand", size=12, color=theme.faint, anchor="middle")
    drawing.words(533, 250, "blue: the hand of tenant acme", size=12, color=theme.accent, anchor="middle")
    drawing.arrow([(646, 125), (712, 125)])
    drawing.words(680, 116, "model, by", size=12, color=theme.faint, anchor="middle")
    drawing.words(680, 143, "its digest", size=12, color=theme.faint, anchor="middle")


def _control_plane(drawing: Drawing) -> None:
    theme = drawing.theme
    drawing.box(12, 270, 816, 112, fill=theme.ground, line=theme.line, dashed=True)
    drawing.words(714, 296, "control plane", bold=True, anchor="middle")
    drawing.words(714, 318, "Without it nothing can be", size=12, color=theme.faint, anchor="middle")
    drawing.words(714, 335, "published or changed; what is", size=12, color=theme.faint, anchor="middle")
    drawing.words(714, 352, "released is served on.", size=12, color=theme.faint, anchor="middle")
    _part(drawing, 24, 300, 108, "croupierctl", "publish, release")
    _part(drawing, 208, 300, 132, "version manager", "one, or several")
    _part(drawing, 468, 300, 120, "etcd", "releases, hands")
    drawing.arrow([(132, 329), (206, 329)])
    drawing.arrow([(342, 329), (466, 329)], both=True)
    drawing.arrow([(274, 300), (274, 156)])
    drawing.words(282, 222, "what is live,", size=12, color=theme.faint)
    drawing.words(282, 239, "as it changes", size=12, color=theme.faint)
    drawing.arrow([(440, 230), (318, 299)])
    drawing.words(404, 284, "join, report", size=12, color=theme.faint)


def _part(drawing: Drawing, x: float, y: float, width: float, name: str, about: str) -> None:
    theme = drawing.theme
    drawing.box(x, y, width, 58, fill=theme.panel, line=theme.line)
    drawing.words(x + width / 2, y + 25, name, bold=True, anchor="middle")
    drawing.words(x + width / 2, y + 44, about, size=12, color=theme.faint, anchor="middle")
