"""Writing features: batches, what cannot be kept, and what is sent again; then over a real router."""

import math
import random

import pytest
from support.worlds import world

from croupier.stores.features import StoreDown, features_key, open_store
from croupier_client import AsyncClient, Client, FeatureRecord, Written
from croupier_client.deadline import Deadline
from croupier_client.errors import DeadlineExceeded, PermissionDenied, Unavailable
from croupier_client.features import Rejected, SendRecords, write
from croupier_client.messages import features as pb
from croupier_client.retry import RetryPolicy
from croupier_client.steps import Wait


def record(entity, **features):
    return FeatureRecord("g", entity, features)


def begin(records, *, timeout=None, now=100.0, retries=2):
    return write(
        records,
        policy=RetryPolicy(retries),
        deadline=Deadline.after(timeout, now),
        clock=lambda: now,
        rng=random.Random(1),
    )


def run(work, *answers):
    """What is sent, and what comes of it: each answer is for the next request."""
    sent, answer, left = [], None, list(answers)
    while True:
        try:
            step = work.send(answer)
        except StopIteration as end:
            return sent, end.value
        answer = None
        if isinstance(step, SendRecords):
            sent.append(list(step.request.records))
            answer = left.pop(0) if left else pb.WriteResponse(written=len(step.request.records))


def test_records_say_what_they_were_given():
    made = FeatureRecord("g", "e", {"a": 1, "t": "x", "no": None, "nan": math.nan}, 1.5, 60)
    (((one,),), written) = run(begin([made]))
    assert (one.group, one.entity_id, one.event_ms, one.keep_seconds) == ("g", "e", 1500, 60.0)
    assert [(value.name, value.number, value.text) for value in one.values] == [
        ("a", 1.0, ""),
        ("t", 0.0, "x"),
    ]
    assert written == Written(1, 0, ())


def test_batches_are_bounded_by_records_and_by_bytes():
    sent, written = run(begin(record(str(at), a=1) for at in range(1201)))
    assert [len(batch) for batch in sent] == [500, 500, 201]
    assert written.written == 1201
    sent, _ = run(begin([record(str(at), t="x" * 200_000) for at in range(5)]))
    assert [len(batch) for batch in sent] == [2, 2, 1]
    assert run(begin([])) == ([], Written(0, 0, ()))


def test_what_cannot_be_kept_is_named_by_its_place_among_all():
    records = [record(str(at), a=1) for at in range(600)]
    records[3] = record("bad", a=object())
    records[599] = FeatureRecord("g", 7, {"a": 1})
    first = pb.WriteResponse(written=499, rejected=1)
    first.first_rejected.add(index=4, message="no", reason="BAD")
    second = pb.WriteResponse(written=97, rejected=1)
    second.first_rejected.add(index=0, message="neither", reason="BAD")
    _, written = run(begin(records), first, second)
    assert (written.written, written.rejected) == (596, 4)
    assert sorted(one.index for one in written.first_rejected) == [3, 5, 501, 599]
    assert Rejected(5, "no", "BAD") in written.first_rejected


def test_only_what_is_unavailable_is_sent_again_and_as_it_was():
    sent, written = run(begin([record("1", a=1)]), Unavailable("down"), Unavailable("down"))
    assert sent == [sent[0]] * 3
    assert written.written == 1
    with pytest.raises(Unavailable):
        run(begin([record("1", a=1)], retries=1), Unavailable("down"), Unavailable("down"))
    with pytest.raises(PermissionDenied):
        run(begin([record("1", a=1)]), PermissionDenied("no"))


def test_waits_lie_between_attempts_and_end_with_the_deadline():
    work = begin([record("1", a=1)])
    work.send(None)
    assert isinstance(work.send(Unavailable("down")), Wait)
    with pytest.raises(DeadlineExceeded):
        run(begin([record("1", a=1)], timeout=0.0))


@pytest.fixture
async def stage(tmp_path):
    async with world(cells=1, hand_size=1, features_store=f"lmdb:{tmp_path}/features") as stage:
        yield stage


async def kept(tmp_path, *entities):
    store = open_store(f"lmdb:{tmp_path}/features")
    try:
        found = await store.get_many([features_key("acme", "g", entity) for entity in entities])
        return [blob is not None for blob in found]
    finally:
        await store.close()


async def test_both_clients_write_to_a_router(tmp_path):
    import asyncio

    def blocking(address):
        with Client(address, tenant="acme") as client:
            return client.write_features([record("2", a=1), record("", a=1)])

    async with world(cells=1, hand_size=1, features_store=f"lmdb:{tmp_path}/features") as stage:
        async with AsyncClient(stage.router.address, tenant="acme") as client:
            assert await client.write_features([record("1", a=1)]) == Written(1, 0, ())
        written = await asyncio.to_thread(blocking, stage.router.address)
    assert (written.written, written.rejected, written.first_rejected[0].index) == (1, 1, 1)
    assert await kept(tmp_path, "1", "2", "3") == [True, True, False]


async def test_a_store_that_is_back_gets_what_it_did_not_take(stage, tmp_path, monkeypatch):
    from croupier.stores.features_embedded import EmbeddedFeatures

    put, calls = EmbeddedFeatures.put_many, []

    async def fails(self, items, keep_seconds):
        calls.append(len(items))
        if len(calls) <= 2:
            raise StoreDown("down")
        await put(self, items, keep_seconds)

    monkeypatch.setattr(EmbeddedFeatures, "put_many", fails)
    async with AsyncClient(stage.router.address, tenant="acme") as client:
        assert (await client.write_features([record("1", a=1)])).written == 1
    assert len(calls) == 4


async def test_errors_are_those_of_the_sdk(stage, monkeypatch):
    from croupier.stores.features_embedded import EmbeddedFeatures

    async def fails(self, items, keep_seconds):
        raise StoreDown("down")

    monkeypatch.setattr(EmbeddedFeatures, "put_many", fails)
    async with AsyncClient(stage.router.address, tenant="acme", retries=0) as client:
        with pytest.raises(Unavailable) as caught:
            await client.write_features([record("1", a=1)])
    assert caught.value.reason == "FEATURE_STORE_DOWN"
