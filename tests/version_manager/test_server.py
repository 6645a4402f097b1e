"""The whole API through real gRPC, on a real etcd and a real store."""

import hashlib
import json

import grpc
import pytest
from support.manager import Fleet, artifact, generation, release

from croupier.artifacts.format import digest_of
from croupier.errors import (
    AlreadyExists,
    Conflict,
    DataLoss,
    FailedPrecondition,
    InvalidRequest,
    NotFound,
    TooLarge,
)
from croupier.grpcio.channels import open_async
from croupier.grpcio.rpc_errors import from_rpc_error
from croupier.stores.objects import open_store
from protos.versions.v1 import versions_pb2 as pb
from protos.versions.v1 import versions_pb2_grpc

BAD_NAMES = ["", "a\0b", "../etc", "..", "a/b", "a\\b", " a", "e\u0301", "x" * 129]


async def test_a_published_version_is_listed_and_resolved_at_once(fleet, client):
    made = await client.publish("acme", "churn", artifact(), release_if_first=True)
    assert (made.number, made.engine, made.size) == (1, "onnx", len(artifact()))
    assert made.artifact == digest_of(artifact())
    model = await client.get_model("acme", "churn")
    made.ClearField("revision")
    assert list(model.versions) == [made]
    whole = [pb.Split(version=1, basis_points=10_000)]
    assert model.release == pb.Release(number=1, splits=whole, at=model.release.at)
    resolved = await client.resolve(pb.ResolveRequest(tenant="acme", name="churn"))
    assert (resolved.version, resolved.release) == (made, model.release)
    async with open_store(f"file://{fleet.folder / 'objects'}") as store:
        assert await store.get(made.artifact) == artifact()


async def test_versions_are_numbered_and_immutable(client):
    first = await client.publish("acme", "churn", artifact("1"))
    second = await client.publish("acme", "churn", artifact("2"))
    assert (first.number, second.number) == (1, 2)
    assert await client.publish("acme", "churn", artifact("1")) == first
    assert await client.publish("acme", "churn", artifact("2"), version=2) == second
    with pytest.raises(AlreadyExists):
        await client.publish("acme", "churn", artifact("3"), version=2)
    assert (await client.publish("acme", "churn", artifact("3"), version=9)).number == 9
    assert (await client.publish("acme", "churn", artifact("4"))).number == 10


async def test_only_the_first_version_is_released_by_itself(client):
    await client.publish("acme", "churn", artifact("1"))
    assert not (await client.get_model("acme", "churn")).HasField("release")
    await client.publish("acme", "churn", artifact("1"), release_if_first=True)
    await client.publish("acme", "churn", artifact("2"), release_if_first=True)
    assert (await client.get_model("acme", "churn")).release.splits[0].version == 1


async def test_models_are_listed_in_pages(client):
    for tenant in ("acme", "beta"):
        for name in ("churn", "fraud"):
            await client.publish(tenant, name, artifact())
    first = await client.list_models(pb.ListModelsRequest(page_size=3))
    second = await client.list_models(pb.ListModelsRequest(page_size=3, page_token=first.next_page_token))
    places = [(model.tenant, model.name) for model in [*first.models, *second.models]]
    assert places == [("acme", "churn"), ("acme", "fraud"), ("beta", "churn"), ("beta", "fraud")]
    assert not second.next_page_token
    assert len((await client.list_models(pb.ListModelsRequest(tenant="beta"))).models) == 2


async def test_a_version_goes_unless_the_release_names_it(client):
    for text in "123":
        await client.publish("acme", "churn", artifact(text))
    await client.set_release(release("acme", "churn", (1, 10_000), canary=2))
    for number in (1, 2):
        with pytest.raises(FailedPrecondition) as refused:
            await client.delete_version("acme", "churn", number)
        assert refused.value.reason == "VERSION_IN_USE"
    await client.delete_version("acme", "churn", 3)
    assert [one.number for one in (await client.get_model("acme", "churn")).versions] == [1, 2]
    with pytest.raises(NotFound):
        await client.delete_version("acme", "churn", 3)


