from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Handover(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HANDOVER_UNSPECIFIED: _ClassVar[Handover]
    HANDOVER_RUNNING: _ClassVar[Handover]
    HANDOVER_DONE: _ClassVar[Handover]
HANDOVER_UNSPECIFIED: Handover
HANDOVER_RUNNING: Handover
HANDOVER_DONE: Handover

class PublishRequest(_message.Message):
    __slots__ = ("header", "chunk")
    class Header(_message.Message):
        __slots__ = ("tenant", "name", "version", "artifact", "size", "release_if_first")
        TENANT_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        ARTIFACT_FIELD_NUMBER: _ClassVar[int]
        SIZE_FIELD_NUMBER: _ClassVar[int]
        RELEASE_IF_FIRST_FIELD_NUMBER: _ClassVar[int]
        tenant: str
        name: str
        version: int
        artifact: bytes
        size: int
        release_if_first: bool
        def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[int] = ..., artifact: _Optional[bytes] = ..., size: _Optional[int] = ..., release_if_first: bool = ...) -> None: ...
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: PublishRequest.Header
    chunk: bytes
    def __init__(self, header: _Optional[_Union[PublishRequest.Header, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class PublishManyRequest(_message.Message):
    __slots__ = ("options", "offers", "chunks")
    class Options(_message.Message):
        __slots__ = ("release", "reason", "author")
        RELEASE_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        AUTHOR_FIELD_NUMBER: _ClassVar[int]
        release: bool
        reason: str
        author: str
        def __init__(self, release: bool = ..., reason: _Optional[str] = ..., author: _Optional[str] = ...) -> None: ...
    class Offer(_message.Message):
        __slots__ = ("id", "tenant", "name", "version", "artifact", "size")
        ID_FIELD_NUMBER: _ClassVar[int]
        TENANT_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        ARTIFACT_FIELD_NUMBER: _ClassVar[int]
        SIZE_FIELD_NUMBER: _ClassVar[int]
        id: int
        tenant: str
        name: str
        version: int
        artifact: bytes
        size: int
        def __init__(self, id: _Optional[int] = ..., tenant: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[int] = ..., artifact: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...
    class Chunk(_message.Message):
        __slots__ = ("id", "data")
        ID_FIELD_NUMBER: _ClassVar[int]
        DATA_FIELD_NUMBER: _ClassVar[int]
        id: int
        data: bytes
        def __init__(self, id: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    OFFERS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    options: PublishManyRequest.Options
    offers: _containers.RepeatedCompositeFieldContainer[PublishManyRequest.Offer]
    chunks: _containers.RepeatedCompositeFieldContainer[PublishManyRequest.Chunk]
    def __init__(self, options: _Optional[_Union[PublishManyRequest.Options, _Mapping]] = ..., offers: _Optional[_Iterable[_Union[PublishManyRequest.Offer, _Mapping]]] = ..., chunks: _Optional[_Iterable[_Union[PublishManyRequest.Chunk, _Mapping]]] = ...) -> None: ...

class PublishManyResponse(_message.Message):
    __slots__ = ("wanted", "outcomes", "revision", "most_offers", "most_bytes")
    class Outcome(_message.Message):
        __slots__ = ("id", "version", "known", "release", "failure")
        ID_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        KNOWN_FIELD_NUMBER: _ClassVar[int]
        RELEASE_FIELD_NUMBER: _ClassVar[int]
        FAILURE_FIELD_NUMBER: _ClassVar[int]
        id: int
        version: Version
        known: bool
        release: int
        failure: PublishManyResponse.Failure
        def __init__(self, id: _Optional[int] = ..., version: _Optional[_Union[Version, _Mapping]] = ..., known: bool = ..., release: _Optional[int] = ..., failure: _Optional[_Union[PublishManyResponse.Failure, _Mapping]] = ...) -> None: ...
    class Failure(_message.Message):
        __slots__ = ("status", "reason", "message")
        STATUS_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        status: int
        reason: str
        message: str
        def __init__(self, status: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
    WANTED_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    MOST_OFFERS_FIELD_NUMBER: _ClassVar[int]
    MOST_BYTES_FIELD_NUMBER: _ClassVar[int]
    wanted: _containers.RepeatedScalarFieldContainer[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[PublishManyResponse.Outcome]
    revision: str
    most_offers: int
    most_bytes: int
    def __init__(self, wanted: _Optional[_Iterable[int]] = ..., outcomes: _Optional[_Iterable[_Union[PublishManyResponse.Outcome, _Mapping]]] = ..., revision: _Optional[str] = ..., most_offers: _Optional[int] = ..., most_bytes: _Optional[int] = ...) -> None: ...

class Version(_message.Message):
    __slots__ = ("number", "artifact", "size", "engine", "created", "revision", "checked")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CHECKED_FIELD_NUMBER: _ClassVar[int]
    number: int
    artifact: bytes
    size: int
    engine: str
    created: float
    revision: str
    checked: Comparison
    def __init__(self, number: _Optional[int] = ..., artifact: _Optional[bytes] = ..., size: _Optional[int] = ..., engine: _Optional[str] = ..., created: _Optional[float] = ..., revision: _Optional[str] = ..., checked: _Optional[_Union[Comparison, _Mapping]] = ...) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("library", "version", "sample", "made", "difference")
    LIBRARY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    MADE_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    library: str
    version: str
    sample: int
    made: int
    difference: float
    def __init__(self, library: _Optional[str] = ..., version: _Optional[str] = ..., sample: _Optional[int] = ..., made: _Optional[int] = ..., difference: _Optional[float] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("number", "splits", "labels", "revision", "salt", "ranges", "author", "reason", "at", "restores")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SPLITS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    RESTORES_FIELD_NUMBER: _ClassVar[int]
    number: int
    splits: _containers.RepeatedCompositeFieldContainer[Split]
    labels: _containers.ScalarMap[str, int]
    revision: str
    salt: str
    ranges: _containers.RepeatedCompositeFieldContainer[Range]
    author: str
    reason: str
    at: float
    restores: int
    def __init__(self, number: _Optional[int] = ..., splits: _Optional[_Iterable[_Union[Split, _Mapping]]] = ..., labels: _Optional[_Mapping[str, int]] = ..., revision: _Optional[str] = ..., salt: _Optional[str] = ..., ranges: _Optional[_Iterable[_Union[Range, _Mapping]]] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ..., at: _Optional[float] = ..., restores: _Optional[int] = ...) -> None: ...

class Range(_message.Message):
    __slots__ = ("end", "version")
    END_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    end: int
    version: int
    def __init__(self, end: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...

class GetReleaseHistoryRequest(_message.Message):
    __slots__ = ("tenant", "name")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class ReleaseHistory(_message.Message):
    __slots__ = ("releases",)
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    releases: _containers.RepeatedCompositeFieldContainer[Release]
    def __init__(self, releases: _Optional[_Iterable[_Union[Release, _Mapping]]] = ...) -> None: ...

class Split(_message.Message):
    __slots__ = ("version", "basis_points")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BASIS_POINTS_FIELD_NUMBER: _ClassVar[int]
    version: int
    basis_points: int
    def __init__(self, version: _Optional[int] = ..., basis_points: _Optional[int] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("tenant", "name", "versions", "release")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    versions: _containers.RepeatedCompositeFieldContainer[Version]
    release: Release
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., versions: _Optional[_Iterable[_Union[Version, _Mapping]]] = ..., release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("tenant", "name")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class GetUsageRequest(_message.Message):
    __slots__ = ("tenant", "name", "version")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    version: int
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("cells",)
    CELLS_FIELD_NUMBER: _ClassVar[int]
    cells: _containers.RepeatedCompositeFieldContainer[CellUsage]
    def __init__(self, cells: _Optional[_Iterable[_Union[CellUsage, _Mapping]]] = ...) -> None: ...

class CellUsage(_message.Message):
    __slots__ = ("cell", "failure", "versions")
    CELL_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    cell: str
    failure: str
    versions: _containers.RepeatedCompositeFieldContainer[VersionUsage]
    def __init__(self, cell: _Optional[str] = ..., failure: _Optional[str] = ..., versions: _Optional[_Iterable[_Union[VersionUsage, _Mapping]]] = ...) -> None: ...

class VersionUsage(_message.Message):
    __slots__ = ("version", "requests", "idle_seconds")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    IDLE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    version: int
    requests: int
    idle_seconds: float
    def __init__(self, version: _Optional[int] = ..., requests: _Optional[int] = ..., idle_seconds: _Optional[float] = ...) -> None: ...

class DeleteVersionRequest(_message.Message):
    __slots__ = ("tenant", "name", "version")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    version: int
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class DeleteVersionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DeleteModelRequest(_message.Message):
    __slots__ = ("tenant", "name")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class DeleteModelResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetReleaseRequest(_message.Message):
    __slots__ = ("tenant", "name", "splits", "labels", "expected_number", "skip_warming", "salt", "reason", "author")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPLITS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SKIP_WARMING_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    splits: _containers.RepeatedCompositeFieldContainer[Split]
    labels: _containers.ScalarMap[str, int]
    expected_number: int
    skip_warming: bool
    salt: str
    reason: str
    author: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., splits: _Optional[_Iterable[_Union[Split, _Mapping]]] = ..., labels: _Optional[_Mapping[str, int]] = ..., expected_number: _Optional[int] = ..., skip_warming: bool = ..., salt: _Optional[str] = ..., reason: _Optional[str] = ..., author: _Optional[str] = ...) -> None: ...

class RollbackReleaseRequest(_message.Message):
    __slots__ = ("tenant", "name", "number", "expected_number", "skip_warming", "reason", "author")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SKIP_WARMING_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    number: int
    expected_number: int
    skip_warming: bool
    reason: str
    author: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., number: _Optional[int] = ..., expected_number: _Optional[int] = ..., skip_warming: bool = ..., reason: _Optional[str] = ..., author: _Optional[str] = ...) -> None: ...

class ResolveRequest(_message.Message):
    __slots__ = ("tenant", "name", "version", "label", "routing_key")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ROUTING_KEY_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    version: int
    label: str
    routing_key: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[int] = ..., label: _Optional[str] = ..., routing_key: _Optional[str] = ...) -> None: ...

class ResolveResponse(_message.Message):
    __slots__ = ("version", "release", "revision", "point")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    POINT_FIELD_NUMBER: _ClassVar[int]
    version: Version
    release: Release
    revision: int
    point: int
    def __init__(self, version: _Optional[_Union[Version, _Mapping]] = ..., release: _Optional[_Union[Release, _Mapping]] = ..., revision: _Optional[int] = ..., point: _Optional[int] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("revision", "catalog", "protocol")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    revision: int
    catalog: str
    protocol: int
    def __init__(self, revision: _Optional[int] = ..., catalog: _Optional[str] = ..., protocol: _Optional[int] = ...) -> None: ...

class WatchEvent(_message.Message):
    __slots__ = ("begin", "chunk", "end", "delta", "heartbeat")
    class Begin(_message.Message):
        __slots__ = ("catalog", "revision", "thaw")
        CATALOG_FIELD_NUMBER: _ClassVar[int]
        REVISION_FIELD_NUMBER: _ClassVar[int]
        THAW_FIELD_NUMBER: _ClassVar[int]
        catalog: str
        revision: int
        thaw: int
        def __init__(self, catalog: _Optional[str] = ..., revision: _Optional[int] = ..., thaw: _Optional[int] = ...) -> None: ...
    class Chunk(_message.Message):
        __slots__ = ("models", "cells", "generations", "ramp", "limits", "default_limits", "families", "knows_families")
        MODELS_FIELD_NUMBER: _ClassVar[int]
        CELLS_FIELD_NUMBER: _ClassVar[int]
        GENERATIONS_FIELD_NUMBER: _ClassVar[int]
        RAMP_FIELD_NUMBER: _ClassVar[int]
        LIMITS_FIELD_NUMBER: _ClassVar[int]
        DEFAULT_LIMITS_FIELD_NUMBER: _ClassVar[int]
        FAMILIES_FIELD_NUMBER: _ClassVar[int]
        KNOWS_FAMILIES_FIELD_NUMBER: _ClassVar[int]
        models: _containers.RepeatedCompositeFieldContainer[Model]
        cells: _containers.RepeatedCompositeFieldContainer[Cell]
        generations: _containers.RepeatedCompositeFieldContainer[Generation]
        ramp: int
        limits: _containers.RepeatedCompositeFieldContainer[TenantLimits]
        default_limits: Limits
        families: _containers.RepeatedCompositeFieldContainer[Family]
        knows_families: bool
        def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., cells: _Optional[_Iterable[_Union[Cell, _Mapping]]] = ..., generations: _Optional[_Iterable[_Union[Generation, _Mapping]]] = ..., ramp: _Optional[int] = ..., limits: _Optional[_Iterable[_Union[TenantLimits, _Mapping]]] = ..., default_limits: _Optional[_Union[Limits, _Mapping]] = ..., families: _Optional[_Iterable[_Union[Family, _Mapping]]] = ..., knows_families: bool = ...) -> None: ...
    class End(_message.Message):
        __slots__ = ("models",)
        MODELS_FIELD_NUMBER: _ClassVar[int]
        models: int
        def __init__(self, models: _Optional[int] = ...) -> None: ...
    class Delta(_message.Message):
        __slots__ = ("revision", "models", "removed_models", "cells", "removed_cells", "generations", "ramp", "limits", "default_limits", "families")
        REVISION_FIELD_NUMBER: _ClassVar[int]
        MODELS_FIELD_NUMBER: _ClassVar[int]
        REMOVED_MODELS_FIELD_NUMBER: _ClassVar[int]
        CELLS_FIELD_NUMBER: _ClassVar[int]
        REMOVED_CELLS_FIELD_NUMBER: _ClassVar[int]
        GENERATIONS_FIELD_NUMBER: _ClassVar[int]
        RAMP_FIELD_NUMBER: _ClassVar[int]
        LIMITS_FIELD_NUMBER: _ClassVar[int]
        DEFAULT_LIMITS_FIELD_NUMBER: _ClassVar[int]
        FAMILIES_FIELD_NUMBER: _ClassVar[int]
        revision: int
        models: _containers.RepeatedCompositeFieldContainer[Model]
        removed_models: _containers.RepeatedCompositeFieldContainer[ModelKey]
        cells: _containers.RepeatedCompositeFieldContainer[Cell]
        removed_cells: _containers.RepeatedScalarFieldContainer[str]
        generations: _containers.RepeatedCompositeFieldContainer[Generation]
        ramp: int
        limits: _containers.RepeatedCompositeFieldContainer[TenantLimits]
        default_limits: Limits
        families: _containers.RepeatedCompositeFieldContainer[Family]
        def __init__(self, revision: _Optional[int] = ..., models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., removed_models: _Optional[_Iterable[_Union[ModelKey, _Mapping]]] = ..., cells: _Optional[_Iterable[_Union[Cell, _Mapping]]] = ..., removed_cells: _Optional[_Iterable[str]] = ..., generations: _Optional[_Iterable[_Union[Generation, _Mapping]]] = ..., ramp: _Optional[int] = ..., limits: _Optional[_Iterable[_Union[TenantLimits, _Mapping]]] = ..., default_limits: _Optional[_Union[Limits, _Mapping]] = ..., families: _Optional[_Iterable[_Union[Family, _Mapping]]] = ...) -> None: ...
    class Heartbeat(_message.Message):
        __slots__ = ("revision",)
        REVISION_FIELD_NUMBER: _ClassVar[int]
        revision: int
        def __init__(self, revision: _Optional[int] = ...) -> None: ...
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    begin: WatchEvent.Begin
    chunk: WatchEvent.Chunk
    end: WatchEvent.End
    delta: WatchEvent.Delta
    heartbeat: WatchEvent.Heartbeat
    def __init__(self, begin: _Optional[_Union[WatchEvent.Begin, _Mapping]] = ..., chunk: _Optional[_Union[WatchEvent.Chunk, _Mapping]] = ..., end: _Optional[_Union[WatchEvent.End, _Mapping]] = ..., delta: _Optional[_Union[WatchEvent.Delta, _Mapping]] = ..., heartbeat: _Optional[_Union[WatchEvent.Heartbeat, _Mapping]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("rate", "in_flight", "cold_loads", "rows", "bytes")
    RATE_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    COLD_LOADS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    rate: float
    in_flight: float
    cold_loads: float
    rows: float
    bytes: float
    def __init__(self, rate: _Optional[float] = ..., in_flight: _Optional[float] = ..., cold_loads: _Optional[float] = ..., rows: _Optional[float] = ..., bytes: _Optional[float] = ...) -> None: ...

class TenantLimits(_message.Message):
    __slots__ = ("tenant", "limits")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    limits: Limits
    def __init__(self, tenant: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ...) -> None: ...

class ModelKey(_message.Message):
    __slots__ = ("tenant", "name")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class Family(_message.Message):
    __slots__ = ("tenant", "name", "number", "removed", "description", "owner", "tags", "features", "store_failure", "log", "author", "reason", "at")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    STORE_FAILURE_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    number: int
    removed: bool
    description: str
    owner: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    features: _containers.RepeatedCompositeFieldContainer[FeatureSpec]
    store_failure: str
    log: LogRule
    author: str
    reason: str
    at: float
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., number: _Optional[int] = ..., removed: bool = ..., description: _Optional[str] = ..., owner: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., features: _Optional[_Iterable[_Union[FeatureSpec, _Mapping]]] = ..., store_failure: _Optional[str] = ..., log: _Optional[_Union[LogRule, _Mapping]] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ..., at: _Optional[float] = ...) -> None: ...

class FeatureSpec(_message.Message):
    __slots__ = ("name", "dtype", "source", "group", "entity", "number_default", "text_default", "max_age", "low", "high")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    NUMBER_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    TEXT_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: str
    source: str
    group: str
    entity: str
    number_default: float
    text_default: str
    max_age: float
    low: float
    high: float
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[str] = ..., source: _Optional[str] = ..., group: _Optional[str] = ..., entity: _Optional[str] = ..., number_default: _Optional[float] = ..., text_default: _Optional[str] = ..., max_age: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class LogRule(_message.Message):
    __slots__ = ("share", "sensitive")
    class SensitiveEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SHARE_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_FIELD_NUMBER: _ClassVar[int]
    share: float
    sensitive: _containers.ScalarMap[str, str]
    def __init__(self, share: _Optional[float] = ..., sensitive: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Generation(_message.Message):
    __slots__ = ("number", "seed", "hand_size", "seats", "overrides", "previous", "seed_since", "warnings", "hand_percent", "hand_min", "author", "reason", "at", "ramp")
    class OverridesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Override
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Override, _Mapping]] = ...) -> None: ...
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    HAND_SIZE_FIELD_NUMBER: _ClassVar[int]
    SEATS_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    SEED_SINCE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    HAND_PERCENT_FIELD_NUMBER: _ClassVar[int]
    HAND_MIN_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    RAMP_FIELD_NUMBER: _ClassVar[int]
    number: int
    seed: int
    hand_size: int
    seats: _containers.RepeatedCompositeFieldContainer[Seat]
    overrides: _containers.MessageMap[str, Override]
    previous: int
    seed_since: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    hand_percent: int
    hand_min: int
    author: str
    reason: str
    at: float
    ramp: Ramp
    def __init__(self, number: _Optional[int] = ..., seed: _Optional[int] = ..., hand_size: _Optional[int] = ..., seats: _Optional[_Iterable[_Union[Seat, _Mapping]]] = ..., overrides: _Optional[_Mapping[str, Override]] = ..., previous: _Optional[int] = ..., seed_since: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ..., hand_percent: _Optional[int] = ..., hand_min: _Optional[int] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ..., at: _Optional[float] = ..., ramp: _Optional[_Union[Ramp, _Mapping]] = ...) -> None: ...

class Ramp(_message.Message):
    __slots__ = ("active", "previous", "basis_points", "seconds", "paused", "author", "reason", "at", "warmed", "to_warm")
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    BASIS_POINTS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    WARMED_FIELD_NUMBER: _ClassVar[int]
    TO_WARM_FIELD_NUMBER: _ClassVar[int]
    active: int
    previous: int
    basis_points: int
    seconds: float
    paused: str
    author: str
    reason: str
    at: float
    warmed: int
    to_warm: int
    def __init__(self, active: _Optional[int] = ..., previous: _Optional[int] = ..., basis_points: _Optional[int] = ..., seconds: _Optional[float] = ..., paused: _Optional[str] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ..., at: _Optional[float] = ..., warmed: _Optional[int] = ..., to_warm: _Optional[int] = ...) -> None: ...

class Seat(_message.Message):
    __slots__ = ("cell", "zone", "weight", "draining", "dedicated")
    CELL_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    DEDICATED_FIELD_NUMBER: _ClassVar[int]
    cell: str
    zone: str
    weight: float
    draining: bool
    dedicated: str
    def __init__(self, cell: _Optional[str] = ..., zone: _Optional[str] = ..., weight: _Optional[float] = ..., draining: bool = ..., dedicated: _Optional[str] = ...) -> None: ...

class Override(_message.Message):
    __slots__ = ("pins", "excludes", "hand_size", "isolation_group", "hand_percent", "hand_min")
    PINS_FIELD_NUMBER: _ClassVar[int]
    EXCLUDES_FIELD_NUMBER: _ClassVar[int]
    HAND_SIZE_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_GROUP_FIELD_NUMBER: _ClassVar[int]
    HAND_PERCENT_FIELD_NUMBER: _ClassVar[int]
    HAND_MIN_FIELD_NUMBER: _ClassVar[int]
    pins: _containers.RepeatedScalarFieldContainer[str]
    excludes: _containers.RepeatedScalarFieldContainer[str]
    hand_size: int
    isolation_group: str
    hand_percent: int
    hand_min: int
    def __init__(self, pins: _Optional[_Iterable[str]] = ..., excludes: _Optional[_Iterable[str]] = ..., hand_size: _Optional[int] = ..., isolation_group: _Optional[str] = ..., hand_percent: _Optional[int] = ..., hand_min: _Optional[int] = ...) -> None: ...

class SetGenerationRequest(_message.Message):
    __slots__ = ("generation", "expected_number", "reason", "author", "ramp_seconds", "force", "rollback_to", "warm", "cold")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    RAMP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_TO_FIELD_NUMBER: _ClassVar[int]
    WARM_FIELD_NUMBER: _ClassVar[int]
    COLD_FIELD_NUMBER: _ClassVar[int]
    generation: Generation
    expected_number: int
    reason: str
    author: str
    ramp_seconds: float
    force: str
    rollback_to: int
    warm: bool
    cold: bool
    def __init__(self, generation: _Optional[_Union[Generation, _Mapping]] = ..., expected_number: _Optional[int] = ..., reason: _Optional[str] = ..., author: _Optional[str] = ..., ramp_seconds: _Optional[float] = ..., force: _Optional[str] = ..., rollback_to: _Optional[int] = ..., warm: bool = ..., cold: bool = ...) -> None: ...

class PlanGenerationRequest(_message.Message):
    __slots__ = ("generation", "expected_number", "named_cells", "rollback_to")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_NUMBER_FIELD_NUMBER: _ClassVar[int]
    NAMED_CELLS_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_TO_FIELD_NUMBER: _ClassVar[int]
    generation: Generation
    expected_number: int
    named_cells: _containers.RepeatedScalarFieldContainer[str]
    rollback_to: int
    def __init__(self, generation: _Optional[_Union[Generation, _Mapping]] = ..., expected_number: _Optional[int] = ..., named_cells: _Optional[_Iterable[str]] = ..., rollback_to: _Optional[int] = ...) -> None: ...

class Plan(_message.Message):
    __slots__ = ("active", "tenants", "tenants_moved", "slots", "slots_moved", "cold_loads", "cold_bytes", "warming_seconds", "balance_before", "balance_after", "by_rates", "overlap_before", "overlap_after", "cells", "moves", "shortfalls", "shortfalls_total", "stranded", "stranded_total", "conflicts", "conflicts_total", "refusals", "changes", "changes_total")
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    TENANTS_MOVED_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_MOVED_FIELD_NUMBER: _ClassVar[int]
    COLD_LOADS_FIELD_NUMBER: _ClassVar[int]
    COLD_BYTES_FIELD_NUMBER: _ClassVar[int]
    WARMING_SECONDS_FIELD_NUMBER: _ClassVar[int]
    BALANCE_BEFORE_FIELD_NUMBER: _ClassVar[int]
    BALANCE_AFTER_FIELD_NUMBER: _ClassVar[int]
    BY_RATES_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_BEFORE_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_AFTER_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    SHORTFALLS_FIELD_NUMBER: _ClassVar[int]
    SHORTFALLS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    STRANDED_FIELD_NUMBER: _ClassVar[int]
    STRANDED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    CHANGES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    active: int
    tenants: int
    tenants_moved: int
    slots: int
    slots_moved: int
    cold_loads: float
    cold_bytes: float
    warming_seconds: float
    balance_before: float
    balance_after: float
    by_rates: bool
    overlap_before: _containers.RepeatedScalarFieldContainer[int]
    overlap_after: _containers.RepeatedScalarFieldContainer[int]
    cells: _containers.RepeatedCompositeFieldContainer[PlannedCell]
    moves: _containers.RepeatedCompositeFieldContainer[PlannedMove]
    shortfalls: _containers.RepeatedCompositeFieldContainer[PlannedShortfall]
    shortfalls_total: int
    stranded: _containers.RepeatedScalarFieldContainer[str]
    stranded_total: int
    conflicts: _containers.RepeatedScalarFieldContainer[str]
    conflicts_total: int
    refusals: _containers.RepeatedScalarFieldContainer[str]
    changes: _containers.RepeatedScalarFieldContainer[str]
    changes_total: int
    def __init__(self, active: _Optional[int] = ..., tenants: _Optional[int] = ..., tenants_moved: _Optional[int] = ..., slots: _Optional[int] = ..., slots_moved: _Optional[int] = ..., cold_loads: _Optional[float] = ..., cold_bytes: _Optional[float] = ..., warming_seconds: _Optional[float] = ..., balance_before: _Optional[float] = ..., balance_after: _Optional[float] = ..., by_rates: bool = ..., overlap_before: _Optional[_Iterable[int]] = ..., overlap_after: _Optional[_Iterable[int]] = ..., cells: _Optional[_Iterable[_Union[PlannedCell, _Mapping]]] = ..., moves: _Optional[_Iterable[_Union[PlannedMove, _Mapping]]] = ..., shortfalls: _Optional[_Iterable[_Union[PlannedShortfall, _Mapping]]] = ..., shortfalls_total: _Optional[int] = ..., stranded: _Optional[_Iterable[str]] = ..., stranded_total: _Optional[int] = ..., conflicts: _Optional[_Iterable[str]] = ..., conflicts_total: _Optional[int] = ..., refusals: _Optional[_Iterable[str]] = ..., changes: _Optional[_Iterable[str]] = ..., changes_total: _Optional[int] = ...) -> None: ...

class PlannedCell(_message.Message):
    __slots__ = ("cell", "slots_before", "slots_after", "gained", "lost", "load_before", "load_after", "cold_loads", "cold_bytes")
    CELL_FIELD_NUMBER: _ClassVar[int]
    SLOTS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    SLOTS_AFTER_FIELD_NUMBER: _ClassVar[int]
    GAINED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    LOAD_BEFORE_FIELD_NUMBER: _ClassVar[int]
    LOAD_AFTER_FIELD_NUMBER: _ClassVar[int]
    COLD_LOADS_FIELD_NUMBER: _ClassVar[int]
    COLD_BYTES_FIELD_NUMBER: _ClassVar[int]
    cell: str
    slots_before: int
    slots_after: int
    gained: int
    lost: int
    load_before: float
    load_after: float
    cold_loads: float
    cold_bytes: float
    def __init__(self, cell: _Optional[str] = ..., slots_before: _Optional[int] = ..., slots_after: _Optional[int] = ..., gained: _Optional[int] = ..., lost: _Optional[int] = ..., load_before: _Optional[float] = ..., load_after: _Optional[float] = ..., cold_loads: _Optional[float] = ..., cold_bytes: _Optional[float] = ...) -> None: ...

class PlannedMove(_message.Message):
    __slots__ = ("tenant", "lost", "gained")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    GAINED_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    lost: _containers.RepeatedScalarFieldContainer[str]
    gained: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tenant: _Optional[str] = ..., lost: _Optional[_Iterable[str]] = ..., gained: _Optional[_Iterable[str]] = ...) -> None: ...

class PlannedShortfall(_message.Message):
    __slots__ = ("tenant", "zones", "possible")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ZONES_FIELD_NUMBER: _ClassVar[int]
    POSSIBLE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    zones: int
    possible: int
    def __init__(self, tenant: _Optional[str] = ..., zones: _Optional[int] = ..., possible: _Optional[int] = ...) -> None: ...

class GetShardHistoryRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShardHistory(_message.Message):
    __slots__ = ("generations",)
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    generations: _containers.RepeatedCompositeFieldContainer[PastGeneration]
    def __init__(self, generations: _Optional[_Iterable[_Union[PastGeneration, _Mapping]]] = ...) -> None: ...

class PastGeneration(_message.Message):
    __slots__ = ("number", "at", "author", "reason", "seats", "overrides", "changes", "changes_total")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SEATS_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    CHANGES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    number: int
    at: float
    author: str
    reason: str
    seats: int
    overrides: int
    changes: _containers.RepeatedScalarFieldContainer[str]
    changes_total: int
    def __init__(self, number: _Optional[int] = ..., at: _Optional[float] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ..., seats: _Optional[int] = ..., overrides: _Optional[int] = ..., changes: _Optional[_Iterable[str]] = ..., changes_total: _Optional[int] = ...) -> None: ...

class SetRampRequest(_message.Message):
    __slots__ = ("expected_number", "action", "reason", "author")
    class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        RESUME: _ClassVar[SetRampRequest.Action]
        PAUSE: _ClassVar[SetRampRequest.Action]
        FINISH: _ClassVar[SetRampRequest.Action]
    RESUME: SetRampRequest.Action
    PAUSE: SetRampRequest.Action
    FINISH: SetRampRequest.Action
    EXPECTED_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    expected_number: int
    action: SetRampRequest.Action
    reason: str
    author: str
    def __init__(self, expected_number: _Optional[int] = ..., action: _Optional[_Union[SetRampRequest.Action, str]] = ..., reason: _Optional[str] = ..., author: _Optional[str] = ...) -> None: ...

class OptimizeShardsRequest(_message.Message):
    __slots__ = ("most",)
    MOST_FIELD_NUMBER: _ClassVar[int]
    most: int
    def __init__(self, most: _Optional[int] = ...) -> None: ...

class OptimizeShardsResponse(_message.Message):
    __slots__ = ("active", "overrides", "balance_before", "balance_after")
    class OverridesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Override
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Override, _Mapping]] = ...) -> None: ...
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    BALANCE_BEFORE_FIELD_NUMBER: _ClassVar[int]
    BALANCE_AFTER_FIELD_NUMBER: _ClassVar[int]
    active: int
    overrides: _containers.MessageMap[str, Override]
    balance_before: float
    balance_after: float
    def __init__(self, active: _Optional[int] = ..., overrides: _Optional[_Mapping[str, Override]] = ..., balance_before: _Optional[float] = ..., balance_after: _Optional[float] = ...) -> None: ...

class GetBlastRequest(_message.Message):
    __slots__ = ("cells", "zone", "tenant", "poison")
    CELLS_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    POISON_FIELD_NUMBER: _ClassVar[int]
    cells: _containers.RepeatedScalarFieldContainer[str]
    zone: str
    tenant: str
    poison: int
    def __init__(self, cells: _Optional[_Iterable[str]] = ..., zone: _Optional[str] = ..., tenant: _Optional[str] = ..., poison: _Optional[int] = ...) -> None: ...

class Blast(_message.Message):
    __slots__ = ("generation", "tenants", "cells", "whole", "partial", "expected_whole", "expected_partial", "whole_tenants", "partial_tenants", "overlap", "expected_overlap", "worst_whole", "worst_partial", "loads", "by_rates")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    WHOLE_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_WHOLE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_PARTIAL_FIELD_NUMBER: _ClassVar[int]
    WHOLE_TENANTS_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_TENANTS_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    WORST_WHOLE_FIELD_NUMBER: _ClassVar[int]
    WORST_PARTIAL_FIELD_NUMBER: _ClassVar[int]
    LOADS_FIELD_NUMBER: _ClassVar[int]
    BY_RATES_FIELD_NUMBER: _ClassVar[int]
    generation: int
    tenants: int
    cells: _containers.RepeatedScalarFieldContainer[str]
    whole: float
    partial: float
    expected_whole: float
    expected_partial: float
    whole_tenants: _containers.RepeatedScalarFieldContainer[str]
    partial_tenants: _containers.RepeatedCompositeFieldContainer[PartialLoss]
    overlap: _containers.RepeatedScalarFieldContainer[int]
    expected_overlap: _containers.RepeatedScalarFieldContainer[float]
    worst_whole: int
    worst_partial: int
    loads: _containers.RepeatedCompositeFieldContainer[CellLoad]
    by_rates: bool
    def __init__(self, generation: _Optional[int] = ..., tenants: _Optional[int] = ..., cells: _Optional[_Iterable[str]] = ..., whole: _Optional[float] = ..., partial: _Optional[float] = ..., expected_whole: _Optional[float] = ..., expected_partial: _Optional[float] = ..., whole_tenants: _Optional[_Iterable[str]] = ..., partial_tenants: _Optional[_Iterable[_Union[PartialLoss, _Mapping]]] = ..., overlap: _Optional[_Iterable[int]] = ..., expected_overlap: _Optional[_Iterable[float]] = ..., worst_whole: _Optional[int] = ..., worst_partial: _Optional[int] = ..., loads: _Optional[_Iterable[_Union[CellLoad, _Mapping]]] = ..., by_rates: bool = ...) -> None: ...

class PartialLoss(_message.Message):
    __slots__ = ("tenant", "left")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    left: float
    def __init__(self, tenant: _Optional[str] = ..., left: _Optional[float] = ...) -> None: ...

class CellLoad(_message.Message):
    __slots__ = ("cell", "slots", "load")
    CELL_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    cell: str
    slots: int
    load: float
    def __init__(self, cell: _Optional[str] = ..., slots: _Optional[int] = ..., load: _Optional[float] = ...) -> None: ...

class ListCellTenantsRequest(_message.Message):
    __slots__ = ("cell", "top")
    CELL_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    cell: str
    top: int
    def __init__(self, cell: _Optional[str] = ..., top: _Optional[int] = ...) -> None: ...

class ListCellTenantsResponse(_message.Message):
    __slots__ = ("tenants", "tenants_total", "generation")
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    TENANTS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    tenants: _containers.RepeatedCompositeFieldContainer[CellTenant]
    tenants_total: int
    generation: int
    def __init__(self, tenants: _Optional[_Iterable[_Union[CellTenant, _Mapping]]] = ..., tenants_total: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class CellTenant(_message.Message):
    __slots__ = ("tenant", "place", "size", "models", "rate")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    place: int
    size: int
    models: int
    rate: float
    def __init__(self, tenant: _Optional[str] = ..., place: _Optional[int] = ..., size: _Optional[int] = ..., models: _Optional[int] = ..., rate: _Optional[float] = ...) -> None: ...

class GetGenerationRequest(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class Cell(_message.Message):
    __slots__ = ("id", "zone", "address", "weight", "state", "load", "protocol", "warming", "leaving")
    ID_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    WARMING_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    id: str
    zone: str
    address: str
    weight: float
    state: str
    load: Load
    protocol: int
    warming: bool
    leaving: bool
    def __init__(self, id: _Optional[str] = ..., zone: _Optional[str] = ..., address: _Optional[str] = ..., weight: _Optional[float] = ..., state: _Optional[str] = ..., load: _Optional[_Union[Load, _Mapping]] = ..., protocol: _Optional[int] = ..., warming: bool = ..., leaving: bool = ...) -> None: ...

class Load(_message.Message):
    __slots__ = ("capacity_bytes", "used_bytes", "resident", "loading", "oldest_seconds", "requests", "hits", "quarantined", "quarantined_total", "work")
    CAPACITY_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_FIELD_NUMBER: _ClassVar[int]
    LOADING_FIELD_NUMBER: _ClassVar[int]
    OLDEST_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    capacity_bytes: int
    used_bytes: int
    resident: int
    loading: int
    oldest_seconds: float
    requests: int
    hits: int
    quarantined: _containers.RepeatedCompositeFieldContainer[Quarantined]
    quarantined_total: int
    work: Work
    def __init__(self, capacity_bytes: _Optional[int] = ..., used_bytes: _Optional[int] = ..., resident: _Optional[int] = ..., loading: _Optional[int] = ..., oldest_seconds: _Optional[float] = ..., requests: _Optional[int] = ..., hits: _Optional[int] = ..., quarantined: _Optional[_Iterable[_Union[Quarantined, _Mapping]]] = ..., quarantined_total: _Optional[int] = ..., work: _Optional[_Union[Work, _Mapping]] = ...) -> None: ...

class Work(_message.Message):
    __slots__ = ("seconds", "requests", "misses", "evictions", "loaded", "failed", "turned_away", "load_seconds", "slowest_load_seconds", "loading", "oldest_load_seconds", "waiting_rows", "store", "run", "first_load_bucket", "load_buckets")
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    EVICTIONS_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    TURNED_AWAY_FIELD_NUMBER: _ClassVar[int]
    LOAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SLOWEST_LOAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LOADING_FIELD_NUMBER: _ClassVar[int]
    OLDEST_LOAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WAITING_ROWS_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    FIRST_LOAD_BUCKET_FIELD_NUMBER: _ClassVar[int]
    LOAD_BUCKETS_FIELD_NUMBER: _ClassVar[int]
    seconds: float
    requests: int
    misses: int
    evictions: int
    loaded: int
    failed: int
    turned_away: int
    load_seconds: float
    slowest_load_seconds: float
    loading: int
    oldest_load_seconds: float
    waiting_rows: int
    store: StoreReads
    run: LongRun
    first_load_bucket: int
    load_buckets: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, seconds: _Optional[float] = ..., requests: _Optional[int] = ..., misses: _Optional[int] = ..., evictions: _Optional[int] = ..., loaded: _Optional[int] = ..., failed: _Optional[int] = ..., turned_away: _Optional[int] = ..., load_seconds: _Optional[float] = ..., slowest_load_seconds: _Optional[float] = ..., loading: _Optional[int] = ..., oldest_load_seconds: _Optional[float] = ..., waiting_rows: _Optional[int] = ..., store: _Optional[_Union[StoreReads, _Mapping]] = ..., run: _Optional[_Union[LongRun, _Mapping]] = ..., first_load_bucket: _Optional[int] = ..., load_buckets: _Optional[_Iterable[int]] = ...) -> None: ...

class StoreReads(_message.Message):
    __slots__ = ("done", "failed", "failure", "mean_seconds", "slowest_seconds", "under_way", "oldest_seconds")
    DONE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    MEAN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SLOWEST_SECONDS_FIELD_NUMBER: _ClassVar[int]
    UNDER_WAY_FIELD_NUMBER: _ClassVar[int]
    OLDEST_SECONDS_FIELD_NUMBER: _ClassVar[int]
    done: int
    failed: int
    failure: str
    mean_seconds: float
    slowest_seconds: float
    under_way: int
    oldest_seconds: float
    def __init__(self, done: _Optional[int] = ..., failed: _Optional[int] = ..., failure: _Optional[str] = ..., mean_seconds: _Optional[float] = ..., slowest_seconds: _Optional[float] = ..., under_way: _Optional[int] = ..., oldest_seconds: _Optional[float] = ...) -> None: ...

class LongRun(_message.Message):
    __slots__ = ("artifact", "seconds", "stopped")
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    artifact: bytes
    seconds: float
    stopped: int
    def __init__(self, artifact: _Optional[bytes] = ..., seconds: _Optional[float] = ..., stopped: _Optional[int] = ...) -> None: ...

class Quarantined(_message.Message):
    __slots__ = ("artifact", "since", "why", "phase")
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    artifact: bytes
    since: float
    why: str
    phase: str
    def __init__(self, artifact: _Optional[bytes] = ..., since: _Optional[float] = ..., why: _Optional[str] = ..., phase: _Optional[str] = ...) -> None: ...

class JoinRequest(_message.Message):
    __slots__ = ("cell", "part")
    CELL_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    cell: Cell
    part: Part
    def __init__(self, cell: _Optional[_Union[Cell, _Mapping]] = ..., part: _Optional[_Union[Part, _Mapping]] = ...) -> None: ...

class JoinResponse(_message.Message):
    __slots__ = ("lease_seconds", "lift", "generation", "previous_generation", "handover")
    LEASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LIFT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_GENERATION_FIELD_NUMBER: _ClassVar[int]
    HANDOVER_FIELD_NUMBER: _ClassVar[int]
    lease_seconds: float
    lift: _containers.RepeatedScalarFieldContainer[bytes]
    generation: int
    previous_generation: int
    handover: Handover
    def __init__(self, lease_seconds: _Optional[float] = ..., lift: _Optional[_Iterable[bytes]] = ..., generation: _Optional[int] = ..., previous_generation: _Optional[int] = ..., handover: _Optional[_Union[Handover, str]] = ...) -> None: ...

class ListCellsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCellsResponse(_message.Message):
    __slots__ = ("cells",)
    CELLS_FIELD_NUMBER: _ClassVar[int]
    cells: _containers.RepeatedCompositeFieldContainer[Cell]
    def __init__(self, cells: _Optional[_Iterable[_Union[Cell, _Mapping]]] = ...) -> None: ...

class LiftQuarantineRequest(_message.Message):
    __slots__ = ("artifact", "cell")
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    CELL_FIELD_NUMBER: _ClassVar[int]
    artifact: bytes
    cell: str
    def __init__(self, artifact: _Optional[bytes] = ..., cell: _Optional[str] = ...) -> None: ...

class LiftQuarantineResponse(_message.Message):
    __slots__ = ("cells",)
    CELLS_FIELD_NUMBER: _ClassVar[int]
    cells: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cells: _Optional[_Iterable[str]] = ...) -> None: ...

class Residency(_message.Message):
    __slots__ = ("tenant", "floor_bytes", "pinned", "revision", "warnings")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    FLOOR_BYTES_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    floor_bytes: int
    pinned: _containers.RepeatedScalarFieldContainer[str]
    revision: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tenant: _Optional[str] = ..., floor_bytes: _Optional[int] = ..., pinned: _Optional[_Iterable[str]] = ..., revision: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class GetResidencyRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class SetResidencyRequest(_message.Message):
    __slots__ = ("tenant", "floor_bytes", "pinned", "expected_revision")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    FLOOR_BYTES_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    floor_bytes: int
    pinned: _containers.RepeatedScalarFieldContainer[str]
    expected_revision: int
    def __init__(self, tenant: _Optional[str] = ..., floor_bytes: _Optional[int] = ..., pinned: _Optional[_Iterable[str]] = ..., expected_revision: _Optional[int] = ...) -> None: ...

class GetLimitsRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class SetLimitsRequest(_message.Message):
    __slots__ = ("tenant", "limits", "expected_revision", "reason", "author", "dry_run")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    limits: Limits
    expected_revision: int
    reason: str
    author: str
    dry_run: bool
    def __init__(self, tenant: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., expected_revision: _Optional[int] = ..., reason: _Optional[str] = ..., author: _Optional[str] = ..., dry_run: bool = ...) -> None: ...

class KeptLimits(_message.Message):
    __slots__ = ("tenant", "limits", "default_limits", "revision", "warnings")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_LIMITS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    limits: Limits
    default_limits: Limits
    revision: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tenant: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., default_limits: _Optional[_Union[Limits, _Mapping]] = ..., revision: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class ApplyFamilyRequest(_message.Message):
    __slots__ = ("family", "expected_number", "reason", "author", "dry_run")
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    family: Family
    expected_number: int
    reason: str
    author: str
    dry_run: bool
    def __init__(self, family: _Optional[_Union[Family, _Mapping]] = ..., expected_number: _Optional[int] = ..., reason: _Optional[str] = ..., author: _Optional[str] = ..., dry_run: bool = ...) -> None: ...

class GetFamilyRequest(_message.Message):
    __slots__ = ("tenant", "name", "number")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    number: int
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class KeptFamily(_message.Message):
    __slots__ = ("family", "findings", "sample", "warnings")
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    family: Family
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    sample: Sample
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, family: _Optional[_Union[Family, _Mapping]] = ..., findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., sample: _Optional[_Union[Sample, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("level", "feature", "message", "models", "tenants")
    class Level(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        INFORMATION: _ClassVar[Finding.Level]
        WARNING: _ClassVar[Finding.Level]
        ERROR: _ClassVar[Finding.Level]
    INFORMATION: Finding.Level
    WARNING: Finding.Level
    ERROR: Finding.Level
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    level: Finding.Level
    feature: str
    message: str
    models: int
    tenants: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, level: _Optional[_Union[Finding.Level, str]] = ..., feature: _Optional[str] = ..., message: _Optional[str] = ..., models: _Optional[int] = ..., tenants: _Optional[_Iterable[str]] = ...) -> None: ...

class Sample(_message.Message):
    __slots__ = ("models", "models_total", "artifacts", "failed")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    MODELS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    models: int
    models_total: int
    artifacts: int
    failed: int
    def __init__(self, models: _Optional[int] = ..., models_total: _Optional[int] = ..., artifacts: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class ListFamiliesRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class ListFamiliesResponse(_message.Message):
    __slots__ = ("rows", "rows_total")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ROWS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[FamilyRow]
    rows_total: int
    def __init__(self, rows: _Optional[_Iterable[_Union[FamilyRow, _Mapping]]] = ..., rows_total: _Optional[int] = ...) -> None: ...

class FamilyRow(_message.Message):
    __slots__ = ("tenant", "name", "number", "owner", "tags", "features", "stored", "log_share", "author", "at")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    LOG_SHARE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    number: int
    owner: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    features: int
    stored: int
    log_share: float
    author: str
    at: float
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., number: _Optional[int] = ..., owner: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., features: _Optional[int] = ..., stored: _Optional[int] = ..., log_share: _Optional[float] = ..., author: _Optional[str] = ..., at: _Optional[float] = ...) -> None: ...

class GetFamilyHistoryRequest(_message.Message):
    __slots__ = ("tenant", "name")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class FamilyHistory(_message.Message):
    __slots__ = ("configs",)
    CONFIGS_FIELD_NUMBER: _ClassVar[int]
    configs: _containers.RepeatedCompositeFieldContainer[Family]
    def __init__(self, configs: _Optional[_Iterable[_Union[Family, _Mapping]]] = ...) -> None: ...

class RollbackFamilyRequest(_message.Message):
    __slots__ = ("tenant", "name", "number", "expected_number", "reason", "author", "dry_run")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    number: int
    expected_number: int
    reason: str
    author: str
    dry_run: bool
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., number: _Optional[int] = ..., expected_number: _Optional[int] = ..., reason: _Optional[str] = ..., author: _Optional[str] = ..., dry_run: bool = ...) -> None: ...

class ReseedShardsRequest(_message.Message):
    __slots__ = ("expected_number", "reason")
    EXPECTED_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    expected_number: int
    reason: str
    def __init__(self, expected_number: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class RepairRequest(_message.Message):
    __slots__ = ("shards_only",)
    SHARDS_ONLY_FIELD_NUMBER: _ClassVar[int]
    shards_only: bool
    def __init__(self, shards_only: bool = ...) -> None: ...

class RepairResponse(_message.Message):
    __slots__ = ("repaired", "left")
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    repaired: _containers.RepeatedScalarFieldContainer[str]
    left: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, repaired: _Optional[_Iterable[str]] = ..., left: _Optional[_Iterable[str]] = ...) -> None: ...

class GetFreezeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Freeze(_message.Message):
    __slots__ = ("frozen", "why", "lost_models", "missing_keys", "older_keys", "models", "missing", "older", "cluster", "revision")
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    LOST_MODELS_FIELD_NUMBER: _ClassVar[int]
    MISSING_KEYS_FIELD_NUMBER: _ClassVar[int]
    OLDER_KEYS_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    OLDER_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    frozen: bool
    why: str
    lost_models: int
    missing_keys: int
    older_keys: int
    models: _containers.RepeatedCompositeFieldContainer[ModelKey]
    missing: _containers.RepeatedScalarFieldContainer[str]
    older: _containers.RepeatedScalarFieldContainer[str]
    cluster: str
    revision: int
    def __init__(self, frozen: bool = ..., why: _Optional[str] = ..., lost_models: _Optional[int] = ..., missing_keys: _Optional[int] = ..., older_keys: _Optional[int] = ..., models: _Optional[_Iterable[_Union[ModelKey, _Mapping]]] = ..., missing: _Optional[_Iterable[str]] = ..., older: _Optional[_Iterable[str]] = ..., cluster: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class ThawRequest(_message.Message):
    __slots__ = ("reason", "cluster", "revision")
    REASON_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    reason: str
    cluster: str
    revision: int
    def __init__(self, reason: _Optional[str] = ..., cluster: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("release", "protocol", "certificates")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    release: str
    protocol: int
    certificates: _containers.RepeatedCompositeFieldContainer[Certificate]
    def __init__(self, release: _Optional[str] = ..., protocol: _Optional[int] = ..., certificates: _Optional[_Iterable[_Union[Certificate, _Mapping]]] = ...) -> None: ...

class Certificate(_message.Message):
    __slots__ = ("setting", "ends")
    SETTING_FIELD_NUMBER: _ClassVar[int]
    ENDS_FIELD_NUMBER: _ClassVar[int]
    setting: str
    ends: float
    def __init__(self, setting: _Optional[str] = ..., ends: _Optional[float] = ...) -> None: ...

class RouterReport(_message.Message):
    __slots__ = ("id", "address", "part", "serving", "catalog", "revision", "generation", "view_age", "refuses", "leaving", "troubles", "not_ready")
    ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    VIEW_AGE_FIELD_NUMBER: _ClassVar[int]
    REFUSES_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    TROUBLES_FIELD_NUMBER: _ClassVar[int]
    NOT_READY_FIELD_NUMBER: _ClassVar[int]
    id: str
    address: str
    part: Part
    serving: bool
    catalog: str
    revision: int
    generation: int
    view_age: float
    refuses: str
    leaving: bool
    troubles: RouterTroubles
    not_ready: str
    def __init__(self, id: _Optional[str] = ..., address: _Optional[str] = ..., part: _Optional[_Union[Part, _Mapping]] = ..., serving: bool = ..., catalog: _Optional[str] = ..., revision: _Optional[int] = ..., generation: _Optional[int] = ..., view_age: _Optional[float] = ..., refuses: _Optional[str] = ..., leaving: bool = ..., troubles: _Optional[_Union[RouterTroubles, _Mapping]] = ..., not_ready: _Optional[str] = ...) -> None: ...

class RouterTroubles(_message.Message):
    __slots__ = ("in_flight", "most_in_flight", "most_in_flight_of_tenant", "refused", "refused_seconds", "retries", "retries_denied", "cells", "cells_total", "tenants", "tenants_total", "requests", "uses", "hot", "feature_store")
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    MOST_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    MOST_IN_FLIGHT_OF_TENANT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    RETRIES_DENIED_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    CELLS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    TENANTS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    HOT_FIELD_NUMBER: _ClassVar[int]
    FEATURE_STORE_FIELD_NUMBER: _ClassVar[int]
    in_flight: int
    most_in_flight: int
    most_in_flight_of_tenant: int
    refused: int
    refused_seconds: int
    retries: int
    retries_denied: int
    cells: _containers.RepeatedCompositeFieldContainer[CellTrouble]
    cells_total: int
    tenants: _containers.RepeatedCompositeFieldContainer[TenantTrouble]
    tenants_total: int
    requests: _containers.RepeatedCompositeFieldContainer[EndedRequest]
    uses: _containers.RepeatedCompositeFieldContainer[CellUse]
    hot: _containers.RepeatedCompositeFieldContainer[HotModel]
    feature_store: str
    def __init__(self, in_flight: _Optional[int] = ..., most_in_flight: _Optional[int] = ..., most_in_flight_of_tenant: _Optional[int] = ..., refused: _Optional[int] = ..., refused_seconds: _Optional[int] = ..., retries: _Optional[int] = ..., retries_denied: _Optional[int] = ..., cells: _Optional[_Iterable[_Union[CellTrouble, _Mapping]]] = ..., cells_total: _Optional[int] = ..., tenants: _Optional[_Iterable[_Union[TenantTrouble, _Mapping]]] = ..., tenants_total: _Optional[int] = ..., requests: _Optional[_Iterable[_Union[EndedRequest, _Mapping]]] = ..., uses: _Optional[_Iterable[_Union[CellUse, _Mapping]]] = ..., hot: _Optional[_Iterable[_Union[HotModel, _Mapping]]] = ..., feature_store: _Optional[str] = ...) -> None: ...

class CellUse(_message.Message):
    __slots__ = ("cell", "in_flight", "limit", "latency_seconds", "routers", "limiting")
    CELL_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    LATENCY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ROUTERS_FIELD_NUMBER: _ClassVar[int]
    LIMITING_FIELD_NUMBER: _ClassVar[int]
    cell: str
    in_flight: int
    limit: int
    latency_seconds: float
    routers: int
    limiting: int
    def __init__(self, cell: _Optional[str] = ..., in_flight: _Optional[int] = ..., limit: _Optional[int] = ..., latency_seconds: _Optional[float] = ..., routers: _Optional[int] = ..., limiting: _Optional[int] = ...) -> None: ...

class HotModel(_message.Message):
    __slots__ = ("tenant", "model", "copies", "requests_per_second")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    COPIES_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    model: str
    copies: int
    requests_per_second: float
    def __init__(self, tenant: _Optional[str] = ..., model: _Optional[str] = ..., copies: _Optional[int] = ..., requests_per_second: _Optional[float] = ...) -> None: ...

class CellTrouble(_message.Message):
    __slots__ = ("cell", "breaker", "why", "seconds", "failed_ago", "opened", "given_up", "given_up_seconds")
    CELL_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    FAILED_AGO_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    GIVEN_UP_FIELD_NUMBER: _ClassVar[int]
    GIVEN_UP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    cell: str
    breaker: str
    why: str
    seconds: float
    failed_ago: float
    opened: int
    given_up: int
    given_up_seconds: int
    def __init__(self, cell: _Optional[str] = ..., breaker: _Optional[str] = ..., why: _Optional[str] = ..., seconds: _Optional[float] = ..., failed_ago: _Optional[float] = ..., opened: _Optional[int] = ..., given_up: _Optional[int] = ..., given_up_seconds: _Optional[int] = ...) -> None: ...

class TenantTrouble(_message.Message):
    __slots__ = ("tenant", "in_flight", "most_in_flight", "refused", "refused_seconds", "router", "limits")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    MOST_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ROUTER_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    in_flight: int
    most_in_flight: int
    refused: int
    refused_seconds: int
    router: str
    limits: _containers.RepeatedCompositeFieldContainer[LimitTrouble]
    def __init__(self, tenant: _Optional[str] = ..., in_flight: _Optional[int] = ..., most_in_flight: _Optional[int] = ..., refused: _Optional[int] = ..., refused_seconds: _Optional[int] = ..., router: _Optional[str] = ..., limits: _Optional[_Iterable[_Union[LimitTrouble, _Mapping]]] = ...) -> None: ...

class LimitTrouble(_message.Message):
    __slots__ = ("limit", "value", "share", "refused", "refused_seconds")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    limit: str
    value: float
    share: float
    refused: int
    refused_seconds: int
    def __init__(self, limit: _Optional[str] = ..., value: _Optional[float] = ..., share: _Optional[float] = ..., refused: _Optional[int] = ..., refused_seconds: _Optional[int] = ...) -> None: ...

class EndedRequest(_message.Message):
    __slots__ = ("request_id", "tenant", "model", "method", "code", "reason", "seconds", "cells", "attempts", "ago", "router")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    AGO_FIELD_NUMBER: _ClassVar[int]
    ROUTER_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    tenant: str
    model: str
    method: str
    code: str
    reason: str
    seconds: float
    cells: _containers.RepeatedScalarFieldContainer[str]
    attempts: int
    ago: float
    router: str
    def __init__(self, request_id: _Optional[str] = ..., tenant: _Optional[str] = ..., model: _Optional[str] = ..., method: _Optional[str] = ..., code: _Optional[str] = ..., reason: _Optional[str] = ..., seconds: _Optional[float] = ..., cells: _Optional[_Iterable[str]] = ..., attempts: _Optional[int] = ..., ago: _Optional[float] = ..., router: _Optional[str] = ...) -> None: ...

class ReportRouterRequest(_message.Message):
    __slots__ = ("report", "rates")
    REPORT_FIELD_NUMBER: _ClassVar[int]
    RATES_FIELD_NUMBER: _ClassVar[int]
    report: RouterReport
    rates: Rates
    def __init__(self, report: _Optional[_Union[RouterReport, _Mapping]] = ..., rates: _Optional[_Union[Rates, _Mapping]] = ...) -> None: ...

class ReportRouterResponse(_message.Message):
    __slots__ = ("rates_unknown", "shares", "routers")
    RATES_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    ROUTERS_FIELD_NUMBER: _ClassVar[int]
    rates_unknown: bool
    shares: _containers.RepeatedCompositeFieldContainer[TenantShare]
    routers: int
    def __init__(self, rates_unknown: bool = ..., shares: _Optional[_Iterable[_Union[TenantShare, _Mapping]]] = ..., routers: _Optional[int] = ...) -> None: ...

class TenantShare(_message.Message):
    __slots__ = ("tenant", "share")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    share: float
    def __init__(self, tenant: _Optional[str] = ..., share: _Optional[float] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Status(_message.Message):
    __slots__ = ("part", "now", "etcd", "catalog", "revision", "models", "generation", "previous", "frozen", "frozen_since", "bad_records", "bad_records_total", "cells", "cells_total", "routers", "routers_total", "managers", "managers_total", "ramp")
    PART_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    ETCD_FIELD_NUMBER: _ClassVar[int]
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    FROZEN_SINCE_FIELD_NUMBER: _ClassVar[int]
    BAD_RECORDS_FIELD_NUMBER: _ClassVar[int]
    BAD_RECORDS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    CELLS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    ROUTERS_FIELD_NUMBER: _ClassVar[int]
    ROUTERS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    MANAGERS_FIELD_NUMBER: _ClassVar[int]
    MANAGERS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    RAMP_FIELD_NUMBER: _ClassVar[int]
    part: Part
    now: float
    etcd: EtcdStatus
    catalog: str
    revision: int
    models: int
    generation: int
    previous: int
    frozen: str
    frozen_since: float
    bad_records: _containers.RepeatedCompositeFieldContainer[BadRecord]
    bad_records_total: int
    cells: _containers.RepeatedCompositeFieldContainer[CellStatus]
    cells_total: int
    routers: _containers.RepeatedCompositeFieldContainer[RouterStatus]
    routers_total: int
    managers: _containers.RepeatedCompositeFieldContainer[ManagerStatus]
    managers_total: int
    ramp: Ramp
    def __init__(self, part: _Optional[_Union[Part, _Mapping]] = ..., now: _Optional[float] = ..., etcd: _Optional[_Union[EtcdStatus, _Mapping]] = ..., catalog: _Optional[str] = ..., revision: _Optional[int] = ..., models: _Optional[int] = ..., generation: _Optional[int] = ..., previous: _Optional[int] = ..., frozen: _Optional[str] = ..., frozen_since: _Optional[float] = ..., bad_records: _Optional[_Iterable[_Union[BadRecord, _Mapping]]] = ..., bad_records_total: _Optional[int] = ..., cells: _Optional[_Iterable[_Union[CellStatus, _Mapping]]] = ..., cells_total: _Optional[int] = ..., routers: _Optional[_Iterable[_Union[RouterStatus, _Mapping]]] = ..., routers_total: _Optional[int] = ..., managers: _Optional[_Iterable[_Union[ManagerStatus, _Mapping]]] = ..., managers_total: _Optional[int] = ..., ramp: _Optional[_Union[Ramp, _Mapping]] = ...) -> None: ...

class GetTenantRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class TenantStatus(_message.Message):
    __slots__ = ("models", "alike", "generation", "previous", "hand", "previous_hand", "residency", "refused", "troubles", "requests", "routers", "routers_telling", "running", "limits", "uses", "hot")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    ALIKE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    HAND_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_HAND_FIELD_NUMBER: _ClassVar[int]
    RESIDENCY_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    TROUBLES_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ROUTERS_FIELD_NUMBER: _ClassVar[int]
    ROUTERS_TELLING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    HOT_FIELD_NUMBER: _ClassVar[int]
    models: int
    alike: _containers.RepeatedScalarFieldContainer[str]
    generation: int
    previous: int
    hand: _containers.RepeatedScalarFieldContainer[str]
    previous_hand: _containers.RepeatedScalarFieldContainer[str]
    residency: Residency
    refused: _containers.RepeatedCompositeFieldContainer[RefusedVersion]
    troubles: _containers.RepeatedCompositeFieldContainer[TenantTrouble]
    requests: _containers.RepeatedCompositeFieldContainer[EndedRequest]
    routers: int
    routers_telling: int
    running: _containers.RepeatedCompositeFieldContainer[RunningVersion]
    limits: Limits
    uses: _containers.RepeatedCompositeFieldContainer[CellUse]
    hot: _containers.RepeatedCompositeFieldContainer[HotModel]
    def __init__(self, models: _Optional[int] = ..., alike: _Optional[_Iterable[str]] = ..., generation: _Optional[int] = ..., previous: _Optional[int] = ..., hand: _Optional[_Iterable[str]] = ..., previous_hand: _Optional[_Iterable[str]] = ..., residency: _Optional[_Union[Residency, _Mapping]] = ..., refused: _Optional[_Iterable[_Union[RefusedVersion, _Mapping]]] = ..., troubles: _Optional[_Iterable[_Union[TenantTrouble, _Mapping]]] = ..., requests: _Optional[_Iterable[_Union[EndedRequest, _Mapping]]] = ..., routers: _Optional[int] = ..., routers_telling: _Optional[int] = ..., running: _Optional[_Iterable[_Union[RunningVersion, _Mapping]]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., uses: _Optional[_Iterable[_Union[CellUse, _Mapping]]] = ..., hot: _Optional[_Iterable[_Union[HotModel, _Mapping]]] = ...) -> None: ...

class RunningVersion(_message.Message):
    __slots__ = ("model", "version", "cell", "run")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CELL_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    cell: str
    run: LongRun
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., cell: _Optional[str] = ..., run: _Optional[_Union[LongRun, _Mapping]] = ...) -> None: ...

class RefusedVersion(_message.Message):
    __slots__ = ("model", "version", "cell", "quarantined")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CELL_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    cell: str
    quarantined: Quarantined
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., cell: _Optional[str] = ..., quarantined: _Optional[_Union[Quarantined, _Mapping]] = ...) -> None: ...

class EtcdStatus(_message.Message):
    __slots__ = ("members", "watched_revision", "watched")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    WATCHED_REVISION_FIELD_NUMBER: _ClassVar[int]
    WATCHED_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[EtcdMember]
    watched_revision: int
    watched: float
    def __init__(self, members: _Optional[_Iterable[_Union[EtcdMember, _Mapping]]] = ..., watched_revision: _Optional[int] = ..., watched: _Optional[float] = ...) -> None: ...

class EtcdMember(_message.Message):
    __slots__ = ("endpoint", "failure", "version", "revision", "size_bytes", "used_bytes", "quota_bytes", "has_leader", "errors")
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    QUOTA_BYTES_FIELD_NUMBER: _ClassVar[int]
    HAS_LEADER_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    endpoint: str
    failure: str
    version: str
    revision: int
    size_bytes: int
    used_bytes: int
    quota_bytes: int
    has_leader: bool
    errors: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, endpoint: _Optional[str] = ..., failure: _Optional[str] = ..., version: _Optional[str] = ..., revision: _Optional[int] = ..., size_bytes: _Optional[int] = ..., used_bytes: _Optional[int] = ..., quota_bytes: _Optional[int] = ..., has_leader: bool = ..., errors: _Optional[_Iterable[str]] = ...) -> None: ...

class BadRecord(_message.Message):
    __slots__ = ("key", "kind", "field", "message", "revision")
    KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    key: str
    kind: str
    field: str
    message: str
    revision: int
    def __init__(self, key: _Optional[str] = ..., kind: _Optional[str] = ..., field: _Optional[str] = ..., message: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class CellStatus(_message.Message):
    __slots__ = ("cell", "part", "registered", "seated", "seat_zone", "seat_draining", "heard", "left")
    CELL_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_FIELD_NUMBER: _ClassVar[int]
    SEATED_FIELD_NUMBER: _ClassVar[int]
    SEAT_ZONE_FIELD_NUMBER: _ClassVar[int]
    SEAT_DRAINING_FIELD_NUMBER: _ClassVar[int]
    HEARD_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    cell: Cell
    part: Part
    registered: bool
    seated: bool
    seat_zone: str
    seat_draining: bool
    heard: float
    left: float
    def __init__(self, cell: _Optional[_Union[Cell, _Mapping]] = ..., part: _Optional[_Union[Part, _Mapping]] = ..., registered: bool = ..., seated: bool = ..., seat_zone: _Optional[str] = ..., seat_draining: bool = ..., heard: _Optional[float] = ..., left: _Optional[float] = ...) -> None: ...

class RouterStatus(_message.Message):
    __slots__ = ("report", "heard", "behind")
    REPORT_FIELD_NUMBER: _ClassVar[int]
    HEARD_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    report: RouterReport
    heard: float
    behind: bool
    def __init__(self, report: _Optional[_Union[RouterReport, _Mapping]] = ..., heard: _Optional[float] = ..., behind: bool = ...) -> None: ...

class ManagerStatus(_message.Message):
    __slots__ = ("id", "protocol", "watchers")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    WATCHERS_FIELD_NUMBER: _ClassVar[int]
    id: str
    protocol: int
    watchers: int
    def __init__(self, id: _Optional[str] = ..., protocol: _Optional[int] = ..., watchers: _Optional[int] = ...) -> None: ...

class Rates(_message.Message):
    __slots__ = ("incarnation", "age", "total", "keys")
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    incarnation: int
    age: float
    total: Counts
    keys: _containers.RepeatedCompositeFieldContainer[KeyCounts]
    def __init__(self, incarnation: _Optional[int] = ..., age: _Optional[float] = ..., total: _Optional[_Union[Counts, _Mapping]] = ..., keys: _Optional[_Iterable[_Union[KeyCounts, _Mapping]]] = ...) -> None: ...

class KeyCounts(_message.Message):
    __slots__ = ("tenant", "model", "version", "admission", "age", "counts")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ADMISSION_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    model: str
    version: int
    admission: int
    age: float
    counts: Counts
    def __init__(self, tenant: _Optional[str] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., admission: _Optional[int] = ..., age: _Optional[float] = ..., counts: _Optional[_Union[Counts, _Mapping]] = ...) -> None: ...

class Counts(_message.Message):
    __slots__ = ("requests", "refused", "failed", "cold", "retried", "slow", "first_bucket", "buckets")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    COLD_FIELD_NUMBER: _ClassVar[int]
    RETRIED_FIELD_NUMBER: _ClassVar[int]
    SLOW_FIELD_NUMBER: _ClassVar[int]
    FIRST_BUCKET_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    requests: int
    refused: int
    failed: int
    cold: int
    retried: int
    slow: int
    first_bucket: int
    buckets: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, requests: _Optional[int] = ..., refused: _Optional[int] = ..., failed: _Optional[int] = ..., cold: _Optional[int] = ..., retried: _Optional[int] = ..., slow: _Optional[int] = ..., first_bucket: _Optional[int] = ..., buckets: _Optional[_Iterable[int]] = ...) -> None: ...

class GetRatesRequest(_message.Message):
    __slots__ = ("tenant", "models", "order", "top")
    class Order(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REQUESTS: _ClassVar[GetRatesRequest.Order]
        ERRORS: _ClassVar[GetRatesRequest.Order]
        COLD: _ClassVar[GetRatesRequest.Order]
        LATENCY: _ClassVar[GetRatesRequest.Order]
    REQUESTS: GetRatesRequest.Order
    ERRORS: GetRatesRequest.Order
    COLD: GetRatesRequest.Order
    LATENCY: GetRatesRequest.Order
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    models: bool
    order: GetRatesRequest.Order
    top: int
    def __init__(self, tenant: _Optional[str] = ..., models: bool = ..., order: _Optional[_Union[GetRatesRequest.Order, str]] = ..., top: _Optional[int] = ...) -> None: ...

class GetRatesResponse(_message.Message):
    __slots__ = ("rows", "rows_total", "all", "routers")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ROWS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    ROUTERS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[RateRow]
    rows_total: int
    all: RateRow
    routers: int
    def __init__(self, rows: _Optional[_Iterable[_Union[RateRow, _Mapping]]] = ..., rows_total: _Optional[int] = ..., all: _Optional[_Union[RateRow, _Mapping]] = ..., routers: _Optional[int] = ...) -> None: ...

class RateRow(_message.Message):
    __slots__ = ("tenant", "model", "version", "windows", "total", "at_limits")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    AT_LIMITS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    model: str
    version: int
    windows: _containers.RepeatedCompositeFieldContainer[RateWindow]
    total: RateWindow
    at_limits: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tenant: _Optional[str] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., windows: _Optional[_Iterable[_Union[RateWindow, _Mapping]]] = ..., total: _Optional[_Union[RateWindow, _Mapping]] = ..., at_limits: _Optional[_Iterable[str]] = ...) -> None: ...

class RateWindow(_message.Message):
    __slots__ = ("seconds", "counts", "p50", "p99")
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    P50_FIELD_NUMBER: _ClassVar[int]
    P99_FIELD_NUMBER: _ClassVar[int]
    seconds: float
    counts: Counts
    p50: float
    p99: float
    def __init__(self, seconds: _Optional[float] = ..., counts: _Optional[_Union[Counts, _Mapping]] = ..., p50: _Optional[float] = ..., p99: _Optional[float] = ...) -> None: ...
