"""The categories of the pandas frame that a LightGBM model was trained on.

LightGBM's Python package turns a frame's category columns into codes, in training and again in `predict`. The
lists behind the codes stand at the end of the file, one for each such column, in the columns' order; which
columns these were it does not say. The categorical features are those columns unless they were told by hand,
and ordered categories are not among them. So the lists are laid over the columns in order: a categorical
feature has a list, or if there are fewer lists than these, a list has a categorical feature; and no feature
had a code beyond its list in training. What is left with two ways is refused.

A value that is in no list is a missing one.

Source: LightGBM, python-package/lightgbm/basic.py, `_data_from_pandas`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.transform.columns import categories
from croupier.artifacts.packers.transform.encoders import Codes

# Lists times features: a damaged file may have many of both.
_MOST_WAYS = 4_000_000

_LISTED = re.compile(r"^\[categorical_feature: (.*)\]$", re.MULTILINE)


def listed(text: str, infos: Sequence[str]) -> set[int]:
    """The categorical features, as the parameters have them; without these, those with lists of values."""
    found = _LISTED.search(text, max(0, text.rfind("\nparameters:")))
    if found is None:
        return {place for place, info in enumerate(infos) if _is_list(info)}
    try:
        return {int(each) for each in found[1].split(",") if each}
    except ValueError:
        # Names, from a file of other than Python's: it has no categories to go with them.
        return set()


def read(
    lists: Sequence[Sequence[Any]] | None, listed: set[int], infos: Sequence[str], names: Sequence[str]
) -> Mapping[int, Codes]:
    """By feature the codes of its categories. `infos` are the file's `feature_infos`.

    Raises:
        InvalidArtifact: it cannot be known whose they are, or they are neither numbers nor texts.
    """
    if not lists:
        return {}
    spans = [_span(info) for info in infos]
    sizes = [len(each) for each in lists]
    places = _places(sizes, spans, listed)
    if places is None:
        unsure = [
            names[place] if place < len(names) else str(place)
            for place, span in enumerate(spans)
            if place in listed or any(_fits(span, size) for size in sizes)
        ]
        raise InvalidArtifact(
            f"the LightGBM file has categories of {len(lists)} columns of its training frame and does not "
            f"say which of {', '.join(unsure[:20])} these are: train with the categories unordered, and with "
            "no other categorical_feature, or on codes (frame[column].cat.codes)"
        )
    return {place: _codes(each) for place, each in zip(places, lists, strict=True)}


def _codes(listed: Sequence[Any]) -> Codes:
    known = categories(listed)
    if known is None or len(known) != len(listed):
        raise InvalidArtifact("the LightGBM file has categories that are neither numbers nor texts")
    codes = {each: float(code) for code, each in enumerate(known)}
    return Codes(codes, unknown=math.nan, missing=math.nan)


def _is_list(info: str) -> bool:
    return not info.startswith("[") and info != "none"


def _span(info: str) -> tuple[float, float] | None:
    """The least and the greatest value in training; None if there was but one."""
    if info == "none":
        return None
    values = [float(each) for each in info.strip("[]").split(":")]
    # A list of categories begins with -1 where there may be others.
    return min(each for each in values if each >= 0 or not _is_list(info)), max(values)


def _fits(span: tuple[float, float] | None, size: int) -> bool:
    """Whether such values may be codes of a list so long."""
    if span is None:
        return True
    return 0 <= span[0] <= span[1] < size and span[0].is_integer() and span[1].is_integer()


def _places(
    sizes: Sequence[int], spans: Sequence[tuple[float, float] | None], listed: set[int]
) -> list[int] | None:
    """The only way to lay lists over features; None if there is none, or another one."""
    if len(sizes) * len(spans) > _MOST_WAYS:
        return None
    must_use = len(sizes) >= len(listed)
    may_use_others = len(sizes) > len(listed)
    # ways[feature][i]: how many ways, up to 2, the lists from i on lie over the features from this one on.
    ways = [[0] * len(sizes) + [1] for _ in range(len(spans) + 1)]

    def takes(feature: int, i: int) -> bool:
        return (feature in listed or may_use_others) and _fits(spans[feature], sizes[i])

    def skips(feature: int) -> bool:
        return not (must_use and feature in listed)

    for feature in reversed(range(len(spans))):
        behind = ways[feature + 1]
        for i in range(len(sizes) + 1):
            count = behind[i] if skips(feature) else 0
            if i < len(sizes) and takes(feature, i):
                count += behind[i + 1]
            ways[feature][i] = min(2, count)
    if ways[0][0] != 1:
        return None
    places: list[int] = []
    for feature in range(len(spans)):
        i = len(places)
        if i < len(sizes) and takes(feature, i) and ways[feature + 1][i + 1]:
            places.append(feature)
    return places
