"""A pipeline's steps as native code takes them, against plain Python."""

from __future__ import annotations

import math
import sys
from random import Random

import numpy as np
import pytest
from support.reference.transform import OVERFLOWS, TEXT, Block, Damaged, Step, random_block, random_raw, read

from cell.engines import ArtifactRefused
from cell.engines.transform_block import Transform

_WHY = {1: "missing", 2: "infinite", 3: "unknown", 4: "too large"}


def _columns(block: Block, rows: list[list[float]]) -> np.ndarray:
    columns = np.full((len(rows), block.columns), -7.5)
    Transform(block.pack()).apply(np.array(rows), columns)
    return columns


def _codes(native: Transform, feature: int, texts: list[bytes]) -> list[float]:
    codes = np.empty(len(texts))
    native.codes_of(feature, texts, codes)
    found: list[float] = codes.tolist()
    return found


def _mutated(random: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random.randrange(1, 4)):
        # Half of them in the header and the first steps, where most rules look.
        place = random.randrange(min(len(changed), 200) if random.random() < 0.5 else len(changed))
        changed[place] = random.choice([0, 1, 2, 3, 0x7F, 0x80, 0xFF, random.randrange(256)])
    if random.random() < 0.1:
        del changed[random.randrange(len(changed)) :]
    return bytes(changed)


@pytest.mark.parametrize("seed", range(60))
def test_columns_and_refusals_are_those_of_plain_python(seed: int) -> None:
    random = Random(seed)
    block = random_block(random)
    native = Transform(block.pack())
    assert (native.features, native.columns) == (len(block.bits), block.columns)
    rows = [random_raw(random, block) for _ in range(20)]
    expected = np.array([block.apply(row) for row in rows])
    np.testing.assert_array_equal(_columns(block, rows), expected, strict=True)
    for row in rows:
        found = native.refusal(np.array([row]))
        assert block.refusal(row) == (None if found is None else (found[1], _WHY[found[2]]))


@pytest.mark.parametrize("seed", range(40))
def test_columns_that_are_too_large_are_those_of_plain_python(seed: int) -> None:
    random = Random(seed)
    block = random_block(random)
    if random.random() < 0.5:
        block.bits = [bits | OVERFLOWS for bits in block.bits]
    native = Transform(block.pack())
    for _ in range(20):
        row = random_raw(random, block)
        for place in range(len(row)):
            if random.random() < 0.3 and not block.bits[place] & TEXT:
                row[place] = random.choice([1e19, -1e30, 1e38, -1e300, sys.float_info.max])
        for limit in (float(np.finfo(np.float32).max), sys.float_info.max, 10.0):
            found = native.refusal(np.array([row]), limit)
            assert block.refusal(row, limit) == (None if found is None else (found[1], _WHY[found[2]]))


@pytest.mark.parametrize("seed", range(20))
def test_texts_are_found_where_they_stand(seed: int) -> None:
    random = Random(seed)
    block = random_block(random)
    native = Transform(block.pack())
    known = [text for entries in block.dictionaries.values() for text in entries]
    for text in [*known, b"", b"a\0", b"zzz", b"\xff", b"x" * 299, b"x" * 301, "東".encode()]:
        for feature in range(len(block.bits) + 1):
            expected = [block.code_of(feature, each) for each in (text, b"a")]
            assert _codes(native, feature, [text, b"a"]) == expected


def test_a_written_block_is_read_as_it_was() -> None:
    for seed in range(50):
        data = random_block(Random(seed)).pack()
        assert read(data).pack() == data


def test_what_plain_python_refuses_is_refused_and_no_more() -> None:
    random = Random(1)
    refused = 0
    for seed in range(40):
        data = random_block(Random(seed), features=4).pack()
        for _ in range(60):
            changed = _mutated(random, data)
            try:
                block = read(changed)
            except Damaged:
                refused += 1
                with pytest.raises(ArtifactRefused):
                    Transform(changed)
                continue
            rows = [random_raw(random, block) for _ in range(3)]
            native = np.empty((3, block.columns))
            Transform(changed).apply(np.array(rows), native)
            np.testing.assert_array_equal(native, np.array([block.apply(row) for row in rows]))
    assert 500 < refused < 2300


