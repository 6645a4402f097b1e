"""One poisoned hand among sixteen cells, and what it means for everybody else, counted."""

from __future__ import annotations

from collections import Counter

from bench.pictures.svg import Drawing, Theme
from sharding.dealer import Dealer
from sharding.generation import Generation, Seat
from sharding.overlap import zoned_overlap

ZONES = 4
IN_A_ZONE = 4
HAND = 3
COLUMNS, ROWS = 37, 27
POISON = "tenant-0"
OTHERS = tuple(f"tenant-{number}" for number in range(1, COLUMNS * ROWS + 1))

_STEP = 11


def dealer() -> Dealer:
    seats = tuple(Seat(f"cell-{number}", "abcd"[number % ZONES]) for number in range(ZONES * IN_A_ZONE))
    return Dealer(Generation(number=1, seed=20, hand_size=HAND, seats=seats))


def counted() -> list[int]:
    """How many of the other tenants share 0, 1, … cells with the poison."""
    deals = dealer()
    poisoned = set(deals.hand(POISON))
    shared = Counter(len(poisoned.intersection(deals.hand(tenant))) for tenant in OTHERS)
    return [shared[cells] for cells in range(HAND + 1)]


def expected() -> list[float]:
    """The same by the formula."""
    return [float(chance) * len(OTHERS) for chance in zoned_overlap([IN_A_ZONE] * ZONES, HAND)]


def draw(theme: Theme) -> str:
    counts = counted()
    title = (
        f"One tenant breaks its hand of {HAND} of {ZONES * IN_A_ZONE} cells. Of {len(OTHERS)} other tenants"
        f" {counts[0]} share no cell with it, {counts[1]} one, {counts[2]} two, {counts[3]} all three."
    )
    drawing = Drawing(840, 452, theme, title)
    drawing.words(28, 40, "One tenant breaks its hand", size=17, bold=True)
    drawing.words(404, 40, f"{len(OTHERS)} other tenants, a dot each", size=17, bold=True)
    _cells(drawing, set(dealer().hand(POISON)))
    _tenants(drawing, counts)
    _legend(drawing, counts)
    return drawing.render()


def _cells(drawing: Drawing, poisoned: set[str]) -> None:
    theme = drawing.theme
    for zone in range(ZONES):
        x = 28 + zone * 84
        drawing.box(x, 60, 76, 252, fill=theme.panel)
        drawing.words(x + 38, 82, f"zone {'abcd'[zone]}", color=theme.faint, anchor="middle")
        for row in range(IN_A_ZONE):
            cell, y = f"cell-{row * ZONES + zone}", 94 + row * 53
            broken = cell in poisoned
            fill, line = (theme.harm[3], theme.harm[3]) if broken else (theme.ground, theme.line)
            drawing.box(x + 6, y, 64, 44, fill=fill, line=line)
            ink = theme.ground if broken else theme.text
            drawing.words(x + 38, y + 27, cell, color=ink, bold=broken, anchor="middle")


def _tenants(drawing: Drawing, counts: list[int]) -> None:
    places = [
        (409.0 + column * _STEP, 66.0 + row * _STEP - row // ROWS)
        for row in range(ROWS)
        for column in range(COLUMNS)
    ]
    for cells in range(HAND, -1, -1):
        drawing.dots(places[: counts[cells]], 4.2, drawing.theme.harm[cells])
        places = places[counts[cells] :]


def _legend(drawing: Drawing, counts: list[int]) -> None:
    theme = drawing.theme
    drawing.words(28, 340, f"A hand: {HAND} cells, each in a zone of its own,")
    drawing.words(28, 359, "drawn for each tenant by a hash of its name.")
    drawing.words(28, 385, "Counted from the real dealer;", color=theme.faint)
    drawing.words(28, 404, "in brackets, what the formula expects.", color=theme.faint)
    meaning = (
        "share no cell: nothing of theirs is broken",
        "share one cell: the other two answer",
        "share two cells: the third one answers",
        "share all three: broken with it",
    )
    for line, cells in enumerate(range(HAND, -1, -1)):
        y = 381 + line * 20
        drawing.dots([(413, y - 4.5)], 5, theme.harm[cells])
        drawing.words(462, y, f"{counts[cells]}", bold=True, anchor="end")
        drawing.words(470, y, f"({expected()[cells]:.1f})", color=theme.faint)
        drawing.words(526, y, meaning[cells])
