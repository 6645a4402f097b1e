"""Packs a model's file, told by its first bytes what it is.

    packed artifact    CROUPIER                             stays as it is, if what it claims is so
    LightGBM           tree                                 its text
    XGBoost            {                                    JSON or UBJSON
    ONNX               anything that `foreign` cannot name   a protobuf message has no mark of its own

Each packer is imported when it is needed: the libraries that they read with take seconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

from croupier.artifacts import rowwise
from croupier.artifacts.format import MAGIC, InvalidArtifact, view
from croupier.artifacts.packers.foreign import refuse_foreign


class FileKind(StrEnum):
    """What a file may be."""

    ARTIFACT = "artifact"
    LIGHTGBM = "lightgbm"
    ONNX = "onnx"
    XGBOOST = "xgboost"


def told_by(data: bytes) -> FileKind:
    """What a file with these bytes is.

    Raises:
        InvalidArtifact: it is of a kind that cannot be packed, by name.
    """
    if data.startswith(MAGIC):
        return FileKind.ARTIFACT
    if re.match(rb"tree\r?\n", data):
        return FileKind.LIGHTGBM
    if re.match(rb"\s*\{", data):
        return FileKind.XGBOOST
    refuse_foreign(data)
    return FileKind.ONNX


def pack_file(
    data: bytes,
    kind: FileKind | None = None,
    *,
    features: Sequence[str] = (),
    accepts_missing: bool = False,
    complete: bool | None = None,
) -> bytes:
    """The artifact of a model's file. `accepts_missing` is for ONNX; trees always know NaN.

    `complete` is for trees, as `pack_forest` has it.

    Raises:
        InvalidArtifact: the file is none of its kind, or it cannot be served.
    """
    kind = kind or told_by(data)
    if kind is FileKind.ONNX:
        from croupier.artifacts.packers.onnx import pack_onnx

        return pack_onnx(data, features=features, accepts_missing=accepts_missing)
    if kind is FileKind.ARTIFACT:
        if features or accepts_missing:
            raise InvalidArtifact("a packed artifact has its features in it already")
        _check_claims(data)
        return data
    from croupier.artifacts.packers.forest import pack_lightgbm, pack_xgboost

    if kind is FileKind.XGBOOST:
        return pack_xgboost(data, features=features, complete=complete)
    return pack_lightgbm(data.decode(errors="replace"), features=features, complete=complete)


def says_what_has_to_be_checked(data: bytes) -> bool:
    """Whether an artifact has a section that others would pay for, were it wrong."""
    return rowwise.SECTION in view(data).sections


def _check_claims(data: bytes) -> None:
    if says_what_has_to_be_checked(data):
        from croupier.artifacts.packers.onnx import check_rowwise

        check_rowwise(view(data))
