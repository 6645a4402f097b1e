"""The native engines: over the batcher, from a published file, and against hostile bytes."""

import asyncio
import functools
import hashlib
import struct
import tracemalloc
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from support.cells import resident
from support.forests import Array, data, scored

from cell.engines import ArtifactRefused, ScoringFailed
from cell.engines.forest import Forest
from cell.engines.linear import Linear
from cell.engines.native import Native, score_joined
from cell.engines.packed import FOREST, LINEAR, PackedEngine
from cell.memory.arena import Arena
from cell.residency.policies import POLICIES
from cell.residency.residency import Residency
from cell.scoring.batcher import Batcher
from croupier.artifacts.format import Artifact, Tensor, pack, view
from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear
from croupier.deadline import NEVER

X = data(1, rows=200, missing=0.05)
FULL = np.nan_to_num(X)
Y = FULL[:, 0] + FULL[:, 1] * FULL[:, 2]
CLASSES = np.digitize(Y, [-0.7, 0.7])
ENGINES = {FOREST: PackedEngine(FOREST), LINEAR: PackedEngine(LINEAR)}
NATIVES: Mapping[str, type[Any]] = {FOREST: Forest, LINEAR: Linear}


def boosted(seed: int, **options: Any) -> bytes:
    trained = X.copy()
    trained[:, 5] = np.random.default_rng(seed).integers(0, 40, len(X))
    sets = lightgbm.Dataset(trained, Y + trained[:, 5] % 3, categorical_feature=[5], params={"verbose": -1})
    options = {
        "num_leaves": 6,
        "verbose": -1,
        "num_threads": 1,
        "min_data_in_leaf": 5,
        "cat_smooth": 1,
        **options,
    }
    return pack_forest(lightgbm.train(options, sets, 3))


