"""What an artifact says of its rows: that they are independent, or nothing."""

import struct
from dataclasses import replace

import pytest
from support.graphs import centred, matmul

from croupier.artifacts.format import Artifact, InvalidArtifact, view
from croupier.artifacts.packers.onnx import pack_onnx
from croupier.artifacts.rowwise import INDEPENDENT, SECTION, is_rowwise


def saying(section: bytes) -> Artifact:
    good = view(pack_onnx(matmul()))
    return replace(good, sections={**good.sections, SECTION: memoryview(section)})


def test_an_artifact_says_so_only_where_it_is(caplog: pytest.LogCaptureFixture) -> None:
    assert is_rowwise(view(pack_onnx(matmul())))
    assert caplog.text == ""
    assert not is_rowwise(view(pack_onnx(centred())))
    assert "ReduceMean 'mean' works along axis 0, the batch" in caplog.text


def test_what_a_later_release_says_is_not_taken_for_it() -> None:
    assert is_rowwise(saying(INDEPENDENT))
    for number in (0, 2, 1 << 24, 2**32 - 1):
        assert not is_rowwise(saying(struct.pack("<I", number)))


@pytest.mark.parametrize("section", [b"", b"\1", b"\1\0\0\0\0", bytes(8)])
def test_a_section_of_another_size_is_refused(section: bytes) -> None:
    with pytest.raises(InvalidArtifact, match=f"'rowwise' has {len(section)} bytes in place of 4"):
        is_rowwise(saying(section))
