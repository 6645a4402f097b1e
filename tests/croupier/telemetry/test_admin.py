"""What a process says of itself, and what it says while it cannot."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import InvalidRequest, NotFound, Unavailable
from croupier.telemetry.admin import Admin, Answer, some

T = TypeVar("T")


class Serving:
    """An event loop that serves, in a thread of its own, as the page's loop is another one."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def admin(self, **options: float) -> Admin:
        async def make() -> Admin:
            return Admin(**options)

        return asyncio.run_coroutine_threadsafe(make(), self.loop).result(10)

    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[None]:
        """The loop comes to nothing meanwhile."""
        hangs, goes_on = threading.Event(), threading.Event()

        def hang() -> None:
            hangs.set()
            goes_on.wait()

        self.loop.call_soon_threadsafe(hang)
        await asyncio.to_thread(hangs.wait)
        try:
            yield
        finally:
            goes_on.set()

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def serving() -> Iterator[Serving]:
    made = Serving()
    yield made
    if not made.loop.is_closed():
        made.end()


async def _said(answering: Awaitable[Answer | None]) -> tuple[int, str]:
    answer = await answering
    assert answer is not None
    return int(answer.status[:3]), answer.body.decode().strip()


async def _told(admin: Admin, name: str, query: str = "") -> tuple[int, Any]:
    status, body = await _said(admin.answer(f"/debug/{name}", query))
    return status, json.loads(body)


async def test_it_is_healthy_before_it_serves_and_says_why_it_does_not(serving: Serving) -> None:
    admin = serving.admin()
    assert await _said(admin.answer("/healthz", "")) == (200, "ok")
    assert await _said(admin.answer("/readyz", "")) == (503, "it is starting")
    admin.ready = lambda: ""
    assert await _said(admin.answer("/readyz", "")) == (200, "ok")


@pytest.mark.parametrize("path", ["", "/", "/metrics", "/healthz/", "/debug", "/DEBUG/view", "debug/view"])
async def test_other_paths_are_not_its_own(serving: Serving, path: str) -> None:
    assert await serving.admin().answer(path, "") is None


async def test_views_are_worked_out_on_the_loop_that_serves(serving: Serving) -> None:
    admin = serving.admin()

    def view(query: Mapping[str, str]) -> object:
        return {"here": asyncio.get_running_loop() is serving.loop, "query": query, "digest": b"\x01\xff"}

    admin.debug |= {"view": view, "other": lambda _: None}
    assert await _told(admin, "") == (200, ["other", "view"])
    assert await _told(admin, "view", "name=a%2Fb&name=c&x=") == (
        200,
        {"here": True, "query": {"name": "c", "x": ""}, "digest": "01ff"},
    )


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (InvalidRequest("no"), 400, "INVALID_REQUEST"),
        (NotFound("no"), 404, "NOT_FOUND"),
        (Unavailable("no"), 503, "UNAVAILABLE"),
        (ZeroDivisionError("no"), 500, "BUG"),
    ],
)
async def test_what_a_view_raises(serving: Serving, error: Exception, status: int, reason: str) -> None:
    admin = serving.admin()

    def view(_: Mapping[str, str]) -> object:
        raise error

    admin.debug["view"] = view
    said, body = await _told(admin, "view")
    assert (said, body["error"]["reason"]) == (status, reason)
    assert await _said(admin.answer("/healthz", "")) == (200, "ok")


@pytest.mark.parametrize("told", [float("nan"), float("inf"), object(), {1, 2}])
async def test_what_json_cannot_say_is_a_bug_of_the_view_alone(serving: Serving, told: object) -> None:
    admin = serving.admin()
    admin.debug["view"] = lambda _: {"told": told}
    assert (await _told(admin, "view"))[0] == 500


async def test_an_unknown_view_names_those_that_there_are(serving: Serving) -> None:
    admin = serving.admin()
    admin.debug["cells"] = lambda _: None
    status, body = await _told(admin, "sells\x1b[2J")
    assert (status, body["error"]["message"]) == (404, "there is no such view; there are cells")


async def test_a_query_of_many_fields_is_refused(serving: Serving) -> None:
    admin = serving.admin()
    admin.debug["view"] = dict
    assert (await _told(admin, "view", "&".join(f"a{n}=1" for n in range(9))))[0] == 400


async def test_while_the_loop_hangs_it_says_so_and_leaves_one_thing_for_it_to_do(serving: Serving) -> None:
    admin = serving.admin(seconds=0.05)
    asked = []
    admin.debug["view"] = lambda _: asked.append(1)
    async with serving.hanging():
        answers = await asyncio.gather(
            *(admin.answer(path, "") for path in ("/healthz", "/readyz", "/debug/view") for _ in range(20))
        )
        assert {answer.status[:3] for answer in answers if answer} == {"503"}
        status, words = await _said(admin.answer("/healthz", ""))
        assert status == 503
        # And at what.
        assert words.startswith("the event loop hangs, at ")
        assert "croupier/telemetry/test_admin.py:" in words
        ready = map(repr, serving.loop._ready)  # type: ignore[attr-defined]
        assert sum("Admin._work" in handle for handle in ready) == 1
    # Whoever asked for these has gone.
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asyncio.sleep(0), serving.loop))
    assert asked == []
    assert await _said(admin.answer("/healthz", "")) == (200, "ok")
    assert await _told(admin, "view") == (200, None)


async def test_a_loop_that_has_ended_is_not_healthy(serving: Serving) -> None:
    admin = serving.admin()
    serving.end()
    assert await _said(admin.answer("/healthz", "")) == (503, "the event loop has ended")
    assert (await _told(admin, ""))[0] == 503


@given(st.lists(st.integers()), st.integers(0, 20))
def test_some_tells_the_first_and_counts_the_rest(things: list[int], most: int) -> None:
    told = some(things, str, most)
    assert told == {"entries": [str(n) for n in things[:most]], "more": max(0, len(things) - most)}
