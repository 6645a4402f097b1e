"""Models that show what they were given, and requests for them as callers send them, or nearly.

An identity model answers with its inputs, so that whatever was scored in place of a caller's own rows is seen
in the answer. Nothing here is trained: a memory checker would take minutes for it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from fuzz import messages_fetched as fetched
from fuzz.messages_mutator import (
    BAD_TEXTS,
    I64,
    Part,
    Parts,
    change,
    damage,
    encode,
    message,
    number,
    packed,
    text,
)
from support.reference.transform import COPY, KNOWN, MISSING, TEXT, Block, Step, identity_behind

from croupier.artifacts.format import Tensor, digest_of, pack
from croupier.artifacts.packers.forest.ensemble import Ensemble, Tree
from croupier.artifacts.packers.forest.layout import encode as encode_forest

# Rows that a cell takes at most: few, so that one more is met often.
MOST_ROWS = 12
ARTIFACT, OWNER, GENERATION, PRIORITY, RESIDENT_ONLY = 1000, 1001, 1003, 1005, 1006
SHARED = 1007
# Requests of older shard maps are refused.
FLOOR = 3
TENANT = "acme"

_DOUBLES = np.random.default_rng(2).normal(size=4096)
_DOUBLES[::6] = np.round(_DOUBLES[::6])
_DOUBLES[::7] = np.float32(_DOUBLES[::7])
PLAIN_DOUBLES = _DOUBLES.tobytes()
_LARGEST = float(np.finfo(np.float32).max)
_DOUBLES[::5] = np.resize(
    [np.nan, np.inf, -np.inf, 0, -0.0, 1e-320, _LARGEST, np.nextafter(_LARGEST, np.inf), -1e300, 1.7e9, 0.1],
    len(_DOUBLES[::5]),
)
STRANGE_DOUBLES = _DOUBLES.tobytes()
_FLOATS = np.random.default_rng(1).normal(size=4096).astype("<f4")
_FLOATS[::7] = np.round(_FLOATS[::7])
PLAIN_VALUES = _FLOATS.tobytes()
_FLOATS[::5] = np.resize(
    np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1e-40, 3e38, np.nan], np.float32), len(_FLOATS[::5])
)
STRANGE_VALUES = _FLOATS.tobytes()


@dataclass(frozen=True, slots=True)
class Model:
    """An artifact that requests call `name`."""

    name: str
    features: int
    names: tuple[str, ...]
    outputs: tuple[str, ...]
    artifact: bytes
    digest: bytes
    # Features that are text.
    texts: tuple[str, ...] = ()


def models() -> list[Model]:
    return [
        _identity("one", 1),
        _identity("two", 2),
        _identity("four", 4, accepts_missing=True),
        _identity("nine", 9),
        _identity("unnamed", 3, named=False),
        _identity("accents", 2, prefix="\u00e9"),
        _forest("forest", 4, accepts_missing=True),
        _forest("classes", 3, classes=(-7, 5, 300)),
        _behind_texts("texts"),
        _identity("wide", 3, wide=True),
        _identity("gaps", 2, accepts_missing=True, wide=True, complete=True),
        _forest("finite", 3, accepts_missing=True, finite=True),
        _forest("complete", 2, accepts_missing=True, complete=True),
        _forest("exact", 3, accepts_missing=True, wide=True),
    ]


def _identity(
    name: str,
    features: int,
    *,
    accepts_missing: bool = False,
    named: bool = True,
    prefix: str = "f",
    wide: bool = False,
    complete: bool = False,
) -> Model:
    header = struct.pack("<HBB5Id", 1, 0, 0, 0, features, features, 0, 0, 1.0)
    # Three times a float64 is seen to be other than three times its float32.
    zeros, one = np.zeros(features).tobytes(), (np.eye(features) * (3 if wide else 1)).tobytes()
    section = header + zeros + one + struct.pack("<II", 0, 0)
    names = tuple(f"{prefix}{place}" for place in range(features)) if named else ()
    outputs = [Tensor("value", "FP32", (-1, features))]
    flags = {"accepts_missing": accepts_missing, "complete": complete}
    return _model(name, "linear", {"linear": section}, features, names, outputs, wide, flags)


def _forest(
    name: str, features: int, *, classes: tuple[int, ...] = (), wide: bool = False, **flags: bool
) -> Model:
    """A tree for each class, or two for one sum, of one split each."""
    groups = [[_stump(place, features)] for place in range(len(classes) or 1)]
    section = encode_forest(Ensemble(features, groups, np.zeros(len(groups)), is_wide=wide))
    outputs = [Tensor("value", "FP32", (-1, len(groups)))]
    sections = {"forest": section}
    if classes:
        outputs.insert(0, Tensor("label", "INT64", (-1,)))
        sections["classes"] = struct.pack(f"<{len(classes)}q", *classes)
    names = tuple(f"f{place}" for place in range(features))
    return _model(name, "forest", sections, features, names, outputs, wide, flags)


def _behind_texts(name: str) -> Model:
    """An identity behind a transform: two numbers, a text that may be anything, one that has to be known."""
    entries = sorted(text.encode() for text in _ENTRIES)
    steps = [Step(COPY, source=place, column=place) for place in range(4)]
    bits = [0, MISSING, MISSING | TEXT, KNOWN | TEXT]
    names = ("f0", "f1", "f2", "f3")
    artifact = identity_behind(Block(bits, steps, (), {2: entries, 3: entries}), names)
    return Model(name, 4, names, ("value",), artifact, digest_of(artifact), names[2:])


def _stump(place: int, features: int) -> Tree:
    return Tree(
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        feature=np.array([place % features, 0, 0]),
        threshold=np.array([0.1 * place, 0.0, 0.0]),
        missing_right=np.array([place % 2 == 0, False, False]),
        value=np.array([0.0, 1.0 + place, 2.5 - place]),
    )


def _model(
    name: str,
    engine: str,
    sections: dict[str, bytes],
    features: int,
    names: tuple[str, ...],
    outputs: list[Tensor],
    wide: bool,
    flags: dict[str, bool],
) -> Model:
    artifact = pack(
        engine=engine,
        inputs=[Tensor("input", "FP64" if wide else "FP32", (-1, features))],
        outputs=outputs,
        sections=sections,
        features=names,
        **flags,
    )
    # Columns without names are numbered.
    names = names or tuple(map(str, range(features)))
    found = tuple(output.name for output in outputs)
    return Model(name, features, names, found, artifact, digest_of(artifact))


# Requests


def infer(rng: Random, known: list[Model]) -> Parts:
    """A ModelInferRequest: sometimes its shape, its values, its names and their form do not go together."""
    model = rng.choice(known)
    rows = rng.choice((1, 1, 1, 2, 3, model.features, MOST_ROWS, MOST_ROWS + 1))
    listed = fetched.listed(rng, model.names, model.texts) if rng.random() < 0.2 else []
    covered = fetched.covered(listed, model.names)
    width = model.features - (len(covered) if rng.random() < 0.4 else 0)
    shape = [rows, width] if rng.random() < 0.75 else _strange_shape(rng, model, rows)
    tensor = [] if rng.random() < 0.08 else [text(1, rng.choice(("input",) * 9 + ("other",)))]
    is_double = rng.random() < 0.4
    datatype = ("FP64", "FP32")[is_double != (rng.random() < 0.95)]
    tensor += [text(2, datatype), text(3, packed(*shape))]
    if rng.random() < 0.15:
        name = "binary_data_size" if rng.random() < 0.8 else "shared_memory_region"
        tensor.append(_parameter(4, name, number(2, 16)))
    content = _sent(rng, rows, width, model, covered, is_double)
    is_raw = rng.random() < 0.5
    if not is_raw or rng.random() < 0.03:
        tensor.append(message(5, text(7 if is_double else 6, content)))
    parts = [text(1, model.name), message(5, *tensor)]
    if is_raw or rng.random() < 0.03:
        parts.append(text(7, content))
    if rng.random() < 0.3:
        parts.append(text(3, b"request-1"))
    if rng.random() < 0.3:
        wanted = rng.sample(model.outputs, rng.randint(1, len(model.outputs)))
        parts += [message(6, text(1, name)) for name in wanted]
    if rng.random() < 0.15:
        parts.append(text(2, rng.choice(("1", "2", "3", "01", "x"))))
    if rng.random() < 0.4:
        parts.append(_claim(rng))
    if listed:
        parts.append(text(fetched.FIELD, fetched.field(rng, listed, rows)))
    return _with_artifact(parts, model, rng)


def _strange_shape(rng: Random, model: Model, rows: int) -> list[int]:
    return rng.choice(
        (
            [model.features, 1],
            [1, model.features],
            [rows * model.features, 1],
            [rows * model.features],
            [rows, model.features, 1],
            [rows + 1, model.features],
            [rows, model.features + 1],
            [0, model.features],
            [-1, model.features],
            [2**62, 4],
            [],
        )
    )


_ITEMS = (1,) * 12 + (2, 2, 2, 3, 3, MOST_ROWS, MOST_ROWS + 1)


def predict(rng: Random, known: list[Model]) -> Parts:
    """A PredictRequest."""
    # A router lets no caller's through, which is told of the whole request.
    completed = 0.5 if rng.random() < 0.2 else 0.0
    parts = [message(1, *_item(rng, known, completed)) for _ in range(rng.choice(_ITEMS))]
    if rng.random() < 0.1:
        parts.insert(rng.choice((0, len(parts))), message(2, *_shared(rng, known)))
    return parts


def _shared(rng: Random, known: list[Model]) -> Parts:
    parts = [message(1, *_features(rng, rng.choice(known)))] if rng.random() < 0.8 else []
    if rng.random() < 0.5:
        parts.append(text(2, rng.choice(("entity-1", "entity-2", *BAD_TEXTS))))
    if rng.random() < 0.3:
        parts.append(message(3, text(1, "region"), text(2, rng.choice(("eu", *BAD_TEXTS)))))
    return parts


def _item(rng: Random, known: list[Model], completed: float) -> Parts:
    model = rng.choice(known)
    parts = [text(1, model.name)]
    if rng.random() < 0.3:
        parts.append(number(2, rng.choice((1, 2, 3, 2**40))))
    if rng.random() < 0.15:
        parts.append(text(3, rng.choice(("stable", "new", "none"))))
    if rng.random() < 0.3:
        parts.append(text(4, rng.choice(("entity-1", "entity-2"))))
    if rng.random() < 0.3:
        parts.append(text(5, rng.choice(("key-1", "key-2", ""))))
    if rng.random() < 0.2 * completed:
        parts.append(message(SHARED, *_features(rng, model)))
    if rng.random() < 0.1:
        parts.append(message(8, text(1, "region"), text(2, rng.choice(("eu", "eu", *BAD_TEXTS)))))
    if rng.random() < 0.1:
        parts.append(number(9, rng.choice((0, 1))))
    return _with_artifact(parts + _input(rng, model, completed), model, rng)


def _input(rng: Random, model: Model, completed: float) -> Parts:
    """An item's own features and, of so large a part, those that were fetched for it."""
    listed = fetched.listed(rng, model.names, model.texts) if rng.random() < completed else []
    covered = fetched.covered(listed, model.names)
    parts = [text(fetched.FIELD, fetched.field(rng, listed, 1))] if listed else []
    if listed and rng.random() < 0.1:
        return parts
    if rng.random() < 0.5:
        return [*parts, message(6, *_features(rng, model, covered))]
    is_double = rng.random() < 0.5
    width = model.features - (len(covered) if rng.random() < 0.4 else 0)
    row = [text(2 if is_double else 1, _sent(rng, 1, width, model, covered, is_double))]
    if rng.random() < 0.03:
        row.append(text(1, _values(rng, model.features)))
    return [*parts, message(7, *row)]


