"""The blocking client, in a thread, against a real server in this one."""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from croupier import errors as served
from croupier_client import Client, InvalidFeatures, Item, Prediction, errors


@pytest.fixture
async def client(server):
    opened = Client(server.target, tenant="acme", token="secret", timeout=20.0)
    yield opened
    await asyncio.to_thread(opened.close)


def items(count, model="m"):
    return [Item(model, [float(index)]) for index in range(count)]


def consume(client, *args, **options):
    return dict(client.stream(*args, **options))


async def test_a_prediction(client, server):
    found = await asyncio.to_thread(client.predict, "churn", {"a": 1.0, "b": 2.0}, version=3)
    assert Prediction({"sum": [3.0]}, 3, 0.0015) == found
    assert server.metadata[0]["croupier-tenant"] == "acme"
    assert server.metadata[0]["authorization"] == "Bearer secret"
    assert 0.0 < server.timeouts[0] <= 21.0


async def test_who_asks_is_told_by_a_token_which_cell_answered(server):
    server.item_failures["bad"].append(served.NotFound("no such model"))

    def ask():
        with Client(server.target, debug=True) as client:
            one = client.predict("m", [])
            return [one, *client.predict_many([Item("m", [1.0]), Item("bad", [])])]

    found = await asyncio.to_thread(ask)
    assert [one.debug for one in found] == ["token-1-1", "token-1-2", "token-1-2"]


async def test_every_call_may_say_which_catalog_it_wants(client, server):
    await asyncio.to_thread(client.predict, "m", [], min_revision="c:1")
    await asyncio.to_thread(client.predict_many, items(1), min_revision="c:2")
    await asyncio.to_thread(consume, client, items(1), min_revision="c:3")
    await asyncio.to_thread(client.predict, "m", [])
    shown = [call.get("croupier-min-revision") for call in server.metadata]
    assert shown == ["c:1", "c:2", "c:3", None]


async def test_every_call_may_be_called_as_its_caller_wants(client, server):
    await asyncio.to_thread(client.predict, "m", [], request_id="r-1")
    await asyncio.to_thread(client.predict_many, items(1), request_id="r-2")
    await asyncio.to_thread(consume, client, items(1), request_id="r-3")
    await asyncio.to_thread(client.predict, "m", [])
    shown = [call.get("x-request-id") for call in server.metadata]
    assert shown == ["r-1", "r-2", "r-3", None]


async def test_every_call_may_be_of_a_lower_priority(client, server):
    await asyncio.to_thread(client.predict, "m", [], priority="batch")
    await asyncio.to_thread(client.predict_many, items(1), priority="batch")
    await asyncio.to_thread(consume, client, items(1), priority="batch")
    await asyncio.to_thread(client.predict, "m", [])
    assert [call.get("croupier-priority") for call in server.metadata] == [*["batch"] * 3, None]


async def test_threads_share_a_client(client):
    def work(number):
        return client.predict("m", [float(number)]).value

    with ThreadPoolExecutor(4) as pool:
        loop = asyncio.get_running_loop()
        found = await asyncio.gather(*[loop.run_in_executor(pool, work, i) for i in range(40)])
    assert [float(i) for i in range(40)] == found


async def test_many_predictions_in_order(client, server):
    server.item_failures["bad"].append(served.NotFound("no such model"))
    found = await asyncio.to_thread(client.predict_many, [Item("bad", []), *items(2)])
    assert [errors.NotFound, Prediction, Prediction] == [type(outcome) for outcome in found]


async def test_a_call_fails_with_the_servers_error(client, server):
    server.failures.append(served.QuotaExceeded("too many", retry_after=2.5))
    with pytest.raises(errors.QuotaExceeded) as caught:
        await asyncio.to_thread(client.predict, "m", [])
    assert caught.value.retry_after == 2.5


async def test_unavailable_is_tried_again(client, server):
    server.failures.append(served.Unavailable("drain"))
    server.item_failures["m"].append(served.Unavailable("whole hand down"))
    assert (await asyncio.to_thread(client.predict, "m", [])).value == 0.0
    assert len(server.metadata) == 3


async def test_the_deadline_ends_the_call(client, server):
    server.held["m"] = asyncio.Event()
    with pytest.raises(errors.DeadlineExceeded):
        await asyncio.to_thread(client.predict, "m", [], timeout=0.2)


