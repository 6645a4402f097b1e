"""LightGBM's model file in its parts, and whole: what was cut off anywhere is refused.

    tree                            the head: lines of key=value, tree_sizes among them
    …
                                    a blank line
    Tree=0                          a tree: lines of key=value; the next one has the next number
    …
    end of trees                    older versions have no such line, and `feature importances:` (with a
    feature_importances:            blank) ends the trees
    …
    parameters:                     what the model was trained with; with a parser of the caller's own, its
    …                               section follows, `parser:` to `end of parser`
    end of parameters
    pandas_categorical:…            JSON, only from Python: the categories of the training frame's columns

A file that ends between two trees reads as a model of fewer trees, and one that ends behind them may have
lost what its categories mean. So each mark is demanded, and as many trees as `tree_sizes` has; the parameters
and the last line are demanded of a file with categories only, for others may have been trimmed after their
trees. Python writes that line by opening the file once more, and for what was no frame it is null: who copies
the file in between has one that reads as another model's. R and LightGBM's own program do not write it.

Source: LightGBM, src/boosting/gbdt_model_text.cpp, `SaveModelToString`; python-package/lightgbm/basic.py,
`_dump_pandas_categorical`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from croupier.artifacts.format import InvalidArtifact

_TREE = re.compile(r"^Tree=(\d+)[^\S\n]*$", re.MULTILINE)
_END = re.compile(r"^(end of trees|feature importances:)\s*$", re.MULTILINE)
_PARAMETERS = re.compile(r"^parameters:\s*$", re.MULTILINE)
_END_OF_PARAMETERS = re.compile(
    r"^end of parameters\s*$(?:\s*^parser:.*^end of parser\s*$)?", re.MULTILINE | re.DOTALL
)
_PANDAS = "pandas_categorical:"

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Text:
    """`categories` are those of the training frame's categorical columns in their order, or None."""

    head: Fields
    trees: Sequence[Fields]
    categories: Sequence[Sequence[Any]] | None


def cut(text: str) -> Text:
    """The parts of a file.

    Raises:
        InvalidArtifact: it is none, or it is not whole.
    """
    end = _END.search(text)
    begin, *pieces = _TREE.split(text[: end.start()] if end else text)
    head = _fields(begin)
    if "tree" not in head:
        raise InvalidArtifact("this is no LightGBM model file")
    if end is None:
        raise _cut_off("'end of trees' is missing")
    numbers, trees = pieces[::2], [_fields(piece) for piece in pieces[1::2]]
    sizes = head.get("tree_sizes")
    if sizes is not None and len(sizes.split()) != len(trees):
        raise _cut_off(f"there are {len(trees)} trees where {len(sizes.split())} are due")
    for place, number in enumerate(numbers):
        if int(number) != place:
            raise _cut_off(f"tree {number} stands where tree {place} is due")
    has_categories = any(tree.get("num_cat", "0").strip() != "0" for tree in trees)
    is_old = end[1] != "end of trees"
    return Text(head, trees, _categories(text[end.end() :], is_old, has_categories))


def _categories(tail: str, is_old: bool, has_categories: bool) -> Sequence[Sequence[Any]] | None:
    """What follows the trees, of which only the last line matters; older files do not mark their ends."""
    end = _END_OF_PARAMETERS.search(tail)
    if end is None and not is_old and (has_categories or _PARAMETERS.search(tail)):
        raise _cut_off("'end of parameters' is missing")
    last = tail[end.end() :].strip() if end else tail[max(0, tail.rfind("\n" + _PANDAS)) :].strip()
    if not last.startswith(_PANDAS):
        if end and last:
            raise _cut_off("what follows the parameters cannot be read")
        if has_categories and not is_old:
            raise _cut_off(
                f"{_PANDAS!r} is missing, which says what its categories are; if it was not saved by Python, "
                f"and callers send the categories' codes, end it with the line {_PANDAS}null"
            )
        return None
    try:
        found = json.loads(last.removeprefix(_PANDAS))
    except (ValueError, RecursionError):
        raise _cut_off("the categories of its training frame cannot be read") from None
    if found is not None and not (isinstance(found, list) and all(isinstance(each, list) for each in found)):
        raise _cut_off("the categories of its training frame cannot be read")
    return found or None


def _cut_off(problem: str) -> InvalidArtifact:
    return InvalidArtifact(f"the LightGBM file is damaged or cut off: {problem}")


def _fields(block: str) -> Fields:
    lines = (line.partition("=") for line in block.splitlines() if line.strip())
    return {key.strip(): value for key, _, value in lines}
