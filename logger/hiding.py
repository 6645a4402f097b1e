"""What is sensitive is hashed or dropped before it leaves the host, by the rule that came with the record.

A hash is keyed (BLAKE2b, 16 bytes), so that whoever has the log alone cannot try values out; equal values of
one deployment have equal ones, by which rows can still be joined. Without a key what should be hashed is
dropped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b

from logger.rows import Feature, Output, Row
from logger.tensors import Undecodable

HASH, DROP = "hash", "drop"
ENTITY = "entity"
_BYTES = 16
_MARK = "hash:"


class Hiding:
    """`key` is the secret of the hashes, of 64 bytes at most; empty: nothing is hashed."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hide(self, row: Row, rule: bytes) -> None:
        """Take out of `row` what `rule` says.

        Raises:
            Undecodable: nobody can say what the rule is, so that nothing may leave.
        """
        actions = _actions(rule)
        if not actions:
            return
        # It has all of it.
        row.request = None
        row.hidden = [name for name in actions if self._names(row, name)]
        if ENTITY in actions and row.entity is not None:
            row.entity = self._hashed(row.entity) if self._is_kept(actions[ENTITY]) else None
        features = [one for one in row.features if self._is_kept(actions.get(one.name))]
        row.features = [self._feature(one) if one.name in actions else one for one in features]
        outputs = [one for one in row.outputs if self._is_kept(actions.get(one.name))]
        row.outputs = [self._output(one) if one.name in actions else one for one in outputs]

    def _is_kept(self, action: str | None) -> bool:
        return action is None or (action == HASH and bool(self._key))

    def _names(self, row: Row, name: str) -> bool:
        if name == ENTITY and row.entity is not None:
            return True
        return any(one.name == name for one in row.features) or any(one.name == name for one in row.outputs)

    def _feature(self, one: Feature) -> Feature:
        value = (one.number, one.integer, one.text)
        return Feature(one.name, text=self._hashed(value), source=one.source, age=one.age)

    def _output(self, one: Output) -> Output:
        return Output(one.name, texts=[self._hashed(one[1:])])

    def _hashed(self, value: object) -> str:
        return _MARK + blake2b(repr(value).encode(), digest_size=_BYTES, key=self._key).hexdigest()


@lru_cache(4096)
def _actions(rule: bytes) -> Mapping[str, str]:
    try:
        found = json.loads(rule) if rule else {}
    except ValueError as error:
        raise Undecodable("its rule of what is sensitive cannot be read") from error
    if not isinstance(found, dict) or not all(action in (HASH, DROP) for action in found.values()):
        raise Undecodable("its rule of what is sensitive cannot be read")
    return found
