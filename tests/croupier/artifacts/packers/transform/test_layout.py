"""A block's bytes, read back by the reference; what it has no room for is refused, by how much."""

import math
import struct
from dataclasses import replace

import numpy as np
import pytest
from support.reference.transform import CLIPPED, NO_COLUMN, ONWARDS, read

from croupier.artifacts.format import ALIGNMENT, MAX_FEATURES, InvalidArtifact
from croupier.artifacts.packers.transform.description import Feature, Kind, Step, Transform
from croupier.artifacts.packers.transform.layout import STEP, attach, encode

NUMBER = Feature()
TEXT = Feature(accepts_infinite=False, texts=(b"", b"a", "東京".encode()))
ONE_HOT = Step(Kind.ONE_HOT, 1, 1, a=2.0, categories=(0.0, 2.0, math.nan), values=(0.0, -1.0, 1.0), other=0)
ORDINAL = Step(Kind.ORDINAL, 2, 3, fill=1.5, a=-1.0, b=math.nan, categories=(1.5, 4.0), values=(8.0, 9.0))
WHOLE = Transform(
    (NUMBER, TEXT, Feature(False, False, True, True), Feature(texts=())),
    (
        Step(Kind.SHIFT_SCALE, 0, 0, a=3.0, b=0.5),
        Step(Kind.SCALE_SHIFT, 0, 0, a=2.0, b=-0.0, clip=(-1.0, 1.0), goes_on=True),
        ONE_HOT,
        ORDINAL,
        Step(Kind.INDICATOR, 3, 4),
    ),
    5,
)


def test_what_is_written_is_what_is_read() -> None:
    found = read(encode(WHOLE))
    assert list(found.bits) == [1 | 2, 1 | 4, 8 | 16, 1 | 2 | 4]
    assert found.dictionaries == {1: list(TEXT.texts or ()), 3: []}
    assert (found.columns, len(found.steps)) == (WHOLE.columns, len(WHOLE.steps))
    for step, written in zip(WHOLE.steps, found.steps, strict=True):
        numbers = [*(step.clip or ()), *step.categories, *step.values]
        np.testing.assert_array_equal(found.numbers[written.first : written.first + written.numbers], numbers)
        assert (written.kind, written.source, written.column) == (step.kind, step.source, step.column)
        np.testing.assert_array_equal(
            [written.fill, written.a, written.b], [step.fill, step.a, step.b], strict=True
        )
        assert written.flags == CLIPPED * (step.clip is not None) | ONWARDS * step.goes_on
        # The sign of a zero is kept.
        assert math.copysign(1, written.b) == math.copysign(1, step.b)
    assert found.steps[2].other == 0


def test_unknown_categories_may_have_no_column() -> None:
    found = read(
        encode(replace(WHOLE, steps=(*WHOLE.steps[:2], replace(ONE_HOT, other=None), *WHOLE.steps[3:])))
    )
    assert found.steps[2].other == NO_COLUMN


@pytest.mark.parametrize(("engine", "flag"), [("forest", 32), ("linear", 4)])
@pytest.mark.parametrize("size", [16, 17, 63, 64])
def test_it_lies_behind_the_engines_section_which_says_so(engine: str, flag: int, size: int) -> None:
    section = bytes(range(1, size + 1))
    joined = attach(engine, section, WHOLE)
    begin = -(-size // ALIGNMENT) * ALIGNMENT
    assert joined[begin:] == encode(WHOLE)
    assert joined[size:begin] == bytes(begin - size)
    (flags,) = struct.unpack_from("<I", section, 4)
    assert joined[:size] == section[:4] + struct.pack("<I", flags | flag) + section[8:]


def of(features: int = 1, columns: int = 1, steps: int = 1) -> Transform:
    return Transform((NUMBER,) * features, (Step(Kind.COPY, 0, 0),) * steps, columns)


@pytest.mark.parametrize(
    ("transform", "says"),
    [
        (of(features=0), "0 features: there may be 1 to"),
        (of(features=MAX_FEATURES + 1), f"{MAX_FEATURES + 1} features"),
        (of(columns=0), "0 columns"),
        (of(columns=MAX_FEATURES + 1), f"{MAX_FEATURES + 1} columns"),
        (of(steps=0), "0 steps"),
        (of(steps=65_537), "65537 steps: there may be 1 to 65536"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_room_is_refused(transform: Transform, says: str) -> None:
    with pytest.raises(InvalidArtifact, match=says):
        encode(transform)


def test_a_step_is_as_large_as_the_page_has_it() -> None:
    assert STEP.itemsize == 48
    assert len(encode(of())) == 40 + 8 + 48 + 8
