import pytest

from croupier.errors import InvalidRequest
from version_manager.listing import MAX_PAGE, page
from version_manager.model.catalog import Catalog
from version_manager.model.release import Model

PLACES = sorted((f"tenant-{tenant}", f"model-{name}") for tenant in range(5) for name in range(5))
CATALOG = Catalog.build(models=[Model(tenant, name, {}) for tenant, name in reversed(PLACES)])


def walk(tenant: str, size: int):
    token = ""
    while True:
        models, token = page(CATALOG, tenant, size, token)
        assert len(models) <= size
        yield from ((model.tenant, model.name) for model in models)
        if not token:
            return


@pytest.mark.parametrize("size", [1, 3, 5, 24, 25, 26])
def test_the_pages_have_every_model_once_in_order(size):
    assert list(walk("", size)) == PLACES


def test_a_tenant_sees_its_own():
    assert list(walk("tenant-3", 2)) == [place for place in PLACES if place[0] == "tenant-3"]
    assert page(CATALOG, "nobody", 10, "") == ([], "")


def test_a_page_has_a_limit():
    many = Catalog.build(models=[Model("acme", f"{number}", {}) for number in range(MAX_PAGE + 1)])
    models, token = page(many, "", 2**31, "")
    assert len(models) == MAX_PAGE
    assert token
    assert len(page(many, "", 0, "")[0]) == 100


@pytest.mark.parametrize("token", ["x", "é", "AAAA", "bnVsbA==", "\udcff"])
def test_a_token_of_somebody_else_is_refused(token):
    with pytest.raises(InvalidRequest):
        page(CATALOG, "", 1, token)
