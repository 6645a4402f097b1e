import math
from types import MappingProxyType

import pytest

from croupier.errors import InvalidRequest
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.family import Config, Family, FeatureSpec, LogRule
from version_manager.model.family_wire import changed_from_pb, config_to_pb, family_from_pb, family_to_pb

WHOLE = Family(
    "churn",
    7,
    "Who leaves.",
    "growth",
    ("a", "b"),
    (
        FeatureSpec("age", low=0.0, high=150.0),
        FeatureSpec("zero", default=0.0),
        FeatureSpec("nan", default=math.nan),
        FeatureSpec("empty", "text", default=""),
        FeatureSpec("spend", "number", "store", "spending", "{tenant}:{param:account}", -1.0, 900.0),
    ),
    "fail",
    LogRule(0.5, MappingProxyType({"age": "hash"})),
    "acme",
)


@pytest.mark.parametrize("family", [WHOLE, Family("churn", 1), Family("churn", 1, log=LogRule(0.0))])
def test_a_family_survives_the_wire(family: Family) -> None:
    message = pb.Family.FromString(family_to_pb(family.key, family).SerializeToString())
    assert changed_from_pb(message) == (family.key, family)


def test_that_there_is_none_survives_the_wire() -> None:
    for key in (("", "churn"), ("acme", "churn")):
        assert changed_from_pb(family_to_pb(key, None)) == (key, None)


def test_what_is_not_said_is_as_in_the_model() -> None:
    message = pb.Family(name="churn", features=[pb.FeatureSpec(name="age")])
    assert family_from_pb(message, 4) == Family("churn", 4, features=(FeatureSpec("age"),))
    message.features[0].text_default = "x"
    assert family_from_pb(message, 4).features == (FeatureSpec("age", "text", default="x"),)


def test_operators_are_told_who_made_it() -> None:
    message = config_to_pb(WHOLE.key, Config(7, WHOLE, "ada", "new feature", 12.0))
    assert (message.number, message.author, message.reason, message.at) == (7, "ada", "new feature", 12.0)
    assert family_from_pb(message, 7) == WHOLE
    gone = config_to_pb(WHOLE.key, Config(8, None, "ada", "not used", 13.0))
    assert (gone.removed, gone.number, gone.author) == (True, 8, "ada")


@pytest.mark.parametrize(
    "message",
    [
        pb.Family(name="../x", number=1),
        pb.Family(name="churn"),
        pb.Family(removed=True),
        pb.Family(name="churn", tenant="../x", removed=True),
        pb.Family(name="churn", number=1, store_failure="ignore"),
        pb.Family(name="churn", number=1, features=[pb.FeatureSpec(name="a", source="redis")]),
        pb.Family(name="churn", number=1, log=pb.LogRule(share=float("nan"))),
        pb.Family(name="churn", number=1, features=[pb.FeatureSpec(name=f"f{at}") for at in range(513)]),
        pb.Family(name="churn", number=1, description="x" * 600_000),
    ],
)
def test_what_makes_no_sense_is_refused(message: pb.Family) -> None:
    with pytest.raises(InvalidRequest):
        changed_from_pb(message)