@pytest.mark.parametrize(
    ("block", "what"),
    [
        (Block([0], [Step(0, column=1)]), "steps .* out of order"),
        (Block([0], [Step(0), Step(0, column=0)]), "steps .* out of order"),
        (Block([0], [Step(0), Step(1, flags=2, column=1)]), "steps .* out of order"),
        (Block([0], [Step(0), Step(4, flags=2)]), "of an unknown kind"),
        (Block([0], [Step(6)]), "of an unknown kind"),
        (Block([0], [Step(0, source=1)]), "a feature that is none"),
        (Block([0], [Step(4, count=1)], [1.0]), "numbers .* out of order"),
        (Block([0], [Step(4, count=2**31)], [1.0]), "numbers .* out of order"),
        (
            Block([0], [Step(4, first=1, count=1)], [1.0, 2.0, 3.0]),
            "numbers .* out of order",
        ),
        (Block([0], [Step(0)], [1.0]), "do not fill"),
        (Block([0], [Step(2, flags=1)], [2.0, 1.0]), "no range"),
        (
            Block([0], [Step(4, count=2)], [2.0, 1.0, 0.0, 0.0]),
            "categories .* out of order",
        ),
        (
            Block([0], [Step(4, count=2)], [1.0, 1.0, 0.0, 0.0]),
            "categories .* out of order",
        ),
        (Block([0], [Step(4, count=1)], [math.nan, 0.0]), "is not a number"),
        (Block([0], [Step(0), Step(3, column=1, count=1, a=1.0)], [0.0, 1.0]), "column that is not its"),
        (Block([0], [Step(0), Step(3, column=1, count=1, a=1.0)], [0.0, -2.0]), "column that is not its"),
        (
            Block([0], [Step(0), Step(3, column=1, count=1, a=1.0)], [0.0, math.nan]),
            "column that is not its",
        ),
        (Block([0], [Step(0), Step(3, column=1, other=1, a=1.0)]), "column that is not its"),
        (Block([32], [Step(0)]), "unknown flags"),
        (Block([4], [Step(0)]), "dictionaries"),
        (Block([0], [Step(0)], [], {0: []}), "dictionaries"),
        (Block([4], [Step(0)], [], {0: [b"b", b"a"]}), "a dictionary .* out of order"),
        (Block([4], [Step(0)], [], {0: [b"a", b"a"]}), "a dictionary .* out of order"),
        (Block([4], [Step(0)], [], {0: [b"ab", b"a"]}), "a dictionary .* out of order"),
        (Block([4], [Step(0)], [], {0: [b"\xff"]}), "not UTF-8"),
        (Block([4], [Step(0)], [], {0: [b"\xed\xa0\x80"]}), "not UTF-8"),
        (Block([4], [Step(0)], [], {0: [b"\xc0\x80"]}), "not UTF-8"),
        (Block([4], [Step(0)], [], {0: [b"\xf4\x90\x80\x80"]}), "not UTF-8"),
        (Block([4], [Step(0)], [], {0: [b"\xa9", b"\xc3"]}), "not UTF-8"),
    ],
)
def test_what_breaks_a_rule_is_refused(block: Block, what: str) -> None:
    with pytest.raises(ArtifactRefused, match=what):
        Transform(block.pack())
    with pytest.raises(Damaged):
        read(block.pack())


def test_columns_are_nobody_else_s() -> None:
    """Columns of another step stay as they were, whatever comes before and behind."""
    steps = [Step(3, source=0, count=2, other=0, a=3.0), Step(0, source=1, column=3)]
    block = Block([0, 0], steps, [1.0, 2.0, 1.0, 2.0])
    assert _columns(block, [[2.0, 9.0], [5.0, 8.0], [1.0, math.nan]]).tolist()[:2] == [
        [0.0, 0.0, 1.0, 9.0],
        [1.0, 0.0, 0.0, 8.0],
    ]


def test_a_large_dictionary_costs_its_search() -> None:
    texts = sorted(str(number).encode() for number in range(20_000))
    few = Block([4], [Step(0)], [], {0: texts[:10]})
    many = Block([4], [Step(0)], [], {0: texts})
    native = Transform(many.pack())
    asked = [texts[0], texts[777], texts[-1], b"1" * (1 << 20)]
    assert _codes(native, 0, asked) == [0.0, 777.0, 19_999.0, -1.0]
    assert Transform(few.pack()).row_cost < native.row_cost < 5_000


def test_what_a_row_takes_is_estimated_from_all_that_it_does() -> None:
    """So that a tick leaves long rows to a thread: steps, columns, searches of categories and of texts."""
    wide = Block([0], [Step(3, a=32_768.0)])
    many = Block([0], [Step(0, column=place) for place in range(32_768)])
    onwards = Block([0], [Step(0)] + [Step(0, flags=2)] * 65_535)
    large = Block([0], [Step(4, count=1 << 16)], [float(place) for place in range(1 << 17)])
    least = Transform(Block([0], [Step(0)]).pack()).row_cost
    costs = [Transform(block.pack()).row_cost for block in (wide, many, onwards, large)]
    assert least < 10
    assert [cost > bound for cost, bound in zip(costs, (9_000, 100_000, 200_000, 500), strict=True)] == [
        True
    ] * 4


def test_more_steps_than_a_block_may_have_are_refused() -> None:
    with pytest.raises(ArtifactRefused, match="number of steps"):
        Transform(Block([0], [Step(0)] + [Step(0, flags=2)] * 65_536).pack())