@functools.cache
def artifacts() -> dict[str, bytes]:
    """Small ones of every layout: categories and zeros, vectors in leaves, categories of a linear model."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    codes = np.round(FULL)
    encoded = ColumnTransformer(
        [("codes", OneHotEncoder(handle_unknown="ignore"), [0, 1])], remainder="passthrough"
    )
    return {
        "boosted": boosted(1),
        "zeros": boosted(2, zero_as_missing=True),
        "vectors": pack_forest(RandomForestClassifier(4, max_depth=4, random_state=1).fit(FULL, CLASSES)),
        "linear": pack_linear(make_pipeline(encoded, Ridge()).fit(codes, Y)),
        "classes": pack_linear(
            LogisticRegression(max_iter=500).fit(FULL, np.array(["a", "b", "c"])[CLASSES])
        ),
    }


def load(artifact: Artifact) -> Any:
    return ENGINES[artifact.engine].load(artifact)


def changed(name: str, **changes: Any) -> Artifact:
    """An artifact that says other than it was packed with."""
    found = view(artifacts()[name])
    parts = {
        "engine": found.engine,
        "features": found.features,
        "inputs": found.inputs,
        "outputs": found.outputs,
        "sections": {each: bytes(content) for each, content in found.sections.items()},
    }
    return view(pack(**{**parts, **changes}))


async def test_over_the_batcher_each_caller_gets_its_own_rows() -> None:
    leases = [resident(load(view(boosted(seed))), f"model-{seed}") for seed in range(3)]
    with ThreadPoolExecutor(1) as pool:
        batcher = Batcher(pool, workers=1, max_rows=64, max_queued_rows=1000, clock=lambda: 0.0)
        asked = [(seed, X[place : place + 1 + place % 3]) for place in range(12) for seed in range(3)]
        found = await asyncio.gather(
            *(
                batcher.score(leases[seed], {"input": rows}, len(rows), ["value"], NEVER)
                for seed, rows in asked
            )
        )
        await batcher.close()
    for (seed, rows), outputs in zip(asked, found, strict=True):
        np.testing.assert_array_equal(outputs["value"], scored(boosted(seed), rows)["value"])


def native_of(name: str, arena: Arena | None = None) -> Any:
    found = view(artifacts()[name])
    return NATIVES[found.engine](found.section(found.engine), arena)


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


def test_a_model_keeps_nothing_of_its_file_and_is_made_once() -> None:
    section = bytearray(view(artifacts()["boosted"]).section(FOREST))
    expected = scored(artifacts()["boosted"], FULL[:5])["value"]
    # Where it lies does not matter either.
    shifted = memoryview(b"x" + section)[1:]
    digest = bytes(range(32))
    forest = Forest(section, None, digest)
    section[:] = bytes(len(section))
    for model in (forest, Forest(shifted)):
        out = np.empty((5, 1), np.float32)
        model.score_into(FULL[:5].copy(), out)
        np.testing.assert_array_equal(out, expected)
    assert (forest.digest, Forest(shifted).digest) == (digest, bytes(32))
    with pytest.raises(TypeError):
        Forest(shifted).__init__(shifted)
    with pytest.raises(ValueError, match="32 bytes"):
        Forest(shifted, None, b"x")


def test_a_closed_model_gives_its_memory_back_and_scores_no_more() -> None:
    arena = Arena(1 << 20)
    scorer = PackedEngine(FOREST, arena).load(view(artifacts()["boosted"]))
    assert 0 < arena.used < scorer.resident_bytes
    scorer.close()
    scorer.close()
    assert (arena.used, arena.committed) == (0, 0)
    with pytest.raises(ScoringFailed, match="closed"):
        scorer.score({"input": FULL[:1]}, ["value"])


def test_a_refused_model_or_one_that_nobody_holds_gives_its_memory_back() -> None:
    arena = Arena(1 << 20)
    scorer = PackedEngine(FOREST, arena).load(view(artifacts()["boosted"]))
    del scorer
    assert (arena.used, arena.committed) == (0, 0)
    with pytest.raises(ArtifactRefused) as caught:
        Forest(bytes(1000), arena)
    assert (arena.used, arena.committed) == (0, 0)
    assert "version" in caught.value.message


def test_models_answer_the_same_after_the_arena_moved_them() -> None:
    arena = Arena(1 << 20, segment_bytes=64 * 1024)
    names = ["boosted", "linear", "vectors"]
    models = [(name, native_of(name, arena)) for name in names for _ in range(100)]
    expected: dict[str, Array] = {}
    for name in names:
        out = np.empty((5, native_of(name).columns), np.float32)
        native_of(name).score_into(FULL[:5].copy(), out)
        expected[name] = out
    addresses = [model.address for _, model in models]
    for place, (_, model) in enumerate(models):
        if place % 5:
            model.close()
    left = [(name, model) for place, (name, model) in enumerate(models) if place % 5 == 0]
    assert (
        sum(
            model.address not in addresses or model.address != addresses[5 * place]
            for place, (_, model) in enumerate(left)
        )
        > 10
    )
    for name, model in left:
        out = np.empty((5, model.columns), np.float32)
        model.score_into(FULL[:5].copy(), out)
        np.testing.assert_array_equal(out, expected[name])


def test_a_model_that_is_closed_while_threads_score_it_goes_when_they_have_ended() -> None:
    arena = Arena(1 << 22)
    models = [native_of("boosted", arena) for _ in range(50)]
    rows = np.resize(FULL, (50 * 400, 6)).astype(np.float32)
    expected = np.empty((len(rows), 1), np.float32)
    score_joined(models, [400] * 50, rows, expected)

    def score() -> Array:
        out = np.empty((len(rows), 1), np.float32)
        score_joined(models, [400] * 50, rows, out)
        return out

    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            running = [pool.submit(score) for _ in range(2)]
            others = [native_of("boosted", arena) for _ in range(200)]
            for other in others:
                other.close()
            for each in running:
                np.testing.assert_array_equal(each.result(), expected)
        last = pool.submit(score)
        for model in models:
            model.close()
        # Whole, or refused because they were closed before it began.
        error = last.exception()
        if error is None:
            np.testing.assert_array_equal(last.result(), expected)
        else:
            assert "closed" in str(error)
    assert (arena.used, arena.committed) == (0, 0)


@pytest.mark.parametrize("policy", ["lru", "w-tinylfu"])
def test_python_keeps_at_most_500_bytes_of_a_resident_model(policy: str) -> None:
    """With the residency's entry, its place there, and the digest."""
    artifact = view(artifacts()["classes"])
    arena = Arena(1 << 26)
    engine, residency = PackedEngine(LINEAR, arena), Residency[Native](1 << 26, POLICIES[policy]())
    tracemalloc.start()
    for number in range(10_000):
        digest = hashlib.sha256(str(number).encode()).digest()
        model = engine.load(artifact, digest)
        residency.reserve(digest, residency.plan(model.resident_bytes))
        residency.admit(digest, model, model.resident_bytes, float(number))[0].release()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 200 < size / 10_000 <= 500
    # The books say no less.
    assert residency.used >= arena.used + size
    assert len(residency) == 10_000


