"""The asyncio client against a real server."""

import asyncio
from contextlib import aclosing

import pytest

from croupier import errors as served
from croupier_client import AsyncClient, InvalidFeatures, Item, Prediction, errors


@pytest.fixture
async def client(server):
    async with AsyncClient(server.target, tenant="acme", timeout=20.0) as opened:
        yield opened


def items(count, model="m"):
    return [Item(model, [float(index)]) for index in range(count)]


async def test_a_prediction(client):
    found = await client.predict("churn", {"a": 1.0, "b": 2.0}, version=3)
    assert Prediction({"sum": [3.0]}, 3, 0.0015) == found
    assert found.value == 3.0


async def test_every_argument_reaches_the_server(client, server):
    await client.predict(
        "churn",
        [1.0],
        label="stable",
        entity_id="user-7",
        key="session-1",
        parameters={"a": "b"},
        explain=True,
    )
    (item,) = server.items
    assert (item.label, item.entity_id, item.routing_key) == ("stable", "user-7", "session-1")
    assert (dict(item.parameters), item.explain) == ({"a": "b"}, True)
    assert server.metadata[0]["croupier-tenant"] == "acme"
    assert "authorization" not in server.metadata[0]


async def test_every_call_may_say_which_catalog_it_wants(client, server):
    await client.predict("m", [], min_revision="c:1")
    await client.predict_many(items(1), min_revision="c:2")
    async with aclosing(client.stream(items(1), min_revision="c:3")) as answers:
        assert [index async for index, _ in answers] == [0]
    await client.predict("m", [])
    shown = [call.get("croupier-min-revision") for call in server.metadata]
    assert shown == ["c:1", "c:2", "c:3", None]


async def test_every_call_may_be_called_as_its_caller_wants(client, server):
    await client.predict("m", [], request_id="r-1")
    await client.predict_many(items(1), request_id="r-2")
    async with aclosing(client.stream(items(1), request_id="r-3")) as answers:
        assert [index async for index, _ in answers] == [0]
    await client.predict("m", [])
    shown = [call.get("x-request-id") for call in server.metadata]
    assert shown == ["r-1", "r-2", "r-3", None]


async def test_every_call_may_be_of_a_lower_priority(client, server):
    await client.predict("m", [], priority="batch")
    await client.predict_many(items(1), priority="batch")
    async with aclosing(client.stream(items(1), priority="batch")) as answers:
        assert [index async for index, _ in answers] == [0]
    await client.predict("m", [])
    assert [call.get("croupier-priority") for call in server.metadata] == [*["batch"] * 3, None]


async def test_who_asks_is_told_by_a_token_which_cell_answered(server):
    server.item_failures["m"].append(served.Unavailable("whole hand down"))
    server.item_failures["bad"].append(served.NotFound("no such model"))
    async with AsyncClient(server.target, debug=True) as client:
        # Of the try that was answered.
        assert (await client.predict("m", [])).debug == "token-1-2"
        good, bad = await client.predict_many([Item("m", [1.0]), Item("bad", [])])
    assert (good.debug, bad.debug) == ("token-1-3", "token-1-3")
    async with AsyncClient(server.target) as client:
        assert (await client.predict("m", [])).debug == ""


async def test_the_token_is_read_for_every_call(server):
    tokens = iter(["first", "second"])
    async with AsyncClient(server.target, token=lambda: next(tokens)) as client:
        await client.predict("m", [])
        await client.predict("m", [])
    assert [call["authorization"] for call in server.metadata] == ["Bearer first", "Bearer second"]


async def test_many_predictions_in_order(client, server):
    server.item_failures["bad"].append(served.NotFound("no such model"))
    found = await client.predict_many([Item("m", [1.0]), Item("bad", []), Item("m", [3.0])])
    assert [found[0].value, found[2].value] == [1.0, 3.0]
    assert isinstance(found[1], errors.NotFound)
    assert len(server.metadata) == 1


