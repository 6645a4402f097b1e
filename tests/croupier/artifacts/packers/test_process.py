"""Packing in a process of its own: the same artifact, options and refusals as packing here."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.apart import XGBOOST, refusal
from support.graphs import matmul

from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.files import FileKind, pack_file
from croupier.artifacts.packers.onnx import pack_onnx
from croupier.artifacts.packers.process import pack_file_apart

# One leaf, as LightGBM writes it.
LIGHTGBM = b"""tree
num_class=1
num_tree_per_iteration=1
max_feature_idx=1
feature_names=a b
objective=regression

Tree=0
num_leaves=1
leaf_value=3

end of trees
"""


@pytest.mark.parametrize("content", [XGBOOST, LIGHTGBM, matmul()])
def test_the_artifact_is_the_one_that_is_packed_here(content: bytes) -> None:
    options = {"features": list("abcdef")} if content is XGBOOST else {}
    assert pack_file_apart(content, **options) == pack_file(content, **options)


def test_options_reach_the_packer() -> None:
    found = view(pack_file_apart(matmul(), FileKind.ONNX, features=["ä", "b"], accepts_missing=True))
    assert found.features == ("ä", "b")
    assert found.accepts_missing


def test_a_packed_artifact_is_checked_and_stays_as_it_is() -> None:
    packed = pack_onnx(matmul())
    assert pack_file_apart(packed) == packed
    assert "should have" in refusal(packed + b"x")


def test_what_the_packer_refuses_comes_through_with_its_words() -> None:
    learner = json.loads(XGBOOST)
    learner["learner"]["objective"]["name"] = "reg:mine"
    assert "reg:mine" in refusal(json.dumps(learner).encode())
    assert "pickle" in refusal(b"\x80\x05")
    with pytest.raises(InvalidArtifact, match="2 names for a model of 6"):
        pack_file_apart(XGBOOST, features=["a", "b"])


def test_a_file_beyond_the_limit_is_not_even_read() -> None:
    assert "larger than the limit of 10 bytes" in refusal(XGBOOST, file_bytes=10)


def test_files_are_packed_in_many_threads_at_once() -> None:
    files = [LIGHTGBM.replace(b"leaf_value=3", b"leaf_value=%d" % number) for number in range(4)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(pack_file_apart, files)) == [pack_file(file) for file in files]
