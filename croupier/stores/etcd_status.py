"""How each member of etcd is, as it says itself: whether it answers, how full it is, its alarms.

Each endpoint is asked, not only the one that calls go to: of three members one may be gone and nothing be
noticed, until a second one is. A member answers this without a leader and without a user.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import grpc

from croupier.stores.etcd_connection import Connection, Member
from croupier.stores.etcd_errors import translate
from protos.etcd.v3 import rpc_pb2 as pb

# Of what a member complains about.
_MOST_ERRORS = 10
_MOST_WORDS = 200


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """`failure`: why it does not answer; empty if it does, and only then the rest says something.

    `quota_bytes` is 0 where etcd does not tell it: before 3.6. `errors` are its alarms and other complaints.
    """

    endpoint: str
    failure: str = ""
    version: str = ""
    revision: int = 0
    size_bytes: int = 0
    used_bytes: int = 0
    quota_bytes: int = 0
    has_leader: bool = False
    errors: tuple[str, ...] = ()


async def ask(connection: Connection, timeout: float) -> list[MemberStatus]:
    """Of every endpoint, all at once, after `timeout` seconds at the latest; raises nothing."""
    return await asyncio.gather(*(_ask(member, timeout) for member in connection.members))


async def _ask(member: Member, timeout: float) -> MemberStatus:
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout
    if not await member.connect(until):
        return MemberStatus(member.endpoint, "it cannot be connected to")
    try:
        told = await member.maintenance.Status(pb.StatusRequest(), timeout=max(0.0, until - loop.time()))
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return MemberStatus(member.endpoint, f"it does not answer within {timeout:g} s")
        return MemberStatus(member.endpoint, translate(error.code(), error.details() or "").message)
    return MemberStatus(
        member.endpoint,
        version=told.version,
        revision=told.header.revision,
        size_bytes=told.dbSize,
        used_bytes=told.dbSizeInUse,
        quota_bytes=told.dbSizeQuota,
        has_leader=bool(told.leader),
        errors=tuple(words[:_MOST_WORDS] for words in told.errors[:_MOST_ERRORS]),
    )
