"""What the model's config asks for and the caller did not send.

This is the one stage that may open a payload, and only for models whose config names stored
features. No config does yet, so the stage in use adds nothing and every payload stays opaque.
"""

from __future__ import annotations

from typing import Protocol

from version_manager.model.resolve import Target


class Features(Protocol):
    # Whether any request is completed at all: False spares each of them a look.
    adds: bool

    def complete(self, target: Target, payload: bytes) -> bytes:
        """The request for `target` with the features that it lacked."""


class NoFeatures:
    """Callers send every feature themselves."""

    adds = False

    def complete(self, target: Target, payload: bytes) -> bytes:
        return payload