def test_python_keeps_little_of_a_scorer() -> None:
    artifact = view(artifacts()["classes"])
    engine = PackedEngine(LINEAR, Arena(1 << 26))
    models = [engine.load(artifact, bytes(32))]
    tracemalloc.start()
    models += [engine.load(artifact, bytes(32)) for _ in range(10_000)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # With the list's own place for each.
    assert 0 < size / 10_000 <= 200
    assert models[0].labels is models[-1].labels


def test_equal_signatures_are_one_object() -> None:
    first, second = (load(view(boosted(seed))) for seed in range(2))
    assert first.signature is second.signature
    assert first.signature is not load(view(artifacts()["vectors"])).signature


def test_resident_bytes_are_the_sections_and_little_more() -> None:
    found = view(artifacts()["boosted"])
    scorer, estimate = load(found), ENGINES[FOREST].estimate(found)
    assert scorer.resident_bytes == estimate
    room = Arena(256 << 20).room(len(found.section(FOREST)))
    assert 0 < scorer.resident_bytes - room <= 500


def test_the_float_output_alone_or_the_label_alone() -> None:
    scorer = load(view(artifacts()["vectors"]))
    assert scorer.score({"input": FULL[:3]}, ["label"])["label"].tolist() == [
        int(label) for label in scorer.score({"input": FULL[:3]}, ["label", "probabilities"])["label"]
    ]
    assert list(scorer.score({"input": FULL[:3]}, ["probabilities"])) == ["probabilities"]
    assert scorer.batchable


WIDE, LABEL = Tensor("probabilities", "FP32", (-1, 3)), Tensor("label", "INT64", (-1,))


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("boosted", {"features": (), "inputs": [Tensor("input", "FP32", (-1, 7))]}, "shape (-1, 6)"),
        ("boosted", {"features": (), "inputs": [Tensor("input", "INT32", (-1, 6))]}, "FP64"),
        ("boosted", {"outputs": [Tensor("value", "FP32", (-1, 2))]}, "shape (-1, 1)"),
        ("boosted", {"outputs": [LABEL]}, "shape (-1, 1)"),
        ("vectors", {"outputs": [WIDE, Tensor("label", "BYTES", (-1,))]}, "labels"),
        ("vectors", {"outputs": [WIDE, Tensor("label", "INT64", (-1, 1))]}, "labels"),
        ("classes", {"outputs": [WIDE, Tensor("label", "FP32", (-1,))]}, "INT64 or BYTES"),
        ("classes", {"outputs": [WIDE, LABEL]}, "decoded"),
        ("boosted", {"sections": {"other": b"x"}}, "has a section 'forest'"),
        ("linear", {"sections": {"linear": b"x"}}, "too short"),
    ],
)
def test_an_artifact_that_says_other_than_its_section(name: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ArtifactRefused) as caught:
        load(changed(name, **changes))
    assert says in caught.value.message


def test_too_few_classes() -> None:
    sections = {name: bytes(content) for name, content in view(artifacts()["classes"]).sections.items()}
    with pytest.raises(ArtifactRefused, match="2 classes for 3"):
        load(changed("classes", sections={**sections, "classes": b"a\0b"}))


# Hostile bytes: refused, or scored with some answer, and never a crash.

ROWS = np.concatenate(
    [X[:20], np.full((1, 6), np.nan), np.full((1, 6), np.inf), np.full((1, 6), -np.inf), np.full((1, 6), 1e9)]
).astype(np.float32)


def score_or_refuse(engine: str, section: bytes) -> None:
    try:
        native: Native = NATIVES[engine](section)
    except ArtifactRefused:
        return
    # A row as wide as the damaged header says.
    rows = np.resize(ROWS, (4, native.features))
    native.score_into(rows, np.empty((4, native.columns), np.float32), np.empty(4, np.int64))


def sections() -> list[tuple[str, bytes]]:
    found = [view(artifact) for artifact in artifacts().values()]
    return [(each.engine, bytes(each.section(each.engine))) for each in found]