@pytest.mark.parametrize(
    "error",
    [
        served.InvalidRequest("wrong shape", field="features"),
        served.Unauthenticated("no credential"),
        served.PermissionDenied("not yours"),
        served.NotFound("no such model"),
        served.FailedPrecondition("quarantined", reason="QUARANTINED"),
        served.QuotaExceeded("too many", retry_after=2.5),
        served.InternalError("a bug"),
    ],
)
async def test_a_call_fails_with_the_servers_error_and_is_not_tried_again(client, server, error):
    server.failures.append(error)
    with pytest.raises(getattr(errors, type(error).__name__)) as caught:
        await client.predict("m", [])
    assert error.message == caught.value.message
    assert error.reason == caught.value.reason
    assert getattr(error, "field", "") == getattr(caught.value, "field", "")
    assert getattr(error, "retry_after", 0) == getattr(caught.value, "retry_after", 0)
    assert len(server.metadata) == 1


async def test_an_item_fails_with_its_own_error(client, server):
    server.item_failures["m"].append(served.FailedPrecondition("quarantined"))
    with pytest.raises(errors.FailedPrecondition, match="quarantined"):
        await client.predict("m", [])


async def test_unavailable_is_tried_again(client, server):
    server.failures.append(served.Unavailable("drain"))
    server.item_failures["m"].append(served.Unavailable("whole hand down"))
    assert (await client.predict("m", [])).value == 0.0
    assert len(server.metadata) == 3


async def test_retries_run_out(client, server):
    server.failures.extend(served.Unavailable("drain") for _ in range(3))
    with pytest.raises(errors.Unavailable, match="drain"):
        await client.predict("m", [])
    assert len(server.metadata) == 3


async def test_a_server_that_is_not_there_is_unavailable():
    async with AsyncClient("unix:/nowhere/at/all", retries=1) as client:
        with pytest.raises(errors.Unavailable):
            await client.predict("m", [])


async def test_the_deadline_reaches_the_server_and_ends_the_call(server):
    server.held["m"] = asyncio.Event()
    async with AsyncClient(server.target, timeout=600.0) as client:
        await client.predict("other", [], timeout=60.0)
        await client.predict("other", [])
        # Which may be over before the server hears of it.
        with pytest.raises(errors.DeadlineExceeded):
            await client.predict("m", [], timeout=0.2)
    assert 0.0 < server.timeouts[0] <= 61.0
    assert 500.0 < server.timeouts[1] <= 601.0


async def test_without_a_timeout_there_is_no_deadline(server):
    async with AsyncClient(server.target, timeout=None) as client:
        await client.predict("m", [])
    assert server.timeouts == [None]


async def test_retry_after_beyond_the_deadline_is_not_waited_for(server):
    server.failures.append(served.Unavailable("overload", retry_after=30.0))
    async with AsyncClient(server.target, timeout=10.0) as client:
        with pytest.raises(errors.Unavailable) as caught:
            await client.predict("m", [])
    assert caught.value.retry_after == 30.0


async def test_a_message_over_the_limit_is_too_large(client):
    with pytest.raises(errors.TooLarge):
        await client.predict("m", {"text": "x" * 17 * 2**20})


async def test_features_that_cannot_be_sent_never_leave(client, server):
    with pytest.raises(InvalidFeatures):
        await client.predict("m", "text")
    assert server.metadata == []


async def test_a_cancelled_call_is_cancelled_in_the_server(client, server):
    server.held["m"] = asyncio.Event()
    call = asyncio.create_task(client.predict("m", []))
    await server.called.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await server.cancelled.wait()
    assert (await client.predict("other", [])).value == 0.0


async def test_a_client_that_is_closed_under_a_call_cancels_the_call_and_not_the_caller(client, server):
    server.held["m"] = asyncio.Event()
    asking = asyncio.create_task(client.predict("m", [1.0]))
    await server.called.wait()
    await client.close()
    with pytest.raises(errors.Cancelled):
        await asking
    with pytest.raises(errors.Cancelled):
        await client.predict("m", [1.0])


async def test_a_client_that_is_closed_under_a_stream_cancels_the_stream_and_not_the_caller(client, server):
    server.held["m"] = asyncio.Event()

    async def consume():
        return [index async for index, _ in client.stream(items(3))]

    asking = asyncio.create_task(consume())
    await server.called.wait()
    await client.close()
    for _ in range(2):
        with pytest.raises(errors.Cancelled):
            await asking
        asking = asyncio.create_task(consume())
    with pytest.raises(errors.Cancelled):
        await asking


async def test_a_client_may_be_made_before_there_is_a_loop(server):
    client = await asyncio.to_thread(AsyncClient, server.target)
    async with client:
        assert (await client.predict("m", [])).value == 0.0