async def test_the_number_of_a_deleted_version_is_never_given_again(client):
    for text in "123":
        await client.publish("acme", "churn", artifact(text))
    await client.delete_version("acme", "churn", 3)
    for number in (3, 2):
        with pytest.raises(AlreadyExists):
            await client.publish("acme", "churn", artifact("4"), version=number)
    assert (await client.publish("acme", "churn", artifact("4"))).number == 4
    # What stands below is as it was; a gap above is nobody's yet.
    assert (await client.publish("acme", "churn", artifact("2"), version=2)).number == 2
    assert (await client.publish("acme", "churn", artifact("9"), version=9)).number == 9
    assert (await client.publish("acme", "churn", artifact("7"), version=7)).number == 7


async def test_a_model_that_is_made_again_goes_on_counting(client):
    for text in "12":
        await client.publish("acme", "churn", artifact(text), release_if_first=True)
    await client.set_release(release("acme", "churn", (2, 10_000)))
    await client.delete_model("acme", "churn")
    with pytest.raises(AlreadyExists) as spent:
        await client.publish("acme", "churn", artifact("1"), version=1)
    assert spent.value.reason == "VERSION_SPENT"
    assert (await client.publish("acme", "churn", artifact("1"), release_if_first=True)).number == 3
    model = await client.get_model("acme", "churn")
    assert [one.number for one in model.versions] == [3]
    assert model.release.number == 3
    # A change that was made against the old model finds no release of its number.
    with pytest.raises(Conflict):
        await client.set_release(release("acme", "churn", (3, 10_000), expected=2))


async def test_models_may_be_removed_one_after_another_to_the_last(fleet, client):
    for name in ("churn", "fraud", "spam"):
        await client.publish("acme", name, artifact(), release_if_first=True)
    for name in ("churn", "fraud", "spam"):
        await client.delete_model("acme", name)
    assert not (await client.list_models(pb.ListModelsRequest())).models
    assert (await client.publish("acme", "churn", artifact())).number == 2


async def test_a_model_goes_whole(fleet, client):
    await client.publish("acme", "churn", artifact("1"), release_if_first=True)
    await client.publish("acme", "churn", artifact("2"))
    await client.publish("acme", "churn2", artifact())
    await client.delete_model("acme", "churn")
    with pytest.raises(NotFound):
        await client.get_model("acme", "churn")
    assert len((await fleet.raw.range("croupier/models/")).items) == 1


async def test_releases_are_swapped_by_number(client):
    for text in "12":
        await client.publish("acme", "churn", artifact(text))
    first = await client.set_release(release("acme", "churn", (1, 10_000)))
    second = await client.set_release(release("acme", "churn", (1, 9_000), (2, 1_000), expected=1, new=2))
    assert (first.number, second.number, second.labels) == (1, 2, {"new": 2})
    with pytest.raises(Conflict) as stale:
        await client.set_release(release("acme", "churn", (2, 10_000), expected=1))
    assert (stale.value.reason, stale.value.metadata) == ("STALE_RELEASE", {"current": "2"})
    assert (await client.set_release(release("acme", "churn", (2, 10_000)))).number == 3


@pytest.mark.parametrize(
    "request_",
    [
        release("acme", "churn"),
        release("acme", "churn", (1, 9_999)),
        release("acme", "churn", (1, 5_000), (1, 5_000)),
        release("acme", "churn", (9, 10_000)),
        release("acme", "churn", (1, 10_000), canary=9),
        release("acme", "churn", (1, 10_000), **{"../x": 1}),
        release("acme", "churn", *((number, 1) for number in range(1, 102))),
    ],
)
async def test_a_release_that_cannot_be_served_is_refused(client, request_):
    await client.publish("acme", "churn", artifact())
    with pytest.raises(InvalidRequest):
        await client.set_release(request_)


async def test_resolving_by_version_label_and_key(client):
    for text in "12":
        await client.publish("acme", "churn", artifact(text))
    await client.set_release(release("acme", "churn", (1, 5_000), (2, 5_000), new=2))

    async def resolve(**asked) -> pb.ResolveResponse:
        return await client.resolve(pb.ResolveRequest(tenant="acme", name="churn", **asked))

    assert (await resolve(version=1)).version.number == 1
    assert (await resolve(label="new")).version.number == 2
    for key in ("a", "b", "c", "d", "e", "f"):
        answer = await resolve(routing_key=key)
        assert answer.version.number == (1 if answer.point < 5_000 else 2)
        assert answer == await resolve(routing_key=key)
    with pytest.raises(InvalidRequest):
        await resolve(version=1, label="new")


