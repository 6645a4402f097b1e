import pytest

from croupierctl import top as module
from croupierctl.top import _latency, _part
from protos.versions.v1 import versions_pb2 as pb

Order = pb.GetRatesRequest


def window(requests: int, seconds: float = 10.0, **counts: int) -> pb.RateWindow:
    return pb.RateWindow(
        seconds=seconds,
        counts=pb.Counts(requests=requests, **counts),
        p50=0.00123,
        p99=1.5 if requests else None,
    )


def row(tenant: str, requests: int, model: str = "", version: int = 0, **counts: int) -> pb.RateRow:
    windows = [window(requests, **counts), window(3 * requests, 60.0, **counts)]
    return pb.RateRow(tenant=tenant, model=model, version=version, windows=windows)


@pytest.fixture
def busy(manager):
    manager.rates = pb.GetRatesResponse(
        rows=[row("acme", 750, failed=15, refused=75, cold=3, retried=1), row("globex", 250)],
        rows_total=1200,
        all=row("", 2000),
        routers=2,
    )
    manager.rates.rows[0].at_limits.extend(["bytes", "rate"])
    return manager


def test_tenants_are_shown_with_what_they_get(run, busy):
    shown = run("top").out.splitlines()
    assert [" ".join(line.split()) for line in shown[:3]] == [
        "tenant requests/s share failed refused p50 p99 cold retried slow at limit",
        "acme 75 38 % 2 % 10 % 1.23 ms 1.5 s 0.4 % 0.13 % 0 % bytes, rate",
        "globex 25 12 % 0 % 0 % 1.23 ms 1.5 s 0 % 0 % 0 %",
    ]
    assert shown[-1] == "over 10 s, of 2 routers; 1,198 more of those that are counted"
    (asked,) = busy.asked_rates
    assert (asked.models, asked.order, asked.top, asked.tenant) == (False, Order.REQUESTS, 20, "")


def test_programs_get_numbers(ask, busy):
    acme, globex = ask("top", "--minute")
    assert acme == {
        "tenant": "acme",
        "requests/s": 37.5,
        "share": 0.375,
        "failed": 15 / 2250,
        "refused": 75 / 2250,
        "p50": 0.00123,
        "p99": 1.5,
        "cold": 3 / 2250,
        "retried": 1 / 2250,
        "slow": 0.0,
        "at_limit": ["bytes", "rate"],
    }
    assert globex["share"] == 0.125


def test_models_are_shown_by_version_in_the_order_that_is_asked_for(run, ask, manager):
    manager.rates = pb.GetRatesResponse(rows=[row("acme", 10, "churn", 7)], routers=1)
    (found,) = ask("top", "--models", "--by", "latency", "-n", 5)
    assert (found["tenant"], found["model"], found["version"], found["share"]) == ("acme", "churn", 7, None)
    (asked,) = manager.asked_rates
    assert (asked.models, asked.order, asked.top) == (True, Order.LATENCY, 5)
    assert run("top", "--models").out.endswith("over 10 s, of 1 router\n")


@pytest.mark.parametrize("by", ["requests", "errors", "cold", "latency"])
def test_each_order_is_the_managers(run, busy, by):
    run("top", "--by", by)
    assert Order.Order.Name(busy.asked_rates[-1].order) == by.upper()


def test_that_nothing_is_known_is_said_with_why(run, manager):
    assert "just started" in run("top").err
    manager.rates = pb.GetRatesResponse(routers=1)
    assert run("top").err == "nobody asked for anything lately\n"
    manager.rates = None
    assert "unknown method" in run("top", code=1).err


def test_what_cannot_be_asked_is_refused(run, manager):
    run("top", "--by", "luck", code=2)
    run("top", "-n", "0", code=2)
    run("top", "-n", "1001", code=2)
    assert not manager.asked_rates


def test_it_looks_again_until_it_is_interrupted(run, busy, monkeypatch):
    def interrupt(seconds: float) -> None:
        if len(busy.asked_rates) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(module.time, "sleep", interrupt)
    run("top", "--watch", code=130)
    assert len(busy.asked_rates) == 3


@pytest.mark.parametrize(
    ("count", "of", "shown"),
    [
        (0, 0, ""),
        (0, 5, "0 %"),
        (1, 1000, "0.1 %"),
        (994, 1000, "99 %"),
        (996, 1000, "100 %"),
        (5, 5, "100 %"),
    ],
)
def test_a_part_is_shown_as_percent(count, of, shown):
    assert _part(count, of).text == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, ""), (0.000061, "0.061 ms"), (0.01234, "12.3 ms"), (2.5, "2.5 s")]
)
def test_a_latency_is_shown_in_its_unit(seconds, shown):
    assert _latency(seconds).text == shown
