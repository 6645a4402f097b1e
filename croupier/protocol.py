"""What parts of different releases may say to each other: one number, counted up with every addition.

    1   what came before there was a number; a part that announces none speaks this
    2   field 1001 of a request to a cell: its owner, a keyed hash of the tenant
    3   records of schema 2: a version's comparison with its library
    4   records of schema 3: dedicated seats, hands of a share of the cells, who made a generation and why
    5   records of schema 4: a generation takes over tenant by tenant; field 1003 of a request to a cell: the
        number of the generation that dealt it
    6   fields 1005 and 1006 of a request to a cell: its priority, and that nothing is loaded for it;
        records of schema 5: what tenants may take
    7   fields 1004 and 1007 of a request to a cell: the features that were fetched for it, and those that a
        request's items share; records of schema 6: what models of one name have in common
    8   records of schema 7: a release's salt and ranges, and who made it; a router deals keys by them

A cell announces its number when it joins, a router when it watches. Nobody sends a part what was added after
the number that it announced, for it would pass over it, or refuse it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

CURRENT = 8
FIRST = 1

# The numbers at which a cell knows the field.
OWNER = 2
GENERATION = 5
MARKS = 6
FETCHED = 7
# At which a router knows of families.
FAMILIES = 7

# Goes with an answer of a cell that had to load its model first, as metadata: of all that was asked (`1`), or
# of the items at some places (`items 0,7`). A cell of a release before says all, or nothing of it; a router
# of one takes some for all.
COLD = b"croupier-cold"
_ALL, _SOME = b"1", b"items "
COLD_ANSWER = [(COLD, _ALL)]
# Of more, all are said to be.
_MOST_PLACES = 64


def announced(number: int) -> int:
    """What a part that sent `number` speaks: protobuf makes 0 of none."""
    return number or FIRST


def cold_answer(
    places: Iterable[int], said: Sequence[tuple[bytes, bytes]] | None = None
) -> list[tuple[bytes, bytes]]:
    """What says that the models of the items at `places` were loaded, besides what was `said` before."""
    before = cold_places(said[0][1]) if said else []
    if before is None:
        return COLD_ANSWER
    all_places = sorted({*before, *places})
    if len(all_places) > _MOST_PLACES:
        return COLD_ANSWER
    return [(COLD, _SOME + b",".join(b"%d" % place for place in all_places))]


def cold_places(said: bytes) -> list[int] | None:
    """The places of items whose models were loaded, as a cell said it; None: all."""
    if not said.startswith(_SOME):
        return None
    try:
        return [int(place) for place in said[len(_SOME) :].split(b",")[:_MOST_PLACES]]
    except ValueError:
        return None