@pytest.mark.parametrize(
    "asked",
    [
        {"tenant": "nobody", "name": "churn"},
        {"tenant": "acme", "name": "nothing"},
        {"tenant": "acme", "name": "churn", "version": 9},
        {"tenant": "acme", "name": "churn", "label": "beta"},
    ],
)
async def test_what_is_unknown_is_not_found(client, asked):
    await client.publish("acme", "churn", artifact(), release_if_first=True)
    with pytest.raises(NotFound):
        await client.resolve(pb.ResolveRequest(**asked))


async def test_mutations_of_unknown_models_are_not_found(client):
    for call in (
        client.get_model("acme", "churn"),
        client.delete_model("acme", "churn"),
        client.delete_version("acme", "churn", 1),
        client.set_release(release("acme", "churn", (1, 10_000))),
        client.get_generation(),
        client.get_generation(5),
    ):
        with pytest.raises(NotFound):
            await call


async def test_bad_names_are_refused_everywhere(fleet, client):
    for bad in BAD_NAMES:
        for tenant, name in ((bad, "churn"), ("acme", bad)):
            for call in (
                client.publish(tenant, name, artifact()),
                client.get_model(tenant, name),
                client.delete_version(tenant, name, 1),
                client.delete_model(tenant, name),
                client.set_release(release(tenant, name, (1, 10_000))),
                client.resolve(pb.ResolveRequest(tenant=tenant, name=name)),
            ):
                with pytest.raises(InvalidRequest) as refused:
                    await call
                assert refused.value.field in {"tenant", "name"}
    for bad in BAD_NAMES[1:]:
        with pytest.raises(InvalidRequest):
            await client.list_models(pb.ListModelsRequest(tenant=bad))
        with pytest.raises(InvalidRequest):
            await client.resolve(pb.ResolveRequest(tenant="acme", name="churn", label=bad))
    assert not await fleet.kept()


@pytest.mark.parametrize("number", [0, 2**63])
async def test_bad_version_numbers_are_refused(client, number):
    with pytest.raises(InvalidRequest):
        await client.delete_version("acme", "churn", number)
    if number:
        with pytest.raises(InvalidRequest):
            await client.publish("acme", "churn", artifact(), version=number)


async def upload(fleet: Fleet, *parts: pb.PublishRequest) -> pb.Version:
    async with open_async(fleet.address) as channel:
        stub = versions_pb2_grpc.VersionManagerStub(channel)
        try:
            return await stub.Publish(iter(parts))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error


def header(data: bytes, *, size: int | None = None, digest: bytes | None = None) -> pb.PublishRequest:
    return pb.PublishRequest(
        header=pb.PublishRequest.Header(
            tenant="acme",
            name="churn",
            artifact=hashlib.sha256(data).digest() if digest is None else digest,
            size=len(data) if size is None else size,
        )
    )


def chunk(data: bytes) -> pb.PublishRequest:
    return pb.PublishRequest(chunk=data)


DATA = artifact()


@pytest.mark.parametrize(
    "data", [DATA[:-1], DATA[:10], b"", DATA[:-1] + bytes([DATA[-1] ^ 1]), b"not an artifact at all"]
)
async def test_bytes_that_do_not_match_their_digest_are_refused_before_they_are_parsed(fleet, data):
    with pytest.raises(DataLoss):
        await upload(fleet, header(DATA), chunk(data))
    assert not await fleet.kept()
    assert not list((fleet.folder / "objects").rglob("*/*"))


@pytest.mark.parametrize("data", [DATA[:-1], DATA[:10], b"", DATA + b"\0", b"not an artifact at all"])
async def test_bytes_that_are_no_artifact_are_refused(fleet, data):
    with pytest.raises(InvalidRequest) as refused:
        await upload(fleet, header(data), chunk(data))
    assert (refused.value.field, refused.value.reason) == ("artifact", "INVALID_ARTIFACT")
    assert not await fleet.kept()


async def test_an_upload_follows_its_protocol(fleet):
    for parts in (
        [],
        [chunk(DATA)],
        [pb.PublishRequest()],
        [header(DATA), header(DATA)],
        [header(DATA), pb.PublishRequest()],
        [header(DATA, digest=b"short"), chunk(DATA)],
        [header(DATA), chunk(DATA), chunk(b"more")],
    ):
        with pytest.raises(InvalidRequest):
            await upload(fleet, *parts)
    assert (await upload(fleet, header(DATA), chunk(DATA[:7]), chunk(b""), chunk(DATA[7:]))).number == 1