def _features(rng: Random, model: Model, covered: Sequence[int] = ()) -> Parts:
    dropped = {model.names[place] for place in covered if rng.random() < 0.6}
    names = [name for name in rng.sample(model.names, len(model.names)) if name not in dropped]
    if rng.random() < 0.2 and names:
        names.pop()
    if rng.random() < 0.1:
        names.append(rng.choice(names or ["f0"]))
    found = []
    for name in names:
        if (name in model.texts) != (rng.random() < 0.02):
            found.append(message(1, text(1, name), text(3, rng.choice((*_ENTRIES, *_ENTRIES, *BAD_TEXTS)))))
            continue
        value = rng.choice((0.0, 1.0, -2.5, 0.1)) if rng.random() < 0.9 else rng.choice(_NUMBERS)
        found.append(message(1, text(1, name), Part(2, I64, struct.pack("<d", value))))
    return found


_ENTRIES = ("", "a", "ab", "red", "K\u00f6ln")
_NUMBERS = (float("nan"), float("inf"), -float("inf"), 1e300, 3.5e38, 1e-320)


def frame(rng: Random, known: list[Model]) -> Parts:
    """A PredictStreamRequest."""
    return [number(1, rng.choice((0, 1, 300))), message(2, *predict(rng, known))]


def metadata(rng: Random, known: list[Model]) -> Parts:
    """A ModelMetadataRequest; a ModelReadyRequest is read the same way."""
    return [text(1, rng.choice(known).name), text(2, rng.choice(("", "1", "2", "x")))]