async def test_a_stream_answers_every_item_once(client, server):
    found = {index: outcome.value async for index, outcome in client.stream(items(200), in_flight=8)}
    assert {index: float(index) for index in range(200)} == found
    assert server.most_unanswered <= 8
    assert len(server.metadata) == 1
    assert server.streams_ended == 1


async def test_a_stream_of_nothing_ends(client):
    assert [answer async for answer in client.stream([])] == []


async def test_a_stream_takes_an_asynchronous_source(client):
    async def source():
        for item in items(5):
            yield item

    found = {index async for index, _ in client.stream(source())}
    assert set(range(5)) == found


async def test_a_stream_answers_in_the_order_of_completion(client, server):
    server.held["slow"] = asyncio.Event()
    order = []
    async for index, _ in client.stream([Item("slow", []), Item("m", []), Item("m", [])]):
        order.append(index)
        if len(order) == 2:
            server.held["slow"].set()
    assert order[-1] == 0
    assert sorted(order) == [0, 1, 2]


async def test_an_answer_does_not_wait_for_the_next_item(client):
    answered = asyncio.Event()

    async def source():
        yield Item("m", [])
        await answered.wait()
        yield Item("m", [])

    found = []
    async for index, _ in client.stream(source()):
        found.append(index)
        answered.set()
    assert found == [0, 1]


async def test_items_of_a_stream_fail_alone(client, server):
    server.item_failures["bad"].append(served.NotFound("no such model"))
    source = [Item("m", []), Item("bad", []), Item("m", "text"), Item("m", [])]
    found = {index: type(outcome) async for index, outcome in client.stream(source)}
    assert {0: Prediction, 1: errors.NotFound, 2: InvalidFeatures, 3: Prediction} == found


async def test_a_stream_goes_on_after_its_connection_broke(client, server):
    server.stream_breaks.extend([0, 5, 1])
    found = {index: outcome.value async for index, outcome in client.stream(items(40), in_flight=4)}
    assert {index: float(index) for index in range(40)} == found
    assert len(server.metadata) == 4


async def test_every_connection_of_a_stream_reads_the_token(server):
    server.stream_breaks.extend([1])
    tokens = iter(["first", "second"])
    async with AsyncClient(server.target, token=lambda: next(tokens)) as client:
        assert len([index async for index, _ in client.stream(items(3), in_flight=1)]) == 3
    assert [call["authorization"] for call in server.metadata] == ["Bearer first", "Bearer second"]


async def test_a_stream_that_brings_nothing_fails(client, server):
    server.stream_breaks.extend([0, 0, 0])
    with pytest.raises(errors.Unavailable, match="broke"):
        async for _ in client.stream(items(3)):
            pass


async def test_the_servers_own_status_ends_a_stream(client, server):
    # grpcio loses it in about half of the streams that end while a request is being written.
    server.stream_error = served.PermissionDenied("not yours")
    for _ in range(30):
        server.stream_breaks.append(0)
        with pytest.raises(errors.PermissionDenied, match="not yours"):
            async for _ in client.stream(items(20)):
                pass
    assert len(server.metadata) == 30


async def test_the_deadline_of_a_stream(client, server):
    server.held["m"] = asyncio.Event()
    with pytest.raises(errors.DeadlineExceeded):
        async for _ in client.stream(items(3), timeout=0.2):
            pass


async def test_an_error_of_the_source_reaches_the_caller(client, server):
    server.held["m"] = asyncio.Event()

    async def source():
        yield Item("m", [])
        await server.called.wait()
        raise LookupError("the cursor is gone")

    with pytest.raises(LookupError, match="cursor"):
        async for _ in client.stream(source()):
            pass
    await server.cancelled.wait()


async def test_a_stream_that_is_left_early_is_cancelled(client, server):
    server.held["slow"] = asyncio.Event()
    async with aclosing(client.stream([Item("m", []), Item("slow", [])])) as answers:
        async for _ in answers:
            break
    await server.cancelled.wait()


async def test_a_stream_whose_task_is_cancelled_lets_go_of_everything(client, server):
    server.held["m"] = asyncio.Event()

    async def consume():
        async for _ in client.stream(items(3)):
            pass

    task = asyncio.create_task(consume())
    await server.called.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.cancelled.wait()


async def test_a_window_of_nothing_is_refused(client):
    with pytest.raises(errors.InvalidRequest):
        await anext(client.stream(items(1), in_flight=0))