@settings(max_examples=400)
@given(st.integers(0, 4), st.lists(st.integers(0, 2**20), min_size=1, max_size=4))
def test_flipped_bits(which: int, places: list[int]) -> None:
    engine, section = sections()[which]
    damaged = bytearray(section)
    for place in places:
        damaged[place // 8 % len(damaged)] ^= 1 << place % 8
    score_or_refuse(engine, bytes(damaged))


@settings(max_examples=400)
@given(
    st.integers(0, 4),
    st.integers(0, 2**20),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from(
        [0, 1, 7, 0x7F, 0x80, 0x7FFF, 0x8000, 0xFFFF, 0x7FC00000, 0x7FFFFFFF, 2**32 - 1, 2**64 - 1]
    ),
)
@example(0, 16, 4, 2**32 - 1)
def test_overwritten_fields(which: int, place: int, width: int, value: int) -> None:
    engine, section = sections()[which]
    damaged = bytearray(section)
    # As often in the header as anywhere else.
    place = place % (64 if place & 1 else len(damaged) - width)
    damaged[place : place + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")
    score_or_refuse(engine, bytes(damaged))


@pytest.mark.parametrize("which", range(5))
def test_truncated_sections(which: int) -> None:
    engine, section = sections()[which]
    for size in range(0, len(section), max(1, len(section) // 200)):
        with pytest.raises(ArtifactRefused):
            NATIVES[engine](section[:size])
    with pytest.raises(ArtifactRefused):
        NATIVES[engine](section + bytes(8))


def forest(nodes: list[tuple[float, int, int]], roots: tuple[int, ...] = (), features: int = 2) -> bytes:
    """A section by hand, of one group of trees; `roots` without the first and the last."""
    bounds = [0, *roots, len(nodes)]
    header = struct.pack(
        "<HBB9I2dQ", 1, 0, 0, 0, features, 1, len(bounds) - 1, len(nodes), 0, 0, 0, 0, 1.0, 1.0, 0
    )
    parts = [struct.pack(f"<{len(bounds)}I", *bounds), struct.pack("<2I", 0, len(bounds) - 1)]
    body = struct.pack("<d", 0.5) + b"".join(part + bytes(-len(part) % 8) for part in parts)
    return header + body + b"".join(struct.pack("<fHH", *node) for node in nodes)


def test_a_section_written_by_hand_from_the_documentation() -> None:
    native = Forest(forest([(1.0, 1 | 0x8000, 1), (10.0, 0, 0), (20.0, 0, 0), (3.0, 0, 0)], roots=(3,)))
    rows = np.array([[0, 1], [0, 1.5], [0, np.nan]], np.float32)
    out = np.empty((3, 1), np.float32)
    native.score_into(rows, out)
    assert out[:, 0].tolist() == [13.5, 23.5, 23.5]


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (forest([(1.0, 0, 1), (1.0, 0, 0)]), "child outside"),
        (forest([(1.0, 0, 2), (1.0, 0, 0), (1.0, 0, 0)], roots=(1,)), "child outside"),
        (forest([(1.0, 2, 0)]), "feature that is none"),
        (forest([(float("nan"), 0, 1), (1.0, 0, 0), (1.0, 0, 0)]), "not a number"),
        (forest([(1.0, 0, 0)], roots=(1,)), "out of order"),
        (forest([(1.0, 0, 0)], features=0), "impossible number"),
    ],
)
def test_a_forest_that_would_read_elsewhere(section: bytes, says: str) -> None:
    with pytest.raises(ArtifactRefused, match=says):
        Forest(section)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 8), st.booleans())
def test_any_trained_forest_answers_as_its_library(seed: int, leaves: int, rounds: int, zeros: bool) -> None:
    random = np.random.default_rng(seed)
    trained = data(seed, rows=120, zeros=0.2, missing=0.1)
    options = {"num_leaves": leaves, "min_data_in_leaf": 1, "verbose": -1, "num_threads": 1}
    options |= {"zero_as_missing": zeros, "objective": "poisson" if seed % 2 else "regression"}
    sets = lightgbm.Dataset(trained, np.abs(random.normal(size=120)), params={"verbose": -1})
    booster = lightgbm.train(options, sets, rounds)
    rows: Array = data(seed + 1, rows=100, zeros=0.2, missing=0.2)
    found = scored(pack_forest(booster), rows)["value"][:, 0]
    np.testing.assert_allclose(found, booster.predict(rows, num_threads=1), rtol=1e-6, atol=1e-6)