def response(rng: Random, known: list[Model]) -> Parts:
    """A cell's PredictResponse."""
    found = []
    for _ in range(rng.choice((1, 2, 3))):
        value = message(1, message(1, text(1, "value"), message(2, text(1, _values(rng, 2)))))
        status = message(2, number(1, rng.choice((0, 3, 5, 14, 16))), text(2, "no"), text(3, "REASON"))
        found.append(message(1, value if rng.random() < 0.5 else status, number(3, 2), number(4, 70)))
    return found


def _values(rng: Random, count: int, is_double: bool = False) -> bytes:
    """Packed, float32 or float64."""
    if rng.random() < 0.06:
        count = rng.choice((0, 1, count + 1, max(0, count - 1), 2 * count))
    pools = (PLAIN_DOUBLES, STRANGE_DOUBLES) if is_double else (PLAIN_VALUES, STRANGE_VALUES)
    pool, width = pools[rng.random() >= 0.85], 8 if is_double else 4
    begin = width * int(rng.random() * (len(pool) // width - count))
    return pool[begin : begin + width * count]


def _sent(rng: Random, rows: int, width: int, model: Model, covered: Sequence[int], is_double: bool) -> bytes:
    """Values of rows, with NaN in half of the covered places of full ones."""
    values = _values(rng, rows * width, is_double)
    if not covered or width != model.features or rng.random() < 0.2:
        return values
    out, size = bytearray(values), 8 if is_double else 4
    nan = struct.pack("<d" if is_double else "<f", float("nan"))
    for at in range(0, len(values) - size * width + 1, size * width):
        for place in covered:
            if rng.random() < 0.5:
                out[at + size * place : at + size * (place + 1)] = nan
    return bytes(out)


def _claim(rng: Random) -> Part:
    """A parameter that a router reads."""
    name = rng.choice(("routing_key", "label", "tenant", "tenant", "deadline_ms", "explain"))
    value: Part = text(3, {"tenant": TENANT, "label": "stable"}.get(name, "key-1"))
    if rng.random() < 0.15:
        value = rng.choice((number(1, 1), number(2, 7), text(3, "other"), text(3, rng.choice(BAD_TEXTS))))
    return _parameter(4, name, value)


def _parameter(field: int, name: str, value: Part) -> Part:
    return message(field, text(1, name), message(2, value))


def _with_artifact(parts: Parts, model: Model, rng: Random) -> Parts:
    if rng.random() < 0.9:
        parts.append(text(ARTIFACT, model.digest))
    if rng.random() < 0.3:
        parts.append(Part(OWNER, I64, struct.pack("<Q", rng.choice((0, 1, 2**64 - 1)))))
    if rng.random() < 0.3:
        dealt_by = rng.choice((0, 1, FLOOR - 1, FLOOR, FLOOR, 2**64 - 1))
        parts.append(Part(GENERATION, I64, struct.pack("<Q", dealt_by)))
    if rng.random() < 0.3:
        parts.append(number(PRIORITY, rng.choice((0, 1, 4, 9, 2**32 + 3, 2**64 - 1))))
    if rng.random() < 0.3:
        parts.append(number(RESIDENT_ONLY, rng.choice((0, 1, 1, 2**32))))
    return parts


Make = Callable[[Random, list[Model]], Parts]


def mutants(make: Make, known: list[Model], rng: Random) -> Iterator[bytes]:
    """Some of what `make` makes: one as it was made, nearly, and the same with one change after the other."""
    parts = make(rng, known)
    for _ in range(5):
        data = encode(parts)
        yield damage(data, rng) if rng.random() < 0.12 else data
        change(parts, rng)
