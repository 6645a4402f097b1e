"""Which points of a model's traffic each version gets when shares change: no key moves that need not.

    before   |1 1 1 1 1 1 1 1|2 2|3 3|
    after    |1 1 1 1 1|3 3 3|2 2|3 3|      version 1 has less, version 3 more, and 2 as much as before

A version whose share shrinks gives up points from its upper end, and those that grow take them, in the order
of the splits. So a key leaves its version only if that shrinks, and comes only to one that grows. Splits one
after the other would have moved keys of version 2 as well.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from version_manager.model.release import MAX_RANGES, InvalidRelease, Range, Release, Split, in_order, shares


def following(before: Release | None, wanted: Release) -> Release:
    """`wanted`, with ranges that keep the keys of `before` in place; its splits add up, and it has none yet.

    Where splits in another order say the same, they are put into that order in place of ranges.

    Raises:
        InvalidRelease: it would have too many ranges.
    """
    if before is None or before.salt != wanted.salt:
        return wanted
    kept = keep(before.spans(), wanted.splits)
    splits = _by_place(kept, wanted.splits)
    if in_order(splits) == kept:
        return replace(wanted, splits=splits)
    if len(kept) > MAX_RANGES:
        raise InvalidRelease(
            f"to move no other keys, the traffic would be cut into more than {MAX_RANGES} ranges: give one "
            "version all of it first, or a new salt, which deals every key anew",
            field="splits",
        )
    return replace(wanted, ranges=kept)


def keep(before: Sequence[Range], splits: Sequence[Split]) -> tuple[Range, ...]:
    """Who gets which points once shares are those of `splits`, beginning with those of `before`."""
    wanted = {split.version: split.basis_points for split in splits}
    surplus = {version: points - wanted.get(version, 0) for version, points in shares(before).items()}
    stay: list[tuple[int, int, int]] = []
    freed: list[tuple[int, int]] = []
    for begin, end, version in reversed(list(_pieces(before))):
        gives = min(max(0, surplus[version]), end - begin)
        surplus[version] -= gives
        if gives:
            freed.append((end - gives, end))
        if end - gives > begin:
            stay.append((begin, end - gives, version))
    held = shares(before)
    needs = [(one.version, one.basis_points - held.get(one.version, 0)) for one in splits]
    return _joined(sorted([*stay, *_taken(sorted(freed), needs)]))


def _taken(
    freed: Sequence[tuple[int, int]], needs: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, int]]:
    """`freed` points for those who need some: as many are needed as there are."""
    wanting = [[version, points] for version, points in needs if points > 0]
    for begin, end in freed:
        while begin < end:
            first = wanting[0]
            takes = min(first[1], end - begin)
            yield begin, begin + takes, first[0]
            begin += takes
            first[1] -= takes
            if not first[1]:
                del wanting[0]


def _pieces(ranges: Sequence[Range]) -> Iterator[tuple[int, int, int]]:
    begin = 0
    for one in ranges:
        yield begin, one.end, one.version
        begin = one.end


def _joined(pieces: Sequence[tuple[int, int, int]]) -> tuple[Range, ...]:
    found: list[Range] = []
    for _, end, version in pieces:
        if found and found[-1].version == version:
            found.pop()
        found.append(Range(end, version))
    return tuple(found)


def _by_place(ranges: Sequence[Range], splits: Sequence[Split]) -> tuple[Split, ...]:
    """`splits` in the order in which their versions first come in `ranges`."""
    places: dict[int, int] = {}
    for place, one in enumerate(ranges):
        places.setdefault(one.version, place)
    return tuple(sorted(splits, key=lambda split: places[split.version]))
