"""What holds for the models of each native engine is what its packer writes and its code keeps to."""

import re
from pathlib import Path

import pytest

from croupier.artifacts.engines import NATIVE, ONNX

ROOT = Path(__file__).parents[3]


def test_onnx_is_scored_by_a_library() -> None:
    assert ONNX not in NATIVE


@pytest.mark.parametrize("engine", NATIVE)
def test_the_bit_of_a_transform_is_the_one_that_native_code_looks_at(engine: str) -> None:
    folder = ROOT / "cell/engines"
    text = "".join(path.read_text() for path in (folder / f"{engine}.pyx", *folder.glob(f"{engine}_*.pxd")))
    assert re.findall(r"^    _?TRANSFORM = (\d+)$", text, re.MULTILINE) == [str(NATIVE[engine].transform)]


def test_each_engine_stands_in_the_description_of_artifacts() -> None:
    text = (ROOT / "docs/artifacts.md").read_text()
    assert [name for name in (*NATIVE, ONNX) if f"`{name}`" not in text] == []
