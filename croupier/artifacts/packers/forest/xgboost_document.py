"""What an XGBoost file says of itself besides its trees, which are treelite's to read.

JSON and UBJSON are one document in two forms: an object `learner` with the names of the features, attributes
that training has left, and the booster. Of these this page takes what decides how the trees are used, and it
holds the file's counts to each other: a file is whole, or it is refused.

`best_iteration` is such an attribute. Early stopping leaves it, told by an argument or by a callback, and it
stays when a model is saved, loaded and trained on. XGBoost's estimators predict with the rounds up to it, one
that has been loaded from a file too; its `Booster.predict` takes all of them unless it is told. A file does
not say which of the two will be asked, so what counts here is the model's own attribute.

Source: XGBoost 3.2, python-package/xgboost/sklearn.py, `_get_iteration_range`; src/gbm/gbtree_model.h.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.forest import ubjson, xgboost_categories
from croupier.artifacts.packers.transform.encoders import Codes

_TREES = {"gbtree", "dart"}


@dataclass(frozen=True, slots=True)
class Document:
    """`names` are the features', if the file has any; `trees` of the file's first trees count.

    `codes` are those that the trees know in place of categories, by feature. `data` is the file without them,
    which is JSON or not.
    """

    data: bytes
    is_json: bool
    names: tuple[str, ...]
    trees: int
    codes: Mapping[int, Codes]


def read(data: bytes) -> Document:
    """The document of an XGBoost file, JSON or UBJSON.

    Raises:
        InvalidArtifact: it is none, or not a whole one, or of a booster without trees.
    """
    # JSON has white space or a quote after the brace; UBJSON the type of a length.
    is_json = re.match(rb'\s*\{\s*["}]', data) is not None
    try:
        document = json.loads(data) if is_json else ubjson.loads(data)
        return _read(document, data, is_json)
    except KeyError as error:
        raise InvalidArtifact(f"the XGBoost file has no {error.args[0]}") from None
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise InvalidArtifact(f"the XGBoost file is damaged or cut off: {str(error)[:200]}") from error


def _read(document: Any, data: bytes, is_json: bool) -> Document:
    if isinstance(document, dict) and "learner" not in document:
        raise InvalidArtifact(_foreign(document))
    learner = document["learner"]
    booster = learner["gradient_booster"]
    name = booster["name"]
    if name not in _TREES:
        raise InvalidArtifact(
            f"XGBoost's booster {str(name)[:40]} has no trees and cannot be packed as a forest"
        )
    model = booster["gbtree"]["model"] if name == "dart" else booster["model"]
    trees = int(model["gbtree_model_param"]["num_trees"])
    _check_count("trees", model["trees"], trees)
    _check_count("tree_info", model["tree_info"], trees)
    if name == "dart":
        _check_count("weight_drop", booster["weight_drop"], trees)
    ends = _ends(model, learner, trees)
    best = learner.get("attributes", {}).get("best_iteration")
    if best is not None:
        if not 0 <= int(best) < len(ends):
            raise InvalidArtifact(
                f"the XGBoost file's best_iteration is {int(best)}, and it has {len(ends)} rounds"
            )
        trees = ends[int(best)]
    codes = xgboost_categories.read(model.get("cats", {}).get("enc", ()))
    return Document(
        data=xgboost_categories.without(document, model) if codes else data,
        is_json=is_json or bool(codes),
        names=tuple(str(each) for each in learner.get("feature_names", ())),
        trees=trees,
        codes=codes,
    )


def _foreign(document: Mapping[str, Any]) -> str:
    """What an object is that is no model of XGBoost's."""
    if "features_info" in document and document.keys() & {"oblivious_trees", "trees"}:
        return 'this is CatBoost\'s JSON: save the model as ONNX, save_model("model.onnx", format="onnx")'
    if "tree_info" in document:
        return "this is LightGBM's dump of its trees, which has not all of the model: save it with save_model"
    return "this is JSON, and no model of XGBoost's: it has no 'learner'"


def _check_count(what: str, values: Sized, count: int) -> None:
    if len(values) != count:
        raise InvalidArtifact(
            f"the XGBoost file has {len(values)} of {what} where {count} are due: it is damaged"
        )


def _ends(model: Any, learner: Any, trees: int) -> list[int]:
    """How many trees the model has after each round; files of before XGBoost 2 leave that to be counted."""
    if "iteration_indptr" in model:
        begins = [int(each) for each in model["iteration_indptr"]]
        if begins[:1] != [0] or begins[-1] != trees or any(a > b for a, b in pairwise(begins)):
            raise InvalidArtifact("the XGBoost file's rounds (iteration_indptr) and its trees do not agree")
        return begins[1:]
    told = learner["learner_model_param"]
    parallel = int(model["gbtree_model_param"].get("num_parallel_tree", 1))
    step = max(1, parallel) * max(1, int(told.get("num_class", 0))) * max(1, int(told.get("num_target", 1)))
    return list(range(step, trees + 1, step))
