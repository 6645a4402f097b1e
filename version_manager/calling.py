"""Who calls a version manager, and whose fault it is when etcd will not have that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from croupier.errors import InternalError
from croupier.request_ids import current_id
from croupier.roles import Caller
from croupier.stores.etcd_errors import EtcdPermissionDenied, EtcdUnauthenticated
from version_manager.map.audit import Actor

Context = grpc.aio.ServicerContext[Any, Any]
WhoCalls = Callable[[Context], Caller | None]


def actor_of(caller: WhoCalls, context: Context) -> Actor:
    """Whoever calls, for the audit."""
    found = caller(context)
    return Actor("" if found is None else str(found), context.peer(), current_id())


@contextmanager
def own_faults() -> Iterator[None]:
    """That etcd does not let this manager in is not the caller's fault, and no UNAUTHENTICATED."""
    try:
        yield
    except (EtcdUnauthenticated, EtcdPermissionDenied) as error:
        raise InternalError("etcd refuses the version manager") from error
