"""What a native model keeps in memory, and gives back."""

import hashlib
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.forests import Array, scored
from support.natives import ENGINES, FULL, artifacts, boosted, load, native_of

from cell.engines import ArtifactRefused, ScoringFailed
from cell.engines.forest import Forest
from cell.engines.native import Native, score_joined
from cell.engines.packed import PackedEngine
from cell.memory.arena import Arena
from cell.residency.policies import POLICIES
from cell.residency.residency import Residency
from croupier.artifacts.engines import FOREST, LINEAR
from croupier.artifacts.format import view


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


@pytest.mark.parametrize("policy", ["lru", "s3-fifo"])
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
