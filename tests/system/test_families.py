"""A family on a fleet of real processes: routers follow it within a second, and keep the last good one."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.admin import ask
from support.fleet import Wine, publish, small_stack
from support.waiting import wait_until
from typer.testing import CliRunner

from croupier.stores.etcd import Etcd, EtcdConfig
from croupierctl.app import app
from croupierctl.stack import Stack

pytestmark = pytest.mark.system

_log = logging.getLogger(__name__)

_METRICS = re.compile(r"metrics on http://(\S+?)/")
KEY = "croupier/families/wine"
# Within a second, where these processes have processors to themselves.
SECONDS = 20.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_ROUTER_METRICS_LISTEN", "127.0.0.1:0")
        with small_stack(tmp_path_factory.mktemp("families")) as found:
            yield found


def run(stack: Stack, *words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["--manager", stack.manager, "--json", "families", *words])
    assert done.exit_code == code, (done.stdout, done.stderr, done.exception)
    return json.loads(done.stdout) if done.stdout else None


def held(stack: Stack) -> dict[str, int]:
    """What the router's admin port shows: numbers by name."""
    (listen,) = _METRICS.findall((stack.folder / "logs" / "router.log").read_text())[-1:]
    code, body = ask(listen, "/debug/families")
    assert code == 200
    told = json.loads(body)
    entries = [*told["families"]["entries"], *told["own"]["entries"]]
    return {f"{one['tenant']}/{one['name']}": one["number"] for one in entries}


def soon(stack: Stack, expected: dict[str, int]) -> float:
    """Wait until the router holds that; how long it took."""
    began = time.monotonic()
    wait_until(lambda: held(stack) == expected, f"the router has {expected}", SECONDS)
    return time.monotonic() - began


def in_etcd(stack: Stack, value: bytes | None) -> None:
    async def call() -> None:
        async with Etcd(EtcdConfig((stack.process("etcd").address,))) as etcd:
            await (etcd.delete(KEY) if value is None else etcd.put(KEY, value))

    asyncio.run(call())


def bad(stack: Stack) -> list[str]:
    done = CliRunner().invoke(app, ["--manager", stack.manager, "--json", "status"])
    return [one["name"] for one in json.loads(done.stdout)["faults"] if one["part"] == "record"]


def test_a_family_is_followed_rolled_back_and_never_lost(stack: Stack, wine: Wine, tmp_path: Path) -> None:
    publish(stack, "acme", "wine", wine.artifact)
    file = tmp_path / "wine.json"

    def apply(*words: str, **fields: Any) -> Any:
        file.write_text(json.dumps({"name": "wine", **fields}))
        return run(stack, "apply", str(file), *words)

    names = [{"name": name} for name in ("alcohol", "alcohool")]
    told = apply("--dry-run", features=names)
    assert told["sample"] == {"models": 1, "models_total": 1, "artifacts": 1, "failed": 0}
    found = {(one["level"], one["feature"]) for one in told["findings"]}
    assert ("warning", "alcohool") in found
    assert ("information", "malic_acid") in found
    assert held(stack) == {}

    apply(features=names[:1])
    took = [soon(stack, {"/wine": 1})]
    apply(owner="risk", features=names[:1])
    took.append(soon(stack, {"/wine": 2}))
    apply("--model", "acme/wine")
    soon(stack, {"/wine": 2, "acme/wine": 1})
    assert run(stack, "rollback", "wine")["config"] == 3
    took.append(soon(stack, {"/wine": 3, "acme/wine": 1}))
    _log.info("seconds until a router had it: %s", took)
    assert run(stack, "show", "wine")["owner"] == ""
    run(stack, "rm", "acme/wine")
    soon(stack, {"/wine": 3})

    for value in (b'{"schema":6,"number":9,"featurs":[]}', None):
        in_etcd(stack, value)
        wait_until(lambda: KEY in bad(stack), "the typing error", SECONDS)
        assert held(stack) == {"/wine": 3}
    # Nor is it lost over restarts, with nothing in etcd.
    stack.restart("version-manager")
    stack.restart("router")
    soon(stack, {"/wine": 3})
    assert [one["config"] for one in run(stack, "history", "wine")] == [3, 2, 1]
    done = CliRunner().invoke(app, ["--manager", stack.manager, "catalog", "repair"])
    assert done.exit_code == 0, done.stderr
    wait_until(lambda: KEY not in bad(stack), "the mending", SECONDS)
    apply(owner="again")
    soon(stack, {"/wine": 4})
