"""What makes requests slow is named by `status` and by `why`: with real processes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiobotocore.session import get_session
from support.asking import asking
from support.fleet import publish
from support.graphs import INPUT, OUTPUT, looping, matmul
from support.ports import free_port
from support.proxy import TcpProxy
from support.s3 import S3Server, swift_s3
from support.waiting import wait_until
from typer.testing import CliRunner

from croupier.artifacts.format import pack
from croupier_client import Client
from croupierctl.app import app
from croupierctl.stack import Stack

pytestmark = pytest.mark.system

T = TypeVar("T")
# Whoever looks five seconds later is told, where these processes have processors to themselves.
SECONDS = 20.0
# Of acme's: one that is asked of the first cell before others, and one of each cell's.
FIRST, EACH = "price", ("cold", "cold-2", "cold-3")


def onnx(model: bytes, *, first: str = "x") -> bytes:
    features = [first, "y"]
    return pack(engine="onnx", inputs=[INPUT], outputs=[OUTPUT], features=features, sections={"model": model})


class Loop:
    """An event loop in a thread, for what has to go on while a test blocks."""

    def __enter__(self) -> Loop:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30.0)

    def do(self, function: Any) -> None:
        async def call() -> None:
            function()

        self.run(call())


@dataclass(slots=True)
class Fleet(Stack):
    """Three cells that are everybody's hand; the first is reached by a proxy, and so is all cells' store."""

    cells: int = 3
    zones: int = 3
    hand_size: int = 3
    loop: Loop = field(default_factory=Loop)
    way: TcpProxy = field(default_factory=lambda: TcpProxy("127.0.0.1:1"))
    store: TcpProxy = field(default_factory=lambda: TcpProxy("127.0.0.1:1"))
    port: int = 0
    s3: str = ""

    @property
    def store_url(self) -> str:
        return self._bucket(self.s3)

    def _bucket(self, endpoint: str) -> str:
        return f"s3://artifacts/models?endpoint={endpoint}&region=us-east-1"

    def _cell_argv(self, number: int) -> list[str]:
        argv = super(Fleet, self)._cell_argv(number)
        argv[argv.index("--store") + 1] = self._bucket(f"http://{self.store.endpoint}")
        if number == 0:
            argv += ["--listen", f"127.0.0.1:{self.port}", "--advertise", self.way.endpoint]
        return argv


def make_bucket(server: S3Server) -> None:
    async def make() -> None:
        keys = {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key}
        async with get_session().create_client(
            "s3", endpoint_url=server.endpoint, region_name=server.region, **keys
        ) as client:
            await client.create_bucket(Bucket="artifacts")

    asyncio.run(make())


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        folder: Path = tmp_path_factory.mktemp("why")
        (folder / "swift").mkdir()
        server = stack.enter_context(swift_s3(folder / "swift"))
        patch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("CROUPIER_ROUTER_MAX_IN_FLIGHT_PER_TENANT", "8")
        make_bucket(server)
        loop = stack.enter_context(Loop())
        port = free_port()
        way, store = TcpProxy(f"127.0.0.1:{port}"), TcpProxy(server.endpoint.removeprefix("http://"))
        for proxy in (way, store):
            loop.run(proxy.__aenter__())
            stack.callback(lambda proxy=proxy: loop.run(proxy.cut()))
        fleet = stack.enter_context(
            Fleet(folder, loop=loop, way=way, store=store, port=port, s3=server.endpoint)
        )
        for tenant, model in (("acme", "product"), ("acme", FIRST), ("busy", "product")):
            publish(fleet, tenant, model, onnx(matmul()))
        publish(fleet, "evil", "loop", onnx(looping()))
        with Client(fleet.router, tenant="acme") as client:
            wait_until(lambda: bool(client.predict("product", [1.0, 2.0]).version), "acme is routed")
        yield fleet


def told(fleet: Fleet, *words: str) -> list[dict[str, str]]:
    result = CliRunner().invoke(app, ["--manager", fleet.manager, *words, "--json"])
    assert result.exit_code in (0, 1), result.stderr
    found: list[dict[str, str]] = json.loads(result.stdout)["faults"]
    return found


def is_named(fleet: Fleet, words: str, *verb: str) -> bool:
    return any(words in fault["words"] for fault in told(fleet, *verb))


def test_nothing_is_wrong_with_a_fleet_that_works(fleet: Fleet) -> None:
    def is_well() -> bool:
        return told(fleet, "status") == told(fleet, "why", "acme", "product") == []

    with asking(fleet.router, "acme", "product", [1.0, 2.0], at_once=4):
        wait_until(is_well, "all is well")


def test_a_cell_that_reports_and_hangs_for_callers(fleet: Fleet) -> None:
    with asking(fleet.router, "acme", FIRST, [1.0, 2.0], at_once=4):
        fleet.loop.do(fleet.way.hang)
        try:
            words = "cell cell-0 hangs: router"
            wait_until(lambda: is_named(fleet, words, "status"), "the cell", SECONDS)
            assert is_named(fleet, "cell cell-0 hangs", "why", "acme")
        finally:
            fleet.loop.run(fleet.way.mend())
        wait_until(lambda: told(fleet, "status") == [], "it answers again")


def test_a_tenant_that_asks_for_more_than_it_may(fleet: Fleet) -> None:
    words = "tenant busy is refused: it has "
    with asking(fleet.router, "busy", "product", [1.0, 2.0], at_once=100, pause=0.001):
        wait_until(lambda: is_named(fleet, words, "status"), "the tenant", SECONDS)
        (fault, *_) = told(fleet, "why", "busy")
        assert "of 8 requests in flight" in fault["words"]
        # Others have nothing to do with it.
        assert not is_named(fleet, "refused", "why", "acme")


def test_a_store_that_is_slow(fleet: Fleet) -> None:
    versions = [publish(fleet, "acme", name, onnx(matmul(), first=name), release=False) for name in EACH]
    fleet.loop.do(fleet.store.hang)
    try:
        with ExitStack() as callers:
            for name, version in zip(EACH, versions, strict=True):
                asked = asking(fleet.router, "acme", name, [1.0, 2.0], version=version, timeout=20.0)
                callers.enter_context(asked)
            words = "the object store is slow: "
            wait_until(lambda: is_named(fleet, words, "status"), "the store", SECONDS)
            assert is_named(fleet, words, "why", "acme", "cold")
            # Neither is any cell said to hang for it, nor the store named for each. A router that has
            # nobody to ask meanwhile says so.
            parts = [fault["part"] for fault in told(fleet, "status")]
            assert [part for part in parts if part not in ("tenant", "router")] == ["store"]
            fleet.loop.run(fleet.store.mend())
    finally:
        fleet.loop.run(fleet.store.mend())


def test_a_model_that_does_not_end(fleet: Fleet) -> None:
    with asking(fleet.router, "evil", "loop", [0.0, 1.0], timeout=4.0):
        wait_until(lambda: is_named(fleet, "a model has run for", "status"), "the model", SECONDS)
        assert is_named(fleet, "version 1 of loop has run on cell-", "why", "evil", "loop")
