"""An artifact that gets or loses a section says everything else as it did."""

import pytest

from croupier.artifacts.format import InvalidArtifact, Tensor, pack, view
from croupier.artifacts.repack import with_section


def artifact(**flags: bool) -> bytes:
    return pack(
        engine="fake",
        inputs=[Tensor("input", "FP64", (-1, 2))],
        outputs=[Tensor("value", "FP32", (-1, 1))],
        sections={"model": b"bytes"},
        features=["a", "b"],
        **flags,
    )


@pytest.mark.parametrize("flags", [{}, {"accepts_missing": True}, {"finite": True}, {"complete": True}])
def test_everything_else_is_kept(flags: dict[str, bool]) -> None:
    with_notes = with_section(artifact(**flags), "notes", b"said")
    assert bytes(view(with_notes).sections["notes"]) == b"said"
    assert with_section(with_notes, "notes", None) == artifact(**flags)


def test_a_section_is_replaced() -> None:
    once = with_section(artifact(), "notes", b"said")
    assert with_section(once, "notes", b"other") == with_section(artifact(), "notes", b"other")


def test_the_last_section_stays() -> None:
    with pytest.raises(InvalidArtifact, match="0 sections"):
        with_section(artifact(), "model", None)
