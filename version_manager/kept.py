"""What is kept of a report: who reports may say what it likes, but not without end.

A text is cut, of what is many the first are kept (whoever reports sends the worst first), a number is one,
and what this release does not know is dropped.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

from google.protobuf.message import Message

from protos.versions.v1 import versions_pb2 as pb

M = TypeVar("M", bound=Message)

# Rows of each kind; of what is not named, a few.
_ROWS = {
    (pb.Part, "certificates"): 16,
    (pb.RouterTroubles, "cells"): 100,
    (pb.RouterTroubles, "tenants"): 50,
    (pb.RouterTroubles, "requests"): 48,
    (pb.RouterTroubles, "uses"): 100,
    (pb.RouterTroubles, "hot"): 100,
    (pb.TenantTrouble, "limits"): 8,
}
_FEW = 4
# The longest text: as long as a name of ours may be, and an id of a caller's.
_WORDS: dict[type[Message], int] = {pb.Part: 64, pb.Certificate: 64}
_LONGEST = 300


def kept(message: M) -> M:
    """As much of `message`, and of what is in it, as is kept."""
    found, kind = type(message)(), type(message)
    for field, value in message.ListFields():
        if isinstance(value, Message):
            getattr(found, field.name).CopyFrom(kept(value))
        elif hasattr(value, "append"):
            few = value[: _ROWS.get((kind, field.name), _FEW)]
            getattr(found, field.name).extend(_one(each, kind) for each in few)
        else:
            setattr(found, field.name, _one(value, kind))
    return found


def _one(value: Any, kind: type[Message]) -> Any:
    if isinstance(value, Message):
        return kept(value)
    if isinstance(value, (str, bytes)):
        return value[: _WORDS.get(kind, _LONGEST)]
    if isinstance(value, float) and not math.isfinite(value):
        return 0.0
    return value
