"""Recorded requests, played again: at their own times, or faster or slower, and for other tenants if asked.

`Replayed` is what a run is given in place of a scenario's arrivals, mix and requests (`run.run(source=…)`).
Each worker reads the file and takes every n-th request, a piece at a time.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from croupier_bench import scenario as scenarios
from croupier_bench.classes import ITEMS, RequestClass
from croupier_bench.record import FORMAT, KIND, opened
from croupier_bench.requests import Pairs, metadata_of, token_of
from croupier_bench.scenario import Load, Scenario, ScenarioError, Shape, Target
from croupier_bench.source import PIECE, Part
from croupier_bench.target import CROUPIER, OIP
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2

# Stands for every tenant that is not mapped by its name.
OTHERS = "*"
_PREDICT = b"/croupier.prediction.v1.PredictionService/Predict"
_INFER = b"/inference.GRPCInferenceService/ModelInfer"
# The classes of a run that plays a recording.
CLASSES = (RequestClass("items", call=ITEMS), RequestClass("tensors"))
_ITEMS, _TENSORS = range(2)
# The last request has a moment of its own.
_MOMENT = 1e-3


class NoRecording(ValueError):
    """A file that `record` has not written, or that cannot be played so. Whoever named it has to look."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the first line of a file says."""

    family: str
    requests: int
    seconds: float
    left_out: Mapping[str, int]


def head_of(path: Path) -> Head:
    """Raises NoRecording."""
    try:
        with opened(path, "r") as file:
            said = json.loads(file.readline())
        if (said["kind"], said["format"]) != (KIND, FORMAT):
            raise LookupError
        return Head(str(said["family"]), int(said["requests"]), float(said["seconds"]), said["left_out"])
    except OSError as error:
        raise NoRecording(f"{path} cannot be read: {error}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise NoRecording(f"{path} is no file of recorded requests, or of another format") from error


def lines_of(path: Path) -> Iterator[str]:
    """Its requests, one after the other, as they stand there."""
    with opened(path, "r") as file:
        next(file)
        yield from file


def mapped(pairs: Sequence[str]) -> dict[str, str] | None:
    """Tenants by those that they stand in for, of words like OLD=NEW; None if one is not like that."""
    found = [pair.partition("=") for pair in pairs]
    return {old: new for old, _, new in found} if all(old and new for old, _, new in found) else None


def base(scenario: Path | None, address: str) -> Scenario:
    """The scenario whose target and limits hold, or one of Croupier at `address`. Raises ScenarioError."""
    if scenario is not None:
        found = scenarios.load(scenario)
    else:
        target = Target(("127.0.0.1:1",), CROUPIER, tenant_header="croupier-tenant")
        found = Scenario(target, Load(rate=1.0), CLASSES[_TENSORS:], name="replay")
    return found.with_(address=address) if address else found


def scenario_of(path: Path, base: Scenario, speed: float = 1.0) -> Scenario:
    """`base` with the times of a recording: whom it asks and how, when it stops and what is to hold stay.

    Raises:
        NoRecording
        ScenarioError: what no recording is played in.
    """
    head = head_of(path)
    if not head.requests:
        raise NoRecording(f"{path} has no requests")
    if base.load.mode != "open":
        raise ScenarioError("load.mode", "requests are played at their times: open")
    seconds = head.seconds / speed + _MOMENT
    load = replace(base.load, rate=head.requests / seconds, seconds=seconds, warm_up=0.0, shape=Shape())
    tensors = replace(CLASSES[_TENSORS], input=base.classes[0].input)
    return replace(base, load=load, classes=(CLASSES[_ITEMS], tensors))


@dataclass(slots=True)
class Replayed:
    """What a run plays instead of its scenario: `file`, `speed` times as fast as it was.

    `tenants` stand in for those that asked. `target` says how requests are put: to Croupier as items, to
    others as tensors called `input`.
    """

    file: Path
    target: Target
    speed: float = 1.0
    tenants: Mapping[str, str] = field(default_factory=dict)
    input: str = "input"
    # By the number of a request in this worker: bytes until they are sent, and who asks.
    _messages: dict[int, bytes] = field(default_factory=dict, repr=False)
    _asking: list[Pairs] = field(default_factory=list, repr=False)

    def parts(self, worker: int, workers: int) -> Iterator[Part]:
        """Every `workers`-th request, from `worker` on. Raises NoRecording, and ScenarioError for a token."""
        token = token_of(self.target)
        by_tenant: dict[str, Pairs] = {}
        mine = islice(enumerate(lines_of(self.file), 1), worker, None, workers)
        while lines := list(islice(mine, PIECE)):
            first, due, kinds = len(self._asking), [], []
            for number, text in lines:
                try:
                    line = json.loads(text)
                    message, kind = self._put(line)
                    tenant = self.tenants.get(line["tenant"]) or self.tenants.get(OTHERS) or line["tenant"]
                    due.append(line["t"] / self.speed)
                except (AttributeError, LookupError, TypeError, ValueError) as error:
                    raise NoRecording(f"{self.file}: request {number} cannot be played: {error}") from error
                if tenant not in by_tenant:
                    by_tenant[tenant] = metadata_of(self.target, tenant, token)
                self._messages[len(self._asking)] = message
                self._asking.append(by_tenant[tenant])
                kinds.append(kind)
            places = np.arange(first, len(self._asking), dtype=np.int32)
            yield Part(np.array(due, np.float64), np.array(kinds, np.int16), places)

    def prepared(self) -> Replayed:
        return self

    def message(self, class_index: int, model_index: int, number: int) -> bytes:
        """Each is asked for once."""
        return self._messages.pop(model_index)

    def metadata(self, class_index: int, model_index: int) -> Pairs:
        return self._asking[model_index]

    def path(self, class_index: int) -> bytes:
        return _PREDICT if class_index == _ITEMS else _INFER

    def _put(self, line: Mapping[str, Any]) -> tuple[bytes, int]:
        if "tensors" in line:
            return base64.b64decode(line["tensors"], validate=True), _TENSORS
        if self.target.protocol == OIP:
            return _infer(line["items"], self.input), _TENSORS
        items = [_item(item) for item in line["items"]]
        return prediction_pb2.PredictRequest(items=items).SerializeToString(), _ITEMS


def _item(said: Mapping[str, Any]) -> prediction_pb2.Item:
    item = prediction_pb2.Item(model=said["model"], entity_id=said.get("entity", ""))
    if "row" in said:
        item.row.values.extend(map(_number, said["row"]))
        return item
    item.features.SetInParent()
    for name, value in said["features"].items():
        feature = item.features.features.add(name=name)
        if isinstance(value, str):
            feature.text = value
        else:
            feature.number = _number(value)
    return item


def _infer(items: Sequence[Mapping[str, Any]], name: str) -> bytes:
    """Rows of one model as one tensor. Raises ValueError."""
    models = {item["model"] for item in items}
    if len(models) != 1 or not all("row" in item for item in items):
        raise ValueError(
            "only rows of one model, with all features as numbers, are tensors for others than Croupier"
        )
    rows = np.array([[_number(value) for value in item["row"]] for item in items], "<f4")
    asked = inference_pb2.ModelInferRequest(model_name=models.pop(), raw_input_contents=[rows.tobytes()])
    asked.inputs.add(name=name, datatype="FP32", shape=rows.shape)
    return asked.SerializeToString()


def _number(value: float | None) -> float:
    """JSON has no NaN."""
    return math.nan if value is None else float(value)
