"""The models of the bench and the mixtures of requests for them; the cell itself is in `bench smoke`."""

from pathlib import Path

import numpy as np
import pytest

from bench.many import Many, publish, zipf
from bench.residency import _mixture
from croupier.artifacts.format import digest_of
from croupier.stores.objects import key_of
from protos.inference.v2 import inference_pb2 as pb


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Many, Path]:
    folder = tmp_path_factory.mktemp("objects")
    return publish(folder, 5), folder


def test_each_model_lies_where_its_digest_says(published: tuple[Many, Path]) -> None:
    many, folder = published
    digests = [many.digest(number) for number in range(many.count)]
    assert len(set(digests)) == many.count == 5
    for digest in digests:
        assert digest_of((folder / key_of(digest)).read_bytes()) == digest


def test_a_request_names_its_model_and_only_its_models_answer_is_right(published: tuple[Many, Path]) -> None:
    many, _ = published
    load = many.load(np.array([3, 0, 3]))
    for place, number in enumerate((3, 0, 3, 3)):
        request = pb.ModelInferRequest.FromString(load.message(place))
        assert request.artifact == many.digest(number)
        assert list(request.inputs[0].shape) == [1, 20]
        assert [load.is_answer(place, answer) for answer in many.answers] == [
            other == number for other in range(5)
        ]


def test_the_popular_are_few_and_the_same_for_a_seed() -> None:
    order = zipf(1_000, 20_000, 1.0, seed=1)
    counts = np.sort(np.bincount(order, minlength=1_000))[::-1]
    # The harmonic number of 1,000 is 7.49.
    assert counts[0] / len(order) == pytest.approx(1 / 7.49, rel=0.1)
    assert np.array_equal(order, zipf(1_000, 20_000, 1.0, seed=1))
    assert not np.array_equal(order, zipf(1_000, 20_000, 1.0, seed=2))


def test_each_cold_model_is_asked_once_and_after_the_warm_up() -> None:
    hot, cold = np.arange(10), np.arange(100, 150)
    order, is_cold = _mixture(hot, cold)
    assert order[is_cold].tolist() == cold.tolist()
    assert set(order[~is_cold]) == set(hot)
    assert np.flatnonzero(is_cold)[0] == 1_000
    assert is_cold[1_000:].mean() == pytest.approx(0.05)
