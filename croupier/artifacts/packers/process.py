"""Packs a foreign file in a throwaway process: a parser that crashes, hangs or eats memory costs that alone.

    pack_file_apart(data)     as `files.pack_file`, in a fresh interpreter of its own

The parsers are native code of other projects, made for files that their own library wrote: treelite 4.8.1
takes SIGSEGV for an XGBoost model whose `tree_info` is empty. Nobody should have to trust a tenant's file.
`croupier.artifacts.apart` is the process. What it answers is no more trusted than the file: it is checked
like any artifact.

A start costs CPU time, nearly all of it imports of the library.
"""

from __future__ import annotations

from collections.abc import Sequence

from croupier.artifacts.apart import Limits, PackerIncomplete, Words, ask
from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.files import FileKind, pack_file, says_what_has_to_be_checked, told_by

__all__ = ["Limits", "PackerIncomplete", "pack_file_apart"]

_CHILD = "croupier.artifacts.packers.child"
_PACKING = Words("reading this file", "this file", "reader", "the artifact")


def pack_file_apart(
    data: bytes,
    kind: FileKind | None = None,
    *,
    features: Sequence[str] = (),
    accepts_missing: bool = False,
    complete: bool | None = None,
    limits: Limits | None = None,
) -> bytes:
    """The artifact of a model's file, as `files.pack_file` makes it, from a process of its own.

    It blocks, for `limits.wall_seconds` at most.

    Raises:
        InvalidArtifact: the file is none of its kind, it cannot be served, or its reader crashed or went
            beyond a limit; the message says which.
        PackerIncomplete: a library is missing.
    """
    limits = limits or Limits()
    check_size(data, limits)
    kind = kind or told_by(data)
    if kind is FileKind.ARTIFACT and not says_what_has_to_be_checked(data):
        # `view` is all that reads it.
        artifact = pack_file(data, kind, features=features, accepts_missing=accepts_missing)
    else:
        task = {
            "kind": kind,
            "features": [str(name) for name in features],
            "accepts_missing": accepts_missing,
            "complete": complete,
        }
        artifact = ask(_CHILD, task, [data], limits, _PACKING)
    view(artifact)
    return artifact


def check_size(data: bytes, limits: Limits) -> None:
    """Raises InvalidArtifact: `data` is larger than a file may be."""
    if len(data) > limits.file_bytes:
        raise InvalidArtifact(f"the file is larger than the limit of {limits.file_bytes} bytes")
