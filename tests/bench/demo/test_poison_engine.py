import pytest

from bench.demo import poison_engine
from croupier.artifacts.format import view


def test_artifacts_say_what_their_models_do() -> None:
    holding, crashing = view(poison_engine.holding("a", 0.045)), view(poison_engine.crashing("a"))
    assert holding.engine == crashing.engine == poison_engine.ENGINE
    assert float(bytes(holding.section("hold"))) == 0.045
    assert bytes(crashing.section("hold")) == b""


@pytest.mark.parametrize("make", [poison_engine.crashing, lambda name: poison_engine.holding(name, 0.1)])
def test_models_of_other_names_are_other_artifacts(make) -> None:
    assert make("a") != make("b")
