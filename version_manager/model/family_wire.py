"""Families to messages of `protos.versions.v1` and back."""

from __future__ import annotations

from types import MappingProxyType

from croupier.errors import InvalidRequest, TooLarge
from croupier.names import check_name
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.family import (
    DEGRADE,
    ENTITY_ID,
    MAX_BYTES,
    NUMBER,
    REQUEST,
    TEXT,
    Config,
    Family,
    FamilyKey,
    FeatureSpec,
    LogRule,
    check_family,
)

# What a message may have beside a record's bytes: its author, its reason, lengths and tags.
_MOST_BYTES = 2 * MAX_BYTES


def family_to_pb(key: FamilyKey, family: Family | None) -> pb.Family:
    """`family`, or that there is none any more, as routers are told."""
    tenant, name = key
    if family is None:
        return pb.Family(tenant=tenant, name=name, removed=True)
    return pb.Family(
        tenant=tenant,
        name=name,
        number=family.number,
        description=family.description,
        owner=family.owner,
        tags=family.tags,
        features=map(_feature_to_pb, family.features),
        store_failure=family.store_failure,
        log=_log_to_pb(family.log) if family.log else None,
    )


def changed_from_pb(message: pb.Family) -> tuple[FamilyKey, Family | None]:
    """What a router is told. Raises InvalidRequest."""
    if message.removed:
        if message.tenant:
            check_name(message.tenant, "tenant")
        return (message.tenant, check_name(message.name, "name")), None
    family = family_from_pb(message, message.number)
    return family.key, family


def family_from_pb(message: pb.Family, number: int) -> Family:
    """Raises InvalidRequest."""
    if (size := message.ByteSize()) > _MOST_BYTES:
        raise InvalidRequest(f"the config has {size} bytes, and {MAX_BYTES} are the most", field="features")
    family = Family(
        message.name,
        number,
        message.description,
        message.owner,
        tuple(message.tags),
        tuple(map(_feature_from_pb, message.features)),
        message.store_failure or DEGRADE,
        _log_from_pb(message.log) if message.HasField("log") else None,
        message.tenant,
    )
    try:
        return check_family(family)
    except TooLarge as error:
        raise InvalidRequest(error.message, field="features") from error


def config_to_pb(key: FamilyKey, config: Config) -> pb.Family:
    """What operators are told."""
    message = family_to_pb(key, config.family)
    message.number = config.number
    message.author, message.reason, message.at = config.author, config.reason, config.at
    return message


def _feature_to_pb(one: FeatureSpec) -> pb.FeatureSpec:
    message = pb.FeatureSpec(
        name=one.name,
        dtype=one.dtype,
        source=one.source,
        group=one.group,
        entity=one.entity,
        max_age=one.max_age,
        low=one.low,
        high=one.high,
    )
    if isinstance(one.default, str):
        message.text_default = one.default
    elif one.default is not None:
        message.number_default = one.default
    return message


def _feature_from_pb(message: pb.FeatureSpec) -> FeatureSpec:
    default = message.WhichOneof("default")
    return FeatureSpec(
        message.name,
        message.dtype or (TEXT if default == "text_default" else NUMBER),
        message.source or REQUEST,
        message.group,
        message.entity or ENTITY_ID,
        None if default is None else getattr(message, default),
        message.max_age if message.HasField("max_age") else None,
        message.low if message.HasField("low") else None,
        message.high if message.HasField("high") else None,
    )


def _log_to_pb(rule: LogRule) -> pb.LogRule:
    return pb.LogRule(share=rule.share, sensitive=rule.sensitive)


def _log_from_pb(message: pb.LogRule) -> LogRule:
    return LogRule(message.share, MappingProxyType(dict(message.sensitive)))
