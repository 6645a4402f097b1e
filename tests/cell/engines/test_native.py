"""One call for many models: of both kinds, with float32 and float64 rows, and of buffers that do not fit."""

from random import Random
from typing import Any

import numpy as np
import pytest
from support.forests import scored
from support.irregular_forests import irregular, rows_near
from support.natives import FULL, artifacts, load, native_of, scored_by
from support.reference.linear import LinearReference

from cell.engines import ScoringFailed
from cell.engines.forest import Forest
from cell.engines.linear import Linear
from cell.engines.native import Native, score_joined
from croupier.artifacts.format import view

WIDE, REMAINDERS = 8, 16


def joined(counts: list[int]) -> tuple[list[Native], bytes, bytes, list[int]]:
    """Models of both kinds, rows for them, the answers that they give one by one, and the classes."""
    natives, rows, answers_, classes = [], [], [], []
    for place, (name, count) in enumerate(zip(sorted(artifacts()), counts, strict=True)):
        native = native_of(name)
        each = np.ascontiguousarray(FULL[place : place + count])
        out, labels = np.empty((count, native.columns), np.float32), np.empty(count, np.int64)
        native.score_into(each, out, labels)
        expected = scored(artifacts()[name], each)
        np.testing.assert_array_equal(out, next(found for name, found in expected.items() if name != "label"))
        natives.append(native)
        rows.append(each.tobytes())
        answers_.append(out.tobytes())
        classes += labels.tolist()
    return natives, b"".join(rows), b"".join(answers_), classes


def test_one_call_scores_many_models_of_both_kinds() -> None:
    counts = [0, 3, 1, 2, 5]
    natives, rows, expected, classes = joined(counts)
    out, labels = bytearray(len(expected)), np.full(sum(counts), -1, np.int64)
    score_joined(natives, counts, rows, out)
    assert bytes(out) == expected
    out = bytearray(len(expected))
    score_joined(natives, counts, rows, out, labels)
    assert (bytes(out), labels.tolist()) == (expected, classes)
    assert len(set(classes)) > 1
    score_joined([], [], b"", bytearray(), bytearray())


def test_buffers_of_another_size_are_refused_before_anything_is_scored() -> None:
    counts = [0, 3, 1, 2, 5]
    natives, rows, expected, _ = joined(counts)
    clean, labels = bytearray(len(expected)), np.zeros(sum(counts), np.int64)
    closed = native_of("boosted")
    closed.close()
    bad: list[tuple[Any, ...]] = [
        (natives, counts[:-1], rows, clean),
        (natives, [1, *counts[1:]], rows, clean),
        (natives, [-1, *counts[1:]], rows, clean),
        (natives, [2**62, *counts[1:]], rows, clean),
        (natives, counts, rows[:-4], clean),
        (natives, counts, rows + bytes(4), clean),
        (natives, counts, rows, clean + bytes(4)),
        (natives, counts, rows, clean[:-4]),
        (natives, counts, rows, bytes(clean)),
        (natives, counts, rows, clean, labels[1:]),
        (natives, counts, rows, clean, bytearray(8 * sum(counts) + 8)),
        (natives, counts, rows, clean, labels[::-1]),
        ([*natives[:-1], Native()], counts, rows, clean),
        ([*natives[:-1], closed], counts, rows, clean),
        ([*natives[:-1], None], counts, rows, clean),
    ]
    for arguments in bad:
        with pytest.raises((ValueError, TypeError, BufferError)):
            score_joined(*arguments)
    assert not any(clean)
    assert not labels.any()


@pytest.mark.parametrize("name", ["boosted", "vectors", "linear"])
def test_arrays_of_another_size_are_refused(name: str) -> None:
    native: Native = native_of(name)
    out, labels = np.zeros((2, native.columns), np.float32), np.zeros(2, np.int64)
    bad: list[Any] = [
        (FULL[:2, :5].copy(), out, None),
        (FULL[:3].copy(), out, None),
        (FULL[:3].astype(np.float64), out, None),
        (FULL[:2].astype(np.float16), out, None),
        (FULL[:2].copy(), out, labels[:1]),
        (FULL[:2, ::-1], out, None),
        (FULL[:2].copy(), out.tobytes(), None),
        (None, out, None),
    ]
    for rows, scores, places in bad:
        with pytest.raises((ValueError, TypeError, BufferError)):
            native.score_into(rows, scores, places)
    assert not out.any()


