"""What families want of requests, made out once for each config and found when a route is decided."""

from __future__ import annotations

from dataclasses import dataclass

from router.feature_plan import FeaturePlan
from router.view import View
from version_manager.model.family import NO_FAMILIES, Families, Family


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """Of each request for a family's models; `features` None: it is sent all of them."""

    family: Family
    features: FeaturePlan | None


class Wants:
    """What is wanted by the families of a view. What a config wants outlives changes of others."""

    def __init__(self) -> None:
        self._families: Families = NO_FAMILIES
        self._known: dict[tuple[str, str], Wanted] = {}

    def of(self, view: View, tenant: str, name: str) -> Wanted | None:
        """What is wanted of requests for a model."""
        if view.families is not self._families:
            self._follow(view.families)
        family = view.families.of(tenant, name)
        if family is None:
            return None
        wanted = self._known.get(family.key)
        if wanted is None:
            wanted = self._known[family.key] = Wanted(family, FeaturePlan.of(family))
        return wanted

    def _follow(self, families: Families) -> None:
        self._families = families
        self._known = {
            key: wanted for key, wanted in self._known.items() if families.get(*key) is wanted.family
        }
