from protos.prediction.v1 import prediction_pb2 as _prediction_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WarmRequest(_message.Message):
    __slots__ = ("artifacts", "group", "floor_bytes", "pin", "aged", "wait_seconds", "proven")
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    FLOOR_BYTES_FIELD_NUMBER: _ClassVar[int]
    PIN_FIELD_NUMBER: _ClassVar[int]
    AGED_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PROVEN_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedScalarFieldContainer[bytes]
    group: str
    floor_bytes: int
    pin: bool
    aged: bool
    wait_seconds: float
    proven: bool
    def __init__(self, artifacts: _Optional[_Iterable[bytes]] = ..., group: _Optional[str] = ..., floor_bytes: _Optional[int] = ..., pin: bool = ..., aged: bool = ..., wait_seconds: _Optional[float] = ..., proven: bool = ...) -> None: ...

class WarmResponse(_message.Message):
    __slots__ = ("artifacts",)
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedCompositeFieldContainer[Warmed]
    def __init__(self, artifacts: _Optional[_Iterable[_Union[Warmed, _Mapping]]] = ...) -> None: ...

class Warmed(_message.Message):
    __slots__ = ("artifact", "state", "status")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Warmed.State]
        RESIDENT: _ClassVar[Warmed.State]
        LOADING: _ClassVar[Warmed.State]
        FAILED: _ClassVar[Warmed.State]
    STATE_UNSPECIFIED: Warmed.State
    RESIDENT: Warmed.State
    LOADING: Warmed.State
    FAILED: Warmed.State
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    artifact: bytes
    state: Warmed.State
    status: _prediction_pb2.Status
    def __init__(self, artifact: _Optional[bytes] = ..., state: _Optional[_Union[Warmed.State, str]] = ..., status: _Optional[_Union[_prediction_pb2.Status, _Mapping]] = ...) -> None: ...

class UnpinRequest(_message.Message):
    __slots__ = ("artifacts",)
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, artifacts: _Optional[_Iterable[bytes]] = ...) -> None: ...

class UnpinResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UsageRequest(_message.Message):
    __slots__ = ("artifacts",)
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, artifacts: _Optional[_Iterable[bytes]] = ...) -> None: ...

class UsageResponse(_message.Message):
    __slots__ = ("resident",)
    RESIDENT_FIELD_NUMBER: _ClassVar[int]
    resident: _containers.RepeatedCompositeFieldContainer[Used]
    def __init__(self, resident: _Optional[_Iterable[_Union[Used, _Mapping]]] = ...) -> None: ...

class Used(_message.Message):
    __slots__ = ("artifact", "requests", "idle_seconds")
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    IDLE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    artifact: bytes
    requests: int
    idle_seconds: float
    def __init__(self, artifact: _Optional[bytes] = ..., requests: _Optional[int] = ..., idle_seconds: _Optional[float] = ...) -> None: ...

class HotListRequest(_message.Message):
    __slots__ = ("most",)
    MOST_FIELD_NUMBER: _ClassVar[int]
    most: int
    def __init__(self, most: _Optional[int] = ...) -> None: ...

class HotListPage(_message.Message):
    __slots__ = ("artifacts", "owners", "requests")
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    OWNERS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    artifacts: bytes
    owners: _containers.RepeatedScalarFieldContainer[int]
    requests: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, artifacts: _Optional[bytes] = ..., owners: _Optional[_Iterable[int]] = ..., requests: _Optional[_Iterable[int]] = ...) -> None: ...
