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

A cell announces its number when it joins, a router when it watches. Nobody sends a part what was added after
the number that it announced, for it would pass over it, or refuse it.
"""

from __future__ import annotations

CURRENT = 7
FIRST = 1

# The numbers at which a cell knows the field.
OWNER = 2
GENERATION = 5
MARKS = 6
FETCHED = 7
# At which a router knows of families.
FAMILIES = 7

# Goes with an answer of a cell that had to load its model first, as metadata. One of a release before says
# nothing of it, and a router of one passes over it.
COLD = b"croupier-cold"
COLD_ANSWER = [(COLD, b"1")]


def announced(number: int) -> int:
    """What a part that sent `number` speaks: protobuf makes 0 of none."""
    return number or FIRST
