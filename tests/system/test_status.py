"""What goes wrong in a deployment of real processes is named by `status`, until it is mended."""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.certificates import Authority
from support.manager import Fleet
from support.waiting import wait_until
from support.worlds import router
from typer.testing import CliRunner

from croupier.stores.etcd import Etcd, EtcdConfig
from croupierctl.app import app
from croupierctl.stack import Stack

pytestmark = pytest.mark.system

# Whoever looks five seconds later is told, where these processes have processors to themselves.
SECONDS = 20.0


def look(manager: str, *words: str, verb: tuple[str, ...] = ("status",)) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["--manager", manager, *words, *verb, "--json"])
    return result.exit_code, json.loads(result.stdout or "{}")


def faults(stack: Stack) -> list[dict[str, str]]:
    """An error where the version manager did not answer in time: then nothing is known."""
    code, told = look(stack.manager)
    assert code != 2, "nothing was found out"
    found: list[dict[str, str]] = told["faults"]
    return found


def wrong(stack: Stack) -> set[tuple[str, str]]:
    """Part and name of each fault."""
    return {(fault["part"], fault["name"]) for fault in faults(stack)}


def words_of(stack: Stack) -> list[str]:
    return [fault["words"] for fault in faults(stack)]


def in_etcd(stack: Stack, work: Callable[[Etcd], Awaitable[Any]]) -> None:
    async def call() -> None:
        async with Etcd(EtcdConfig((stack.process("etcd").address,))) as etcd:
            await work(etcd)

    asyncio.run(call())


def test_what_goes_wrong_is_named_until_it_is_mended(stack: Stack) -> None:
    def are_all_told() -> bool:
        told = look(stack.manager)[1]
        return [len(told.get(kind, ())) for kind in ("etcd", "managers", "routers", "cells")] == [1, 1, 1, 4]

    wait_until(are_all_told, "everybody is told of")

    key = "croupier/models/acme/typo/release"
    in_etcd(stack, lambda etcd: etcd.put(key, b'{"number":2,"splits":[],"lables":{}}'))
    wait_until(lambda: ("record", key) in wrong(stack), "the typing error")
    in_etcd(stack, lambda etcd: etcd.delete(key))
    wait_until(lambda: ("record", key) not in wrong(stack), "the mending")

    stopped = [stack.process(name) for name in ("cell-1", "router")]
    for process in stopped:
        process.signal(signal.SIGSTOP)

    def are_named() -> bool:
        told = " ".join(words_of(stack))
        return "cell cell-1 hangs" in told and f"router {stack.router}" in told

    try:
        wait_until(are_named, "what hangs", SECONDS)
    finally:
        for process in stopped:
            process.signal(signal.SIGCONT)

    def are_heard() -> bool:
        return not any("hangs" in words or "not reported" in words for words in words_of(stack))

    wait_until(are_heard, "both are heard again")


async def test_certificates_that_end_soon_are_named_and_tenants_see_no_others(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    def issue(who: str, *further: str, hours: int) -> Any:
        uris = [f"croupier://{one}" for one in (who, *further)]
        return authority.issue(who.replace("/", "-"), uris=uris, ends=hours)

    def told(who: str, hours: int) -> dict[str, Any]:
        pair = issue(who, hours=hours)
        return {
            "tls_certificate": pair.certificate,
            "tls_key": pair.key,
            "tls_client_ca": authority.certificate,
            "peer_ca": authority.certificate,
            "peer_certificate": pair.certificate,
            "peer_key": pair.key,
        }

    def show(who: str, *further: str) -> list[str]:
        pair = issue(who, *further, hours=24)
        shown = ("--ca", authority.certificate, "--certificate", pair.certificate, "--key", pair.key)
        return [str(word) for word in shown]

    async with Fleet(tmp_path, **told("version-manager/m-1", 3 * 24)) as fleet:
        await fleet.raw.put("croupier/tenants/globex/residency", b"{}")
        async with router(fleet.address, wait=False, listen="127.0.0.1:0", **told("router/r-1", 1000)):

            async def words(*credentials: str) -> str:
                _, found = await asyncio.to_thread(look, fleet.address, *credentials)
                return " ".join(fault["words"] for fault in found["faults"])

            viewer = show("viewer/dashboard")
            while "router" not in await words(*viewer):
                await asyncio.sleep(0.05)
            everything = await words(*viewer)
        mine = show("viewer/me", "tenant/acme")
        own = await words(*mine)
        code, asked = await asyncio.to_thread(look, fleet.address, *mine, verb=("why", "acme"))
        assert (code, asked["tenant"], "globex" in json.dumps(asked)) == (1, "acme", False)
        # Of another tenant it is told nothing, not even whether there is one.
        refused = await asyncio.to_thread(look, fleet.address, *mine, verb=("why", "globex"))
        assert refused == (1, {})
    assert "(--tls-certificate) ends in 3 days" in everything
    assert "(--peer-certificate) ends in 3 days" in everything
    # The authority of these tests ends tomorrow, which all of them say; the router's own ends late.
    assert "router" in everything
    assert everything.count("(--tls-certificate)") == 1
    assert "croupier/tenants/globex/residency in etcd is passed over" in everything
    assert "globex" not in own
    assert "1 further keys in etcd are passed over" in own
