from dataclasses import replace

from router.families import Wants
from router.view import EMPTY
from version_manager.model.family import Families, Family, FeatureSpec

CHURN = Family("churn", 1, features=(FeatureSpec("age", default=1.0),))
PRICE = Family("price", 1)
OWN = replace(CHURN, number=7, tenant="acme")


def test_a_model_is_wanted_of_what_its_family_says_or_its_own_config() -> None:
    wants, view = Wants(), replace(EMPTY, families=Families({"churn": CHURN}, {("acme", "churn"): OWN}))
    wanted = wants.of(view, "globex", "churn")
    assert wanted is not None
    assert wanted.family is CHURN
    assert wanted.features is not None
    assert wants.of(view, "initech", "churn") is wanted
    own = wants.of(view, "acme", "churn")
    assert own is not None
    assert own.family is OWN
    assert wants.of(view, "acme", "price") is None


def test_a_change_of_one_family_leaves_what_others_want() -> None:
    wants = Wants()
    held = replace(EMPTY, families=Families({"churn": CHURN, "price": PRICE}))
    churn, price = wants.of(held, "acme", "churn"), wants.of(held, "acme", "price")
    assert price is not None
    assert price.features is None
    changed = replace(CHURN, number=2, features=())
    after = replace(held, families=Families({"churn": changed, "price": PRICE}))
    assert wants.of(after, "acme", "price") is price
    found = wants.of(after, "acme", "churn")
    assert found is not None
    assert found is not churn
    assert found.features is None
