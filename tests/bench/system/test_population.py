"""Models answer what their libraries do: asked here through the engines that cells have."""

import numpy as np
import pytest

from bench.system.population import KINDS, Population
from cell.engines.packed import PackedEngine
from croupier.artifacts.format import digest_of, view


@pytest.fixture(scope="module")
def population() -> Population:
    return Population(600, tenants=20)


def of_kind(population: Population, kind: int, count: int) -> list[int]:
    (numbers,) = np.nonzero(population.models.kinds == kind)
    return [int(number) for number in numbers[:count]]


def test_there_are_some_of_each_kind_and_no_two_are_the_same(population: Population) -> None:
    numbers = [number for kind in range(len(KINDS)) for number in of_kind(population, kind, 3)]
    assert {int(population.models.kinds[number]) for number in numbers} == {0, 1, 2}
    assert len({digest_of(population.artifact(number)) for number in numbers}) == len(numbers)
    # One that takes another's place would be seen.
    assert len(np.unique(population.models.answers)) == 600


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_engines_answer_what_is_expected(population: Population, kind: int) -> None:
    row = population.models.rows[kind].astype(np.float64 if KINDS[kind].datatype == "FP64" else np.float32)
    for number in of_kind(population, kind, 2):
        artifact = view(population.artifact(number))
        scorer = PackedEngine(population.engine(number)).load(artifact)
        [values] = scorer.score({"input": row}, ["value"])["value"]
        assert len(values) == 1 + KINDS[kind].trains_classes
        assert float(values[-1]) == pytest.approx(population.models.answers[number], abs=1e-6, rel=1e-6)
        scorer.close()


def test_what_is_expected_of_a_linear_model_is_the_librarys(population: Population) -> None:
    for number in of_kind(population, 0, 3):
        [expected] = population.regression(number).predict(population.models.rows[0])
        assert expected == pytest.approx(population.models.answers[number], rel=1e-12)


def test_what_is_expected_of_a_forest_is_the_librarys_with_such_leaves(population: Population) -> None:
    [number] = of_kind(population, 1, 1)
    booster = population.forests[1].booster
    factor = population.factor(number)
    for tree, info in enumerate(booster.dump_model()["tree_info"]):
        for leaf in range(info["num_leaves"]):
            booster.set_leaf_output(tree, leaf, factor * booster.get_leaf_output(tree, leaf))
    [expected] = booster.predict(population.models.rows[1])
    assert expected == pytest.approx(population.models.answers[number], rel=1e-9)


def test_a_population_is_the_same_wherever_it_is_made(population: Population) -> None:
    again = Population(600, tenants=20)
    assert np.array_equal(again.models.answers, population.models.answers)
    [number] = of_kind(population, 0, 1)
    assert again.artifact(number) == population.artifact(number)
