from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnxruntime
import pytest

from bench.engine_models import train_lightgbm
from bench.population import SHAPE
from bench.serving.models import ROWS, Models
from croupier.artifacts.format import digest_of
from croupier.artifacts.packers.forest import pack_lightgbm
from croupier.stores.objects import key_of


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("models"))


def says(booster: lightgbm.Booster, models: Models) -> Any:
    return pytest.approx(booster.predict(models.rows, num_threads=1), rel=1e-12)


def test_model_0_is_what_was_trained(models: Models) -> None:
    assert models.expected(0) == says(train_lightgbm(SHAPE), models)


@pytest.mark.parametrize("number", [1, 3, 9_999])
def test_what_is_right_is_what_the_library_says_of_the_text(models: Models, number: int) -> None:
    assert models.expected(number) == says(lightgbm.Booster(model_str=models.text(number)), models)


def test_every_model_answers_differently(models: Models) -> None:
    answers = np.array([models.expected(number) for number in range(20)])
    assert answers.shape == (20, ROWS)
    assert np.diff(np.sort(answers, axis=0), axis=0).min() > 1e-6


@pytest.mark.parametrize("number", [0, 3])
def test_a_packed_model_is_what_the_packer_makes_of_its_text(models: Models, number: int) -> None:
    assert models.artifact(number) == pack_lightgbm(models.text(number))


@pytest.mark.parametrize("number", [0, 3])
def test_a_graph_says_what_the_text_says(models: Models, number: int) -> None:
    folder = models.onnx(number + 1)
    session = onnxruntime.InferenceSession(
        str(folder / f"m{number}.onnx"), providers=["CPUExecutionProvider"]
    )
    said = session.run(None, {"input": models.rows})[0].reshape(-1)
    assert said == pytest.approx(models.expected(number), abs=1e-6)


def test_files_are_written_once(tmp_path: Path) -> None:
    models = Models(tmp_path)
    folder = models.lightgbm(1)
    (folder / "m0.txt").write_text("mine")
    assert models.lightgbm(2) == folder
    assert (folder / "m0.txt").read_text() == "mine"
    booster = lightgbm.Booster(model_file=str(folder / "m1.txt"))
    assert models.expected(1) == says(booster, models)
    assert sorted(path.name for path in folder.iterdir()) == ["m0.txt", "m1.txt"]


def test_the_object_store_has_each_artifact_under_its_digest(tmp_path: Path) -> None:
    models = Models(tmp_path)
    store = models.objects(2)
    for number in range(2):
        artifact = models.artifact(number)
        assert models.digest(number) == digest_of(artifact)
        assert (store / key_of(digest_of(artifact))).read_bytes() == artifact
