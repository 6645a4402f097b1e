"""What is written of models is what protobuf writes, and is joined to events without a look inside."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.any_models import MODELS

from protos.versions.v1 import versions_pb2 as pb
from version_manager.model import wire
from version_manager.model.decode import read_model
from version_manager.model.encode import chunk_event, delta_event, write_model
from version_manager.model.encoded import chunk_models, names_of
from version_manager.model.release import Model


@given(MODELS)
def test_a_model_is_written_as_protobuf_writes_it_and_read_again(model: Model) -> None:
    record = write_model(model)
    message = wire.model_to_pb(model)
    # But for the order of labels.
    assert (len(record), pb.Model.FromString(record)) == (message.ByteSize(), message)
    assert read_model(record) == model
    assert names_of(record) == (model.tenant, model.name)


@given(st.lists(MODELS, min_size=1, max_size=5))
def test_records_are_joined_to_a_chunk_and_to_a_delta(models: list[Model]) -> None:
    records = list(map(write_model, models))
    event = chunk_event(records)
    found = pb.WatchEvent.FromString(event)
    assert found.WhichOneof("event") == "chunk"
    assert list(map(wire.model_from_pb, found.chunk.models)) == models
    assert chunk_models(event) == records
    others = pb.WatchEvent.Delta(revision=7, removed_cells=["a"])
    read = pb.WatchEvent.FromString(delta_event(others.SerializeToString(), records))
    others.models.extend(map(wire.model_to_pb, models))
    assert read == pb.WatchEvent(delta=others)


@pytest.mark.parametrize("function", [chunk_event, partial(delta_event, b"")])
def test_nothing_is_joined_to_nothing(function) -> None:
    with pytest.raises(TypeError):
        function([b"", None])