async def test_an_artifact_over_the_limit_is_refused_by_its_header(tmp_path):
    async with Fleet(tmp_path, max_artifact_bytes=len(DATA)) as fleet:
        with pytest.raises(TooLarge):
            await upload(fleet, header(DATA, size=len(DATA) + 1))
        assert (await fleet.client.publish("acme", "churn", DATA)).number == 1


async def test_who_writes_is_told_where_the_catalog_has_it(fleet, client):
    first = await client.publish("acme", "churn", artifact("1"), release_if_first=True)
    name, _, revision = first.revision.partition(":")
    begin = (await anext(client.watch())).begin
    assert (begin.catalog, begin.revision) == (name, int(revision))
    second = await client.publish("acme", "churn", artifact("2"))
    other = await client.publish("acme", "fraud", artifact("3"))
    released = await client.set_release(release("acme", "churn", (2, 10_000)))
    revisions = [int(one.revision.removeprefix(f"{name}:")) for one in (first, second, other, released)]
    assert revisions == sorted(set(revisions))
    # The same bytes again change nothing, and stand where the model stands.
    again = await client.publish("acme", "churn", artifact("2"))
    assert again.revision == released.revision
    # It is in answers only.
    assert {version.revision for version in (await client.get_model("acme", "churn")).versions} == {""}


async def test_what_is_probably_not_meant_is_told_and_done(client):
    wanted = generation("a")
    wanted.overrides["acne"].hand_size = 2
    made = await client.set_generation(wanted, 0)
    assert list(made.warnings) == [
        "hands of 2 are larger than the fleet: 1 seats are dealt",
        "seat a: no such cell is registered",
        "override acne: a hand of 2 is larger than the fleet, 1 seats",
        "override acne: there is no such tenant, none has a model here",
    ]
    assert (await client.get_generation()).warnings == made.warnings
    kept = await client.set_residency(pb.SetResidencyRequest(tenant="acne", floor_bytes=5))
    assert list(kept.warnings) == ["there is no tenant acne: none has a model here"]
    assert kept.revision


async def test_every_mutation_is_audited_in_its_transaction(fleet, client):
    await client.publish("acme", "churn", artifact("1"), release_if_first=True)
    await client.publish("acme", "churn", artifact("2"))
    await client.set_release(release("acme", "churn", (1, 10_000)))
    await client.delete_version("acme", "churn", 2)
    await client.set_generation(generation("a"), 0)
    await client.delete_model("acme", "churn")
    # Nothing was changed by these, so there is nothing to tell.
    await client.publish("acme", "fraud", artifact("1"))
    await client.publish("acme", "fraud", artifact("1"))
    with pytest.raises(Conflict):
        await client.set_generation(generation("a"), 0)

    entries = [json.loads(value) for value in await fleet.audit()]
    assert [(entry["what"], entry["target"]) for entry in entries] == [
        ("publish", "acme/churn/1"),
        ("set release", "acme/churn"),
        ("publish", "acme/churn/2"),
        ("set release", "acme/churn"),
        ("delete version", "acme/churn/2"),
        ("set generation", "1"),
        ("delete model", "acme/churn"),
        ("publish", "acme/fraud/1"),
    ]
    assert all("127.0.0.1" in entry["peer"] and entry["at"].startswith("20") for entry in entries)
    assert [entries[at]["release"]["number"] for at in (1, 3)] == [1, 2]
    written = {pair.mod_revision for pair in (await fleet.raw.range("croupier-audit/")).items}
    assert {pair.mod_revision for pair in await fleet.kept()} <= written


async def test_an_undecodable_request_is_an_invalid_argument(fleet):
    async with open_async(fleet.address) as channel:
        service = "/croupier.versions.v1.VersionManager/"
        for call in (
            channel.unary_unary(f"{service}GetModel")(b"\xff\xff"),
            channel.unary_unary(f"{service}SetRelease")(b"\xff\xff"),
            channel.stream_unary(f"{service}Publish")(iter([b"\xff\xff"])),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
