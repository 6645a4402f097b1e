"""What is done with models' bytes without reading them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from support.any_models import MODELS

from croupier.fields import MalformedMessage
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.encode import write_model
from version_manager.model.encoded import chunk_models, names_of, told
from version_manager.model.release import Model, Version


@given(MODELS)
def test_watchers_are_not_told_what_is_for_operators(model: Model) -> None:
    versions = {number: replace(version, checked=None) for number, version in model.versions.items()}
    release = model.release and model.release.bare()
    assert told(write_model(model)) == write_model(replace(model, versions=versions, release=release))


def test_what_has_no_comparison_is_told_as_it_is() -> None:
    record = write_model(Model("acme", "churn", {1: Version(1, bytes(32), 9, "onnx")}))
    assert told(record) is record


@pytest.mark.parametrize(
    "event",
    [
        pb.WatchEvent(),
        pb.WatchEvent(heartbeat=pb.WatchEvent.Heartbeat(revision=1)),
        pb.WatchEvent(chunk=pb.WatchEvent.Chunk()),
        pb.WatchEvent(chunk=pb.WatchEvent.Chunk(models=[pb.Model(name="m")], ramp=3)),
        pb.WatchEvent(chunk=pb.WatchEvent.Chunk(cells=[pb.Cell(id="a")])),
    ],
)
def test_an_event_with_anything_but_models_is_left_to_protobuf(event: pb.WatchEvent) -> None:
    assert chunk_models(event.SerializeToString()) is None


@pytest.mark.parametrize("function", [names_of, told, chunk_models])
def test_what_is_not_whole_is_refused(function) -> None:
    with pytest.raises(MalformedMessage):
        function(b"\x0a\x05abc")