async def test_closing_cancels_the_calls_of_other_threads(client, server):
    server.held["m"] = asyncio.Event()
    call = asyncio.create_task(asyncio.to_thread(client.predict, "m", []))
    await server.called.wait()
    await asyncio.to_thread(client.close)
    with pytest.raises(errors.Cancelled):
        await call


async def test_a_client_that_was_closed_says_so(client):
    await asyncio.to_thread(client.close)
    with pytest.raises(errors.Cancelled, match="closed"):
        await asyncio.to_thread(client.predict, "m", [])
    with pytest.raises(errors.Cancelled, match="closed"):
        await asyncio.to_thread(consume, client, items(1))


FORKED = """
import os, sys
from croupier_client import Client

client = Client(sys.argv[1], timeout=20.0)
assert client.predict("m", [1.0]).value == 1.0
child = os.fork()
for number in range(20):
    assert client.predict("m", [float(number)]).value == number
assert [prediction.value for _, prediction in client.for_tenant("acme").stream([])] == []
if child == 0:
    # Later releases of grpcio open one by themselves, as the process forks; up to 1.42 both would time out.
    assert client._connection._inherited is not None
    client.close()
    os._exit(0)
assert os.waitpid(child, 0) == (child, 0)
assert client.predict("m", [2.0]).value == 2.0
"""


async def test_a_forked_child_has_a_connection_of_its_own(server):
    command = [sys.executable, "-c", FORKED, server.target]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    assert len(set(server.peers)) == 2


async def test_a_stream_answers_every_item_once(client, server):
    found = await asyncio.to_thread(consume, client, items(200), in_flight=8)
    assert {index: float(index) for index in range(200)} == {i: p.value for i, p in found.items()}
    assert server.most_unanswered <= 8
    assert len(server.metadata) == 1
    assert server.streams_ended == 1


async def test_a_stream_of_nothing_ends(client):
    assert await asyncio.to_thread(consume, client, []) == {}


async def test_the_source_is_read_in_the_callers_thread(client):
    readers = set()

    def source():
        for item in items(20):
            readers.add(threading.get_ident())
            yield item

    def work():
        list(client.stream(source(), in_flight=2))
        return threading.get_ident()

    assert {await asyncio.to_thread(work)} == readers


async def test_items_of_a_stream_fail_alone(client, server):
    server.item_failures["bad"].append(served.NotFound("no such model"))
    source = [Item("m", []), Item("bad", []), Item("m", "text"), Item("m", [])]
    found = await asyncio.to_thread(consume, client, source)
    expected = {0: Prediction, 1: errors.NotFound, 2: InvalidFeatures, 3: Prediction}
    assert expected == {index: type(outcome) for index, outcome in found.items()}


async def test_a_stream_goes_on_after_its_connection_broke(client, server):
    server.stream_breaks.extend([0, 5, 1])
    found = await asyncio.to_thread(consume, client, items(40), in_flight=4)
    assert {index: float(index) for index in range(40)} == {i: p.value for i, p in found.items()}
    assert len(server.metadata) == 4


async def test_every_connection_of_a_stream_reads_the_token(server):
    server.stream_breaks.extend([1])
    tokens = iter(["first", "second"])
    with Client(server.target, token=lambda: next(tokens)) as client:
        assert len(await asyncio.to_thread(consume, client, items(3), in_flight=1)) == 3
    assert [call["authorization"] for call in server.metadata] == ["Bearer first", "Bearer second"]


async def test_a_stream_that_brings_nothing_fails(client, server):
    server.stream_breaks.extend([0, 0, 0])
    with pytest.raises(errors.Unavailable, match="broke"):
        await asyncio.to_thread(consume, client, items(3))


async def test_the_deadline_of_a_stream(client, server):
    server.held["m"] = asyncio.Event()
    with pytest.raises(errors.DeadlineExceeded):
        await asyncio.to_thread(consume, client, items(3), timeout=0.2)


async def test_an_error_of_the_source_reaches_the_caller(client, server):
    def source():
        yield Item("m", [])
        raise LookupError("the cursor is gone")

    with pytest.raises(LookupError, match="cursor"):
        await asyncio.to_thread(consume, client, source())


async def test_a_stream_that_is_left_early_is_cancelled(client, server):
    server.held["slow"] = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work():
        answers = client.stream([Item("m", []), Item("slow", [])])
        index, _ = next(answers)
        asyncio.run_coroutine_threadsafe(server.holds.wait(), loop).result(60.0)
        answers.close()
        return index

    assert await asyncio.to_thread(work) == 0
    await server.cancelled.wait()
