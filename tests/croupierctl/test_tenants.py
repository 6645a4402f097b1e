from croupier.errors import Conflict
from protos.versions.v1 import versions_pb2 as pb


def test_a_tenant_without_a_record_keeps_nothing(ask, manager):
    assert ask("tenants", "residency", "acme") == {
        "tenant": "acme",
        "floor": 0,
        "pinned": [],
        "revision": 0,
        "warnings": [],
    }
    assert not manager.residencies


def test_what_is_not_mentioned_stays(ask, manager):
    change = ("tenants", "residency", "acme")
    assert ask(*change, "--floor", "1.5", "--pin", "wine", "--pin", "churn")["floor"] == 3 * 2**19
    assert ask(*change, "--pin", "wine", "--unpin", "churn")["floor"] == 3 * 2**19
    assert ask(*change, "--floor", 0)["pinned"] == ["wine"]
    made = pb.Residency(tenant="acme", pinned=["wine"], revision=3)
    assert manager.residencies == {"acme": made}
    assert ask(*change) == {"tenant": "acme", "floor": 0, "pinned": ["wine"], "revision": 3, "warnings": []}
    assert manager.residencies == {"acme": made}


def test_the_floor_is_printed_in_the_unit_that_it_takes(run, manager):
    manager.residencies["acme"] = pb.Residency(tenant="acme", pinned=["a", "b"])
    shown = run("tenants", "residency", "acme", "--floor", "2.5").out
    assert "2.5 MiB" in shown
    assert "a, b" in shown
    assert "1024 MiB" in run("tenants", "residency", "acme", "--floor", "1024").out
    assert "0 MiB" in run("tenants", "residency", "acme", "--floor", "0").out


def test_what_cannot_be_is_refused(run, manager):
    assert "not pinned" in run("tenants", "residency", "acme", "--unpin", "wine", code=1).err
    assert "at once" in run("tenants", "residency", "acme", "--pin", "a", "--unpin", "a", code=2).err
    run("tenants", "residency", "acme", "--floor", "-1", code=2)
    assert not manager.residencies
    manager.failures.append(Conflict("it has revision 9 by now"))
    assert "revision 9" in run("tenants", "residency", "acme", code=1).err


def test_warnings_are_told_to_people_and_to_programs(run, ask, manager):
    manager.warnings = ["there is no tenant acne"]
    said = run("tenants", "residency", "acne", "--floor", 1)
    assert said.err == "warning: there is no tenant acne\n"
    assert ask("tenants", "residency", "acne", "--floor", 2)["warnings"] == manager.warnings


def test_usage_has_the_tenant_and_its_models(ask, run, manager):
    def row(model: str = "", version: int = 0) -> pb.RateRow:
        windows = [pb.RateWindow(seconds=10, counts=pb.Counts(requests=20))]
        return pb.RateRow(tenant="acme", model=model, version=version, windows=windows)

    manager.rates = pb.GetRatesResponse(rows=[row()], routers=1)
    assert [(one["model"], one["requests/s"]) for one in ask("tenants", "usage", "acme")] == [("", 2.0)] * 2
    assert [(one.tenant, one.models) for one in manager.asked_rates] == [("acme", False), ("acme", True)]
    manager.rates = pb.GetRatesResponse(rows=[row("churn", 3), row()], routers=1)
    told = ask("tenants", "usage", "acme")
    assert [(one["model"], one["version"]) for one in told] == [("", None)] * 2 + [("churn", 3)] * 2


def test_a_tenant_that_nobody_counts_may_well_be_there(run, ask, manager):
    manager.rates = pb.GetRatesResponse(routers=1)
    said = run("tenants", "usage", "acme")
    assert said.err.startswith("no requests of acme among those that routers count")
    assert ask("tenants", "usage", "acme") == []


def test_where_no_router_counts_it_says_so_of_no_tenant(run, manager):
    manager.rates = pb.GetRatesResponse()
    assert "no router tells this version manager of rates" in run("tenants", "usage", "acme").err
