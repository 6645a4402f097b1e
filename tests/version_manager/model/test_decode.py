"""What is read of models natively is what protobuf reads."""

from __future__ import annotations

import pytest
from fuzz.models import Search

from croupier.artifacts.comparison import InvalidComparison
from croupier.fields import MalformedMessage
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.decode import read_model


def test_mutants_are_read_as_protobuf_reads_them() -> None:
    search = Search(20_261_128)
    search.run(4_000)
    assert search.differences == []
    assert search.ends.keys() == {"read", "refused"}


def test_what_is_not_whole_is_refused() -> None:
    with pytest.raises(MalformedMessage):
        read_model(b"\x0a\x05abc")


def test_a_comparison_that_makes_no_sense_is_refused() -> None:
    wrong = pb.Version(number=1, checked=pb.Comparison(library="\n"))
    with pytest.raises(InvalidComparison):
        read_model(pb.Model(versions=[wrong]).SerializeToString())
