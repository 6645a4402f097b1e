"""The categories of the frame that an XGBoost model was trained on, which XGBoost from 3.1 on writes down.

They stand beside the trees: for each feature the categories behind its codes, texts one after the other or
numbers, and nothing for a feature that has none. A frame's row is encoded by them when it is predicted; a
missing value stays missing. The trees know the codes alone.

XGBoost means to refuse a category that is not there; 3.2 does where it is greater than all others, and takes
it for the next greater one where it is not. Here all are refused.

treelite reads the trees of no file with categories, so it is given one without.

Of texts that are not ASCII a file has but pieces: XGBoost 3.2 counts a pandas text's characters where
it cuts its bytes, and drops what is over. They cannot be told from whole ones and are refused.

Source: XGBoost 3.2, src/data/cat_container.h, `CatContainer`; src/encoder/ordinal.h.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.transform.columns import categories
from croupier.artifacts.packers.transform.encoders import Codes


def read(encoders: Sequence[Mapping[str, Any]]) -> dict[int, Codes]:
    """By feature the codes of its categories.

    Raises:
        InvalidArtifact: they are damaged, or are neither numbers nor texts.
    """
    found = {}
    for place, encoder in enumerate(encoders):
        listed = _texts(encoder) if "offsets" in encoder else list(encoder["values"])
        known = categories(listed)
        if known is None or len(set(known)) != len(listed):
            raise InvalidArtifact(f"the XGBoost file's categories of feature {place} are damaged")
        if known:
            numbered = {each: float(code) for code, each in enumerate(known)}
            found[place] = Codes(numbered, unknown=None, missing=math.nan)
    return found


def _texts(encoder: Mapping[str, Any]) -> list[str]:
    """Their UTF-8 lies in `values`, as signed bytes."""
    joined = (np.asarray(encoder["values"], np.int64) & 0xFF).astype(np.uint8).tobytes()
    ends = [int(each) for each in encoder["offsets"]]
    if ends and (ends[0] != 0 or ends[-1] != len(joined) or any(a > b for a, b in pairwise(ends))):
        raise InvalidArtifact("the XGBoost file's categories and their offsets do not agree")
    if not joined.isascii():
        raise InvalidArtifact(
            "the XGBoost file has categories that are not ASCII, which XGBoost cuts into pieces: train on "
            "codes (frame[column].cat.codes) or on other texts"
        )
    return [joined[begin:end].decode() for begin, end in pairwise(ends)]


def without(document: Mapping[str, Any], model: dict[str, Any]) -> bytes:
    """The document as JSON without the categories in `model`, which is a part of it."""
    nothing: dict[str, list[int]] = {"enc": [], "feature_segments": [], "sorted_idx": []}
    kept = model["cats"]
    model["cats"] = nothing
    try:
        return json.dumps(document, default=_plain).encode()
    finally:
        model["cats"] = kept


def _plain(array: Any) -> Any:
    """UBJSON has arrays of numbers, which JSON writes one by one; float32 as the same float64."""
    return array.tolist()