def test_one_call_scores_float64_and_float32_rows() -> None:
    """Rows of either kind; those of float64 begin at a multiple of 8 bytes."""
    random = Random(5)
    models: list[Any] = [
        Forest(irregular(random, flags)) for flags in (0, WIDE, WIDE | REMAINDERS) for _ in range(6)
    ]
    models += [Linear(LinearReference([0.25], [[1.0]], {0: [(0.5, [10.0])]}).pack())] * 2
    random.shuffle(models)
    wide = [random.random() < 0.5 for _ in models]
    counts = [random.randrange(4) for _ in models]
    rows, expected = bytearray(), []
    for model, is_wide, count in zip(models, wide, counts, strict=True):
        each = rows_near(random, count)[:, : model.features]
        each = np.ascontiguousarray(each, np.float64 if is_wide else np.float32)
        rows += bytes(-len(rows) % 8 if is_wide else 0) + each.tobytes()
        expected += scored_by(model, each).ravel().tolist()
    out, labels = np.empty(len(expected), np.float32), np.full(sum(counts), -1)
    score_joined(models, counts, np.frombuffer(rows, np.uint8), out, labels, wide)
    np.testing.assert_array_equal(out, np.array(expected, np.float32))
    assert set(labels.tolist()) == {0, 1}
    whole = memoryview(b"1234567" + rows)[7:]
    bad: list[tuple[Any, ...]] = [
        (rows, wide[1:]),
        (rows, [not each for each in wide]),
        (rows + bytes(8), wide),
        (rows[:-4], wide),
    ]
    if np.frombuffer(whole, np.uint8).ctypes.data % 8:
        bad.append((whole, wide))
    for buffer, flags in bad:
        with pytest.raises(ValueError, match=r"rows|widths|buffers|bytes"):
            score_joined(models, counts, buffer, out, labels, flags)


def test_any_array_of_float64_is_scored_as_such() -> None:
    """Also one that lies where no float64 lies, or in another order; other numbers are narrowed."""
    forest = Forest(irregular(Random(8), WIDE | REMAINDERS))
    rows = rows_near(Random(1), 40)
    expected = scored_by(forest, rows)
    shifted = np.frombuffer(b"1" + rows.tobytes(), np.uint8)[1:].view(np.float64).reshape(rows.shape)
    for same in (rows, shifted, np.asfortranarray(rows), rows.astype(">f8"), rows[::-1][::-1]):
        np.testing.assert_array_equal(forest.score({"input": same}, ["value"])["value"], expected)
    narrow = rows.astype(np.float32)
    assert (scored_by(forest, narrow) != expected).any()
    for same in (narrow, np.asfortranarray(narrow)):
        np.testing.assert_array_equal(
            forest.score({"input": same}, ["value"])["value"], scored_by(forest, narrow)
        )


@pytest.mark.parametrize("name", ["boosted", "linear"])
def test_rows_of_another_width_than_the_signature_s_fail(name: str) -> None:
    scorer = load(view(artifacts()[name]))
    for rows in (FULL[:2, :5], np.repeat(FULL[:2], 2, axis=1), FULL[0]):
        with pytest.raises(ScoringFailed, match=r"buffers|bytes"):
            scorer.score({"input": rows}, ["value"])


def test_one_that_is_no_model_yet_says_nothing_and_scores_nothing() -> None:
    unmade = Native()
    assert (unmade.features, unmade.columns, unmade.texts, unmade.is_closed) == (0, 0, None, True)
    assert unmade.digest == bytes(32)
    assert unmade.resident_bytes > 0
    with pytest.raises(ValueError, match="closed"):
        unmade.score_into(b"", bytearray())
    with pytest.raises(BufferError):
        memoryview(unmade)
    unmade.close()
    for bad in ([3], [object()], [None]):
        with pytest.raises(TypeError, match="no model"):
            score_joined(bad, [0], b"", bytearray())  # type: ignore[arg-type]
