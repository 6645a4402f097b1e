"""A router's reading of requests against protobuf's: which model, version, label, key and tenant they name.

What protobuf reads must be what is routed, and what goes on must carry the router's own artifact, version,
owner and generation, whatever the caller wrote. What protobuf refuses may pass a router, which looks at the
outside only, if a cell would refuse it then: the request that goes on is not to be read either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fuzz.messages_seeds import MOST_ROWS, TENANT, Model
from google.protobuf.message import DecodeError

from croupier.errors import CroupierError, InvalidRequest, NotFound, PermissionDenied
from croupier.names import parse_version
from croupier.priorities import PRIORITIES
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb
from router import envelope
from router.envelope import owner_field
from router.remembered import Route
from router.route import Deal
from router.routes import Routes
from router.units import Unit, join_payloads, mark
from router.view import EMPTY
from version_manager.model.encode import write_model
from version_manager.model.release import WHOLE, split_point
from version_manager.model.release import Model as Named
from version_manager.model.resolve import Ask, Target

_ALL_ITEMS = 2**31 - 1
# Where requests without a key fall on a traffic split.
_PLACE = 0.25
# Whose requests they are, as a router says it.
_OWNER = 0x0123456789ABCDEF
_GENERATION = 5


class Router:
    """Each method returns the first difference, or nothing, and what goes on to a cell, if anything does.

    Every model has versions 1 to 3. A request that names neither version nor label gets 1 or 2 by its key.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        self._models = {model.name: model for model in models}
        dealt = Deal(owner_field(_OWNER), _GENERATION)
        self._routes = Routes(self._decide, lambda: _PLACE, deal=lambda view, tenant: dealt)
        self._routes.follow(EMPTY)
        # Requests that were routed.
        self.routed = 0

    def infer(self, data: bytes) -> tuple[str, bytes | None]:
        native = _tried(lambda: self._routes.infer(TENANT, data))
        fresh = _tried(lambda: envelope.read_infer(data))
        try:
            request = oip.ModelInferRequest.FromString(data)
        except DecodeError:
            return self._refused(native, lambda units: units[0].payload, oip.ModelInferRequest)
        expected = _tried(lambda: _ask_of(request))
        if _is_reserved(data):
            return _differ(native, InvalidRequest("a router's fields")), None
        if (difference := _differ(fresh, expected)) or isinstance(expected, CroupierError):
            return difference or _differ(native, expected), None
        target = _tried(lambda: self._target(expected))
        if isinstance(target, CroupierError) or isinstance(native, CroupierError):
            return _differ(native, target), None
        self.routed += 1
        mark(native, envelope.marks(*_said(data)))
        return self._routed(native[0], data, target), native[0].payload

    def predict(self, data: bytes) -> tuple[str, bytes | None]:
        native = _tried(lambda: self._routes.items(TENANT, data, MOST_ROWS))
        try:
            request = pb.PredictRequest.FromString(data)
        except DecodeError:
            return self._refused(native, join_payloads, pb.PredictRequest)
        if not 0 < len(request.items) <= MOST_ROWS or any(map(_is_reserved, envelope.read_results(data))):
            return _differ(native, InvalidRequest("too many or too few items, or a router's fields")), None
        if isinstance(native, CroupierError) or len(native) != len(request.items):
            return f"{native!r} for {len(request.items)} items", None
        mark(native, envelope.marks(*_said(data)))
        for unit, item in zip(native, request.items, strict=True):
            if difference := self._item(unit, item, request.shared, *_said(data)):
                return difference, None
        units = [unit for unit in native if unit.outcome is None]
        self.routed += 1
        return "", join_payloads(units) if units else None

    def frame(self, data: bytes) -> tuple[str, bytes | None]:
        native = _tried(lambda: envelope.read_frame(data))
        try:
            request = pb.PredictStreamRequest.FromString(data)
        except DecodeError:
            # Without its frame, a request may nest one level more.
            again = b"" if isinstance(native, CroupierError) else envelope.frame(1, 2, native[1])
            is_answered = again and _is_read(pb.PredictStreamRequest, again)
            return "what protobuf refuses is answered" if is_answered else "", None
        if isinstance(native, CroupierError):
            return f"a frame is refused: {native!r}", None
        if native[0] != request.id or not _is_same(request.request, native[1]):
            return f"the frame {native} is {request}", None
        return self.predict(native[1])

    def metadata(self, data: bytes) -> tuple[str, bytes | None]:
        native = _tried(lambda: envelope.read_model(data))
        try:
            request = oip.ModelMetadataRequest.FromString(data)
        except DecodeError:
            return "", None
        expected = _tried(lambda: Ask(request.name, parse_version(request.version, "version")))
        return _differ(native, expected), None

    def response(self, data: bytes) -> tuple[str, bytes | None]:
        """An answer of a cell: its results, and their codes."""
        native = _tried(lambda: envelope.read_results(data))
        try:
            answer = pb.PredictResponse.FromString(data)
        except DecodeError:
            return "", None
        if isinstance(native, CroupierError) or len(native) != len(answer.results):
            return f"{native!r} for {len(answer.results)} results", None
        for one, result in zip(native, answer.results, strict=True):
            # An int32 that is below 0 is a uint64 with 64 bits.
            expected = result.status.code & 2**64 - 1
            if (found := envelope.status_code(one)) & 2**32 - 1 != expected & 2**32 - 1:
                return f"the status {found} is {expected}", None
        return "", None

    def natively(self, name: str, data: bytes) -> bytes | None:
        """What goes on to a cell of a message called `name`, if anything does, by native code alone."""
        try:
            if name == "ModelInferRequest":
                return self._routes.infer(TENANT, data)[0].payload
            if name == "ModelMetadataRequest":
                envelope.read_model(data)
                return None
            if name == "PredictResponse":
                for result in envelope.read_results(data):
                    envelope.status_code(result)
                return None
            request = envelope.read_frame(data)[1] if name == "PredictStreamRequest" else data
            units = self._routes.items(TENANT, request, MOST_ROWS)
        except CroupierError:
            return None
        return join_payloads([unit for unit in units if unit.outcome is None])

    def _decide(self, _: object, tenant: str, ask: Ask) -> Route:
        if ask.tenant not in ("", tenant):
            raise PermissionDenied("another tenant")
        model = self._models.get(ask.model)
        if model is None or ask.version > 3 or (ask.label and ask.version):
            raise NotFound("no such model")
        if ask.label and ask.label not in ("stable", "new"):
            raise NotFound("no such label")
        version = ask.version or {"stable": 1, "new": 2}.get(ask.label, 0)
        ends = ((WHOLE, version),) if version else ((WHOLE // 2, 1), (WHOLE, 2))
        choices = tuple((end, Target(tenant, ask.model, each, model.digest)) for end, each in ends)
        return Route(write_model(Named(tenant, ask.model, {})), choices, ("a",), ("a",))

    def _target(self, ask: Ask) -> Target:
        choices = self._decide(None, TENANT, ask).choices
        point = split_point(TENANT, ask.model, ask.key) if ask.key else int(_PLACE * WHOLE)
        return next(target for end, target in choices if point < end)

    def _item(self, unit: Unit, item: pb.Item, shared: pb.Shared, priority: int, resident_only: bool) -> str:
        key = item.routing_key or item.entity_id or shared.entity_id
        ask = Ask(item.model, item.version, item.label, key)
        target = _tried(lambda: self._target(ask))
        if isinstance(target, CroupierError) or unit.outcome is not None:
            return _differ(unit.outcome, target)
        if unit.target != target:
            return f"routed to {unit.target}, asked for {target}"
        sent = pb.Item.FromString(unit.payload)
        if (*_marks(sent), sent.version) != (target.artifact, _OWNER, _GENERATION, target.version):
            return f"a cell would read {_marks(sent)} in version {sent.version}"
        item.artifact, item.version = target.artifact, target.version
        item.priority, item.resident_only = priority or item.priority, resident_only or item.resident_only
        item.owner, item.generation = _OWNER, _GENERATION
        if shared.HasField("features"):
            item.shared.CopyFrom(shared.features)
        return "" if _is_same(item, unit.payload) else "what goes on is not what was asked"

    def _routed(self, unit: Unit, data: bytes, target: Target) -> str:
        if unit.target != target:
            return f"routed to {unit.target}, asked for {target}"
        sent = oip.ModelInferRequest.FromString(unit.payload)
        if (*_marks(sent), sent.model_version) != (target.artifact, _OWNER, _GENERATION, str(target.version)):
            return f"a cell would read {_marks(sent)} in version {sent.model_version}"
        asked, (priority, resident_only) = oip.ModelInferRequest.FromString(data), _said(data)
        if sent.priority != (priority or asked.priority):
            return f"a cell would read the priority {sent.priority}"
        if sent.resident_only != (resident_only or asked.resident_only):
            return f"a cell would read {sent.resident_only} for resident_only"
        return "" if unit.payload.startswith(data) else "what goes on is not what was asked"

    def _refused(self, native: Any, joined: Any, kind: Any) -> tuple[str, bytes | None]:
        """Protobuf refuses it: so does the router, or a cell."""
        if isinstance(native, CroupierError):
            return "", None
        units = [unit for unit in native if unit.outcome is None]
        payload: bytes | None = joined(units) if units else None
        if payload is not None and _is_read(kind, payload) and len(units) == len(native):
            return "what protobuf refuses can be read once it is routed", None
        return "", payload


def _said(data: bytes) -> tuple[int, bool]:
    """The priority of a request, and whether nothing is loaded for it, as its router has it: any."""
    return len(data) % PRIORITIES if len(data) % 3 else 0, len(data) % 4 == 0


def _marks(sent: Any) -> tuple[bytes, int, int]:
    return sent.artifact, sent.owner, sent.generation


def _is_reserved(message: bytes) -> bool:
    """Whether it has a field that only routers write."""
    return any(number in (1004, 1007) and kind == 2 for number, kind, *_ in envelope.scan(message))


def _ask_of(request: oip.ModelInferRequest) -> Ask:
    found = {}
    for name in ("routing_key", "label", "tenant"):
        # To ask for one that is not there would make it.
        parameter = request.parameters.get(name)
        if parameter is not None and parameter.WhichOneof("parameter_choice") != "string_param":
            raise InvalidRequest(f"the parameter {name} is not a string")
        found[name] = "" if parameter is None else parameter.string_param
    version = parse_version(request.model_version)
    return Ask(request.model_name, version, found["label"], found["routing_key"], found["tenant"])


def _tried(call: Any) -> Any:
    """What `call` returns, or the error of ours that it raises."""
    try:
        return call()
    except CroupierError as error:
        return error


def _differ(native: Any, expected: Any) -> str:
    """Errors are the same when their status would be."""
    if isinstance(native, CroupierError) and isinstance(expected, CroupierError):
        same = _kind(native) == _kind(expected)
    else:
        same = native == expected
    return "" if same else f"natively {native!r}, by protobuf {expected!r}"


def _kind(error: CroupierError) -> type[CroupierError]:
    return next(
        kind
        for kind in (InvalidRequest, NotFound, PermissionDenied, CroupierError)
        if isinstance(error, kind)
    )


def _is_read(kind: Any, data: bytes) -> bool:
    try:
        kind.FromString(data)
    except DecodeError:
        return False
    return True


def _is_same(message: Any, data: bytes) -> bool:
    """Without a look at what neither knows."""
    try:
        other = type(message).FromString(data)
    except DecodeError:
        return False
    return bool(other == message) or _known(other) == _known(message)


def _known(message: Any) -> bytes:
    copy = type(message)()
    copy.CopyFrom(message)
    copy.DiscardUnknownFields()
    known: bytes = copy.SerializeToString(deterministic=True)
    return known
