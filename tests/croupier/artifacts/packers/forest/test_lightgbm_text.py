"""LightGBM's text is whole, or it is refused: wherever it was cut, and whatever it lost."""

from typing import Any

import lightgbm
import numpy as np
import pandas
import pytest
from support.forests import data

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.files import pack_file
from croupier.artifacts.packers.forest import pack_lightgbm
from croupier.artifacts.packers.forest.lightgbm_text import cut

X = data(1, rows=300)
Y = X[:, 0] * 3 + X[:, 1]
SHOPS = np.array(["a", "b", "c", "d"])[np.arange(300) % 4]
FRAME = pandas.DataFrame({"shop": pandas.Categorical(SHOPS), "z": X[:, 0]})


def text(features: Any = X, label: Any = Y, rounds: int = 12, **options: Any) -> str:
    options = {"objective": "regression", "num_leaves": 5, "num_threads": 1, "verbose": -1, **options}
    categorical = options.pop("categorical", "auto")
    quiet = {"verbose": -1, "min_data_per_group": 5}
    sets = lightgbm.Dataset(features, label, categorical_feature=categorical, params=quiet)
    return lightgbm.train(options | {"min_data_per_group": 5}, sets, rounds).model_to_string()


NUMBERS = text()
CATEGORIES = text(FRAME, Y + 4 * (SHOPS == "b"))


def old(whole: str) -> str:
    """As LightGBM before it marked its ends."""
    return whole.replace("end of trees\n\n", "").replace("feature_importances:", "feature importances:")


def test_a_file_is_its_head_its_trees_and_its_frames_categories() -> None:
    found = cut(CATEGORIES)
    assert found.head["feature_names"] == "shop z"
    assert len(found.trees) == 12
    assert found.categories == [["a", "b", "c", "d"]]
    assert cut(NUMBERS).categories is None


@pytest.mark.parametrize("whole", [NUMBERS, CATEGORIES], ids=["numbers", "categories"])
def test_a_file_that_was_cut_before_its_trees_end_is_refused(whole: str) -> None:
    trees = [whole.index(f"\nTree={number}\n") + 1 for number in range(12)]
    end = whole.index("end of trees") + len("end of trees")
    random = np.random.default_rng(0).integers(0, end, 200).tolist()
    for place in [*trees, *random, *range(end - 20, end)]:
        with pytest.raises(InvalidArtifact):
            pack_file(whole[:place].encode())


def test_a_file_with_categories_is_refused_when_it_was_cut_anywhere() -> None:
    for place in range(CATEGORIES.index("end of trees"), len(CATEGORIES.rstrip())):
        with pytest.raises(InvalidArtifact, match="cut off"):
            cut(CATEGORIES[:place])


def test_a_file_with_categories_that_python_did_not_save_says_that_they_are_codes() -> None:
    """LightGBM's own program and R end after the parameters."""
    codes = text(np.column_stack([np.arange(300) % 4, X[:, 0]]), Y + 4 * (SHOPS == "b"), categorical=[0])
    line = codes.index("pandas_categorical:null")
    with pytest.raises(InvalidArtifact, match="end it with the line pandas_categorical:null"):
        pack_lightgbm(codes[:line])
    assert pack_lightgbm(codes[:line] + "pandas_categorical:null") == pack_lightgbm(codes)


def test_parameters_that_were_begun_have_an_end() -> None:
    begun = NUMBERS.index("\nparameters:\n") + len("\nparameters:\n")
    end = NUMBERS.index("end of parameters") + len("end of parameters")
    for place in range(begun, end, 7):
        with pytest.raises(InvalidArtifact, match="'end of parameters' is missing"):
            cut(NUMBERS[:place])
    assert len(cut(NUMBERS[:end]).trees) == 12


@pytest.mark.parametrize(
    ("whole", "problem"),
    [
        (NUMBERS.replace("tree_sizes=", "tree_sizes=9 "), "12 trees where 13 are due"),
        (NUMBERS.replace("Tree=5\n", "Tree=6\n"), "tree 6 stands where tree 5 is due"),
        (CATEGORIES.replace("pandas_categorical:", "pandas_categorical:["), "training frame"),
        (CATEGORIES.replace('[["a", "b"', '["a", ["b"'), "training frame"),
        (CATEGORIES.replace("pandas_categorical:", "pandas"), "follows the parameters"),
        (NUMBERS.replace("end of parameters\n", "end of parameters\n\nparser:\n{\n"), "follows the param"),
    ],
)
def test_what_does_not_agree_is_refused(whole: str, problem: str) -> None:
    with pytest.raises(InvalidArtifact, match=problem):
        cut(whole)


def test_a_part_that_was_lost_in_the_middle_is_missed() -> None:
    begin, end = NUMBERS.index("Tree=4\n"), NUMBERS.index("Tree=7\n")
    with pytest.raises(InvalidArtifact, match="9 trees where 12 are due"):
        cut(NUMBERS[:begin] + NUMBERS[end:])


@pytest.mark.parametrize("whole", [NUMBERS, CATEGORIES], ids=["numbers", "categories"])
def test_files_of_older_versions_end_their_trees_with_importances(whole: str) -> None:
    assert cut(old(whole)) == cut(whole)
    unmarked = old(whole).replace("end of parameters\n", "")
    assert cut(unmarked) == cut(whole)
    with pytest.raises(InvalidArtifact, match="'end of trees' is missing"):
        cut(old(whole)[: old(whole).index("feature importances") + 5])


def test_what_was_trimmed_behind_its_trees_is_packed_without_categories() -> None:
    trimmed = NUMBERS[: NUMBERS.index("end of trees")] + "end of trees\n"
    assert pack_lightgbm(trimmed) == pack_lightgbm(NUMBERS)
    own = NUMBERS.replace("end of parameters\n", "end of parameters\n\nparser:\n{}\nend of parser\n")
    assert pack_lightgbm(own) == pack_lightgbm(NUMBERS)
    lines = NUMBERS.replace("\n", "\r\n")
    assert pack_lightgbm(lines) == pack_lightgbm(NUMBERS)
