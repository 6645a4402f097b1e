"""What an artifact takes, with a transform or without: its features, its inputs, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from croupier.artifacts.format import InvalidArtifact, Tensor
from croupier.artifacts.packers.transform.assembly import Columns
from croupier.artifacts.packers.transform.description import Transform
from croupier.artifacts.packers.transform.layout import attach


@dataclass(frozen=True, slots=True)
class Intake:
    """`section` is the engine's, with the transform behind it; the flags are the format's."""

    section: bytes
    features: list[str]
    inputs: list[Tensor]
    accepts_missing: bool
    finite: bool
    complete: bool


def transformed(
    engine: str,
    section: bytes,
    columns: Columns,
    names: Sequence[str],
    *,
    accepts_missing: bool,
    finite: bool,
    complete: bool,
) -> Intake:
    """What an engine takes behind these columns; the flags are those of its estimator.

    Of features with texts among them, those that nothing is made of are not asked for, since their datatype
    is not known. Rows of numbers have all of them in their places.

    Raises:
        InvalidArtifact: the names are not as many, or the transform is beyond what its block can hold.
    """
    if names and len(names) != columns.width:
        raise InvalidArtifact(f"{len(names)} names for a pipeline of {columns.width} features")
    policies = columns.policies
    if not accepts_missing:
        policies.refuse_missing(columns.columns)
    if finite:
        policies.refuse_infinite(columns.columns)
    asked: Sequence[int] = range(columns.width)
    transform = columns.transform(asked)
    if transform.has_texts:
        asked = columns.used
        transform = columns.transform(asked)
        names = names or [str(place) for place in range(columns.width)]
    features = [names[place] for place in asked] if names else []
    return Intake(
        attach(engine, section, transform),
        features,
        _inputs(transform, features),
        accepts_missing=any(feature.accepts_missing for feature in transform.features),
        finite=not any(feature.accepts_infinite for feature in transform.features),
        complete=complete and any(column.may_be_missing for column in columns.columns),
    )


def _inputs(transform: Transform, features: Sequence[str]) -> list[Tensor]:
    """One wide input of numbers; with texts, which have no place in one, an input for each feature."""
    if not transform.has_texts:
        return [Tensor("input", "FP64", (-1, len(transform.features)))]
    return [
        Tensor(name, "FP64" if feature.texts is None else "BYTES", (-1, 1))
        for name, feature in zip(features, transform.features, strict=True)
    ]
