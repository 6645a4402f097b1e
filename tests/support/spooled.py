"""Records as a router writes them, of real messages; and stores that hold what a logger needs and writes."""

from __future__ import annotations

import io
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from croupier.artifacts.format import Tensor, digest_of, pack
from croupier.errors import NotFound
from croupier.stores.objects import VerifiedObjects
from croupier.stores.objects_file import FileBlobs
from croupier.stores.spool import Kind, Record
from croupier.stores.spool_folder import Spool
from logger.batches import Log
from logger.files import Kind as FileKind
from logger.files import Parquet
from logger.hiding import Hiding
from logger.signatures import Signature, Signatures
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb

SEGMENT = 4096
WIDE = Signature(("a", "b", "c"), (Tensor("x", "FP32", (-1, 3)),))
EACH = Signature(("a", "t"), (Tensor("a", "FP64", (-1, 1)), Tensor("t", "BYTES", (-1, 1))))
TENSORS = Signature((), (Tensor("x", "FP32", (-1, 2, 2)),))
# 2026-11-27, 12:30 UTC.
NOW = 1_795_782_600_000_000


def artifact(signature: Signature) -> bytes:
    """One that has this signature, and cannot be scored."""
    return pack(
        engine="none",
        inputs=signature.inputs,
        outputs=[Tensor("y", "FP32", (-1, 1))],
        sections={"none": b"none"},
        features=signature.features,
    )


def record(kind: Kind, request: bytes, reply: bytes, **changes: Any) -> Record:
    made: dict[str, Any] = {
        "kind": kind,
        "flags": 0,
        "item": 0,
        "time_us": NOW,
        "version": 3,
        "number": 7,
        "took_us": 1234,
        "request_id": "r-1",
        "tenant": "acme",
        "model": "churn",
        "family": "churn",
        "shadow_of": "",
        "artifact": digest_of(artifact(WIDE)),
        "rule": b"",
        "request": request,
        "shared": b"",
        "added": b"",
        "reply": reply,
    }
    return Record(**{**made, **changes})


def item(
    features: dict[str, float | str] | None = None,
    *,
    values: tuple[float, ...] = (),
    doubles: tuple[float, ...] = (),
    outputs: tuple[float, ...] = (0.5,),
    entity: str = "",
    **changes: Any,
) -> Record:
    """An item and its result."""
    asked = pb.Item(model="churn", entity_id=entity)
    if features is None:
        asked.row.SetInParent()
        asked.row.values.extend(values)
        asked.row.doubles.extend(doubles)
    else:
        asked.features.SetInParent()
        for name, value in features.items():
            one = asked.features.features.add(name=name)
            if isinstance(value, str):
                one.text = value
            else:
                one.number = value
    result = pb.Result(version=3)
    result.value.outputs.add(name="y").numbers.values.extend(outputs)
    made = record(Kind.ITEM, asked.SerializeToString(), result.SerializeToString())
    return replace(made, **changes)


def tensor(message: Any, name: str, datatype: str, array: Any, *, raw: bool = True) -> None:
    """Add an input to a request, or an output to a response."""
    array = np.asarray(array)
    is_request = isinstance(message, inference_pb2.ModelInferRequest)
    added = (message.inputs if is_request else message.outputs).add(name=name, datatype=datatype)
    added.shape.extend(array.shape)
    flat = array.ravel().tolist()
    if not raw:
        field = {"FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents"}[datatype]
        elements = [one.encode() for one in flat] if datatype == "BYTES" else flat
        getattr(added.contents, field).extend(elements)
        return
    if datatype == "BYTES":
        data = b"".join(len(one.encode()).to_bytes(4, "little") + one.encode() for one in flat)
    else:
        data = array.tobytes()
    (message.raw_input_contents if is_request else message.raw_output_contents).append(data)


def log_of(
    spool: Path, store: Any, artifacts: FileBlobs, kind: FileKind | None = None, **settings: Any
) -> Log:
    """A logger of `spool` that writes into the blobs `store`."""
    return Log(
        spool,
        store,
        Signatures(VerifiedObjects(artifacts)),
        kind or Parquet(),
        Hiding(b"k" * 16),
        **{"most_bytes": 2**20, "aside_bytes": 2**20, **settings},
    )


def write(spool: Spool, one: Record) -> bool:
    """As a router does, and its thread."""
    done = spool.appender.append(**asdict(one))
    spool.tend()
    return bool(done)


class MemoryBlobs:
    """Bytes by key."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    async def read(self, key: str) -> bytes:
        try:
            return self.held[key]
        except KeyError:
            raise NotFound(key) from None

    async def create(self, key: str, data: bytes) -> None:
        self.held[key] = data

    async def replace(self, key: str, data: bytes) -> None:
        self.held[key] = data

    async def exists(self, key: str) -> bool:
        return key in self.held

    async def delete(self, key: str) -> None:
        self.held.pop(key, None)

    def rows(self) -> list[dict[str, Any]]:
        """All rows of all Parquet objects, in the order of their names."""
        tables = (pq.read_table(io.BytesIO(data)) for _, data in sorted(self.held.items()))
        return [row for table in tables for row in table.to_pylist()]
