import pytest

from croupier.artifacts.batching import NO_DELAY, SECTION, Batching, batching_of, with_batching
from croupier.artifacts.format import InvalidArtifact, Tensor, pack, view


def artifact(**sections: bytes) -> bytes:
    return pack(
        engine="fake",
        inputs=[Tensor("input", "FP32", (-1, 2))],
        outputs=[Tensor("value", "FP32", (-1, 1))],
        sections={"model": b"bytes", **sections},
        features=["a", "b"],
        accepts_missing=True,
    )


def test_it_is_said_and_read_again() -> None:
    batching = Batching(0.0025, 64)
    said = view(with_batching(artifact(), batching))
    assert batching_of(said) == batching
    plain = view(artifact())
    assert (said.features, said.inputs, said.outputs, said.accepts_missing) == (
        plain.features,
        plain.inputs,
        plain.outputs,
        True,
    )
    assert bytes(said.sections["model"]) == b"bytes"


def test_nobody_waits_where_nothing_is_said() -> None:
    assert batching_of(view(artifact())) == NO_DELAY


def test_it_can_be_changed_and_taken_back() -> None:
    once = with_batching(artifact(), Batching(0.5))
    assert batching_of(view(with_batching(once, Batching(0.1, 7)))) == Batching(0.1, 7)
    assert with_batching(once, NO_DELAY) == artifact()


@pytest.mark.parametrize("batching", [Batching(1.5), Batching(-0.1), Batching(0, -1), Batching(0, 2**32)])
def test_what_makes_no_sense_is_refused(batching: Batching) -> None:
    with pytest.raises(InvalidArtifact):
        with_batching(artifact(), batching)


@pytest.mark.parametrize("section", [b"", bytes(7), b"\xff" * 8])
def test_a_damaged_section_is_refused(section: bytes) -> None:
    with pytest.raises(InvalidArtifact):
        batching_of(view(artifact(**{SECTION: section})))
