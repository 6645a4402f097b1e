"""Models in pages, in the order of tenant and name; a token says after which model to go on."""

from __future__ import annotations

import base64
import heapq

import msgspec

from croupier.errors import InvalidRequest
from version_manager.model.catalog import Catalog
from version_manager.model.release import Model

DEFAULT_PAGE = 100
MAX_PAGE = 1000


def page(catalog: Catalog, tenant: str, size: int, token: str) -> tuple[list[Model], str]:
    """At most `size` models (0: 100) of `tenant` (empty: of all) after `token`, and the next token.

    The token is empty after the last page. It stays good while models come and go.

    Raises:
        InvalidRequest: `token` is not one that this function gave.
    """
    size = min(size or DEFAULT_PAGE, MAX_PAGE)
    after = _decode(token)
    found = heapq.nsmallest(size + 1, (place for place in catalog.names(tenant) if place > after))
    models = [catalog.get(*place) for place in found[:size]]
    return models, "" if len(found) <= size else _encode(found[size - 1])


def _encode(place: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def _decode(token: str) -> tuple[str, str]:
    if not token:
        return "", ""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(token.encode()), type=tuple[str, str])
    except ValueError as error:
        raise InvalidRequest("this page token was not given out here", field="page_token") from error
