import asyncio
import json

import pytest
from support.ports import free_port
from support.prediction_server import PredictionServer
from typer.testing import CliRunner

from croupier import errors
from croupier.errors import NotFound, Unavailable
from croupier_client import InvalidFeatures
from croupierctl.app import app
from croupierctl.predict import as_ours


@pytest.fixture
async def router():
    async with PredictionServer() as server:
        yield server


@pytest.fixture
def predict(router):
    """Run `predict acme churn` in a thread, beside the server's loop."""

    async def call(*words, code=0, **options):
        line = ["--router", router.target, "predict", "acme", "churn", *words]
        result = await asyncio.to_thread(CliRunner().invoke, app, line, **options)
        assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
        return result

    return call


async def test_named_features(predict, router):
    result = await predict("--features", '{"a": 1.5, "plan": "basic"}', "--key", "user-7", "--label", "new")
    (item,) = router.items
    assert {feature.name for feature in item.features.features} == {"a", "plan"}
    assert (item.routing_key, item.label) == ("user-7", "new")
    assert router.metadata[0]["croupier-tenant"] == "acme"
    assert "1.5" in result.stdout
    assert "1.5 ms" in result.stdout


async def test_a_catalog_may_be_asked_for(predict, router):
    await predict("--row", "1", "--min-revision", "c0ffee:17")
    assert router.metadata[0]["croupier-min-revision"] == "c0ffee:17"


async def test_it_is_part_of_the_trace_that_its_environment_is_in(predict, router):
    parent = f"00-{10:032x}-{11:016x}-01"
    await predict("--row", "1", env={"TRACEPARENT": parent})
    await predict("--row", "1")
    assert [call.get("traceparent") for call in router.metadata] == [parent, None]


async def test_a_row_for_programs(predict):
    result = await predict("--row", "1,2.5,3", "--version", "4", "--json")
    assert json.loads(result.stdout) == {
        "outputs": {"sum": [6.5]},
        "version": 4,
        "took": 0.0015,
        "defaults": 0,
        "degraded": False,
    }


async def test_stored_features_need_not_be_sent(predict, router):
    words = ["--entity", "user-7", "--parameter", "region=eu=west", "--parameter", "shop="]
    result = await predict(*words)
    (item,) = router.items
    assert (item.entity_id, dict(item.parameters)) == ("user-7", {"region": "eu=west", "shop": ""})
    assert (item.explain, list(item.features.features)) == (False, [])
    assert "defaults" not in result.stdout


async def test_where_features_came_from(predict):
    words = ["--row", "1", "--entity", "user-7", "--explain"]
    lines = (await predict(*words)).stdout.splitlines()
    assert "defaults  1, for the feature store was down or slow" in lines
    assert [line.split() for line in lines[-2:]] == [
        ["visits", "store", "90", "s"],
        ["plan", "default", "down"],
    ]
    assert json.loads((await predict(*words, "--json")).stdout)["origins"] == {
        "visits": {"source": "store", "age": 90.0},
        "plan": {"source": "default down", "age": None},
    }


async def test_the_token_is_shown(predict, router, tmp_path):
    path = tmp_path / "token"
    path.write_text("from-a-file\n")
    await predict("--row", "1", "--token", f"@{path}")
    await predict("--row", "1", env={"CROUPIERCTL_TOKEN": "from-the-environment"})
    tokens = [call["authorization"] for call in router.metadata]
    assert tokens == ["Bearer from-a-file", "Bearer from-the-environment"]


async def test_errors_of_the_model(predict, router):
    router.item_failures["churn"].append(NotFound("tenant acme has no model churn"))
    result = await predict("--row", "1", code=1)
    assert "error: tenant acme has no model churn" in result.stderr


def test_an_error_of_the_sdk_is_one_of_ours():
    found = as_ours(InvalidFeatures("2 dimensions", field="features", row="7"))
    assert type(found) is errors.InvalidRequest
    assert (found.message, found.reason, found.field) == ("2 dimensions", "INVALID_REQUEST", "features")
    assert found.metadata == {"row": "7"}


async def test_a_hand_that_is_down(predict, router):
    router.item_failures["churn"].extend(Unavailable("no cell", reason="NO_CELL") for _ in range(3))
    result = await predict("--row", "1", code=1)
    assert "error: no cell" in result.stderr
    assert "croupierctl cells ls" in result.stderr


def test_a_router_that_is_not_there():
    target = f"127.0.0.1:{free_port()}"
    result = CliRunner().invoke(app, ["--router", target, "predict", "acme", "churn", "--row", "1"])
    assert result.exit_code == 1
    assert f"the router at {target} is unavailable" in result.stderr
    assert "hint: start the local stack" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--row", "1", "--features", "{}"],
        ["--row", "one"],
        ["--features", "{"],
        ["--features", "[1]"],
        ["--row", "1", "--token", "@missing"],
        ["--row", "1", "--parameter", "region"],
        ["--row", "1", "--parameter", "=eu"],
        ["--row", "1", "--timeout", "0"],
    ],
)
async def test_a_wrong_command_line(predict, words):
    assert (await predict(*words, code=2)).stdout == ""
