"""What a config and models say of each other: by artifacts, each read once, and not without end."""

import math

import pytest

from croupier.artifacts.format import InvalidArtifact, Tensor, digest_of, pack
from croupier.errors import NotFound
from protos.versions.v1 import versions_pb2 as pb
from version_manager import fits
from version_manager.fits import Fits, Signature, said, signature
from version_manager.model.catalog import Catalog
from version_manager.model.family import NUMBER, TEXT, Family, FeatureSpec
from version_manager.model.release import Model, Release, Split, Version

OUTPUTS = [Tensor("score", "FP32", (-1,))]
INFORMATION, WARNING, ERROR = pb.Finding.INFORMATION, pb.Finding.WARNING, pb.Finding.ERROR


def packed(*features: str, text: str = "model", **options: bool) -> bytes:
    inputs = [Tensor("input", "FP32", (-1, len(features) or 2))]
    sections = {"model": text.encode()}
    return pack(
        engine="onnx", features=features, inputs=inputs, outputs=OUTPUTS, sections=sections, **options
    )


def columns(**datatypes: str) -> bytes:
    inputs = [Tensor(name, datatype, (-1, 1)) for name, datatype in datatypes.items()]
    sections = {"model": b"columns"}
    features = tuple(datatypes)
    return pack(engine="onnx", features=features, inputs=inputs, outputs=OUTPUTS, sections=sections)


def family(*features: FeatureSpec, tenant: str = "") -> Family:
    return Family("churn", 1, features=features, tenant=tenant)


AGE, PLAN = FeatureSpec("age"), FeatureSpec("plan", TEXT)


def test_what_an_artifact_is_fed_with() -> None:
    assert signature(packed("age", "spend")) == Signature({"age": NUMBER, "spend": NUMBER}, False, True)
    assert signature(columns(age="FP32", plan="BYTES")).dtypes == {"age": NUMBER, "plan": TEXT}
    assert not signature(packed()).names_features
    with pytest.raises(InvalidArtifact):
        signature(b"?")


@pytest.mark.parametrize(
    ("specs", "data", "expected"),
    [
        ((AGE,), packed("age"), []),
        ((), packed("age"), [(INFORMATION, "age")]),
        ((AGE, FeatureSpec("agee")), packed("age"), [(WARNING, "agee")]),
        ((AGE, FeatureSpec("plan")), columns(age="FP32", plan="BYTES"), [(ERROR, "plan")]),
        ((AGE, PLAN), columns(age="FP32", plan="BYTES"), []),
        ((FeatureSpec("age", TEXT),), packed("age"), [(ERROR, "age")]),
        ((FeatureSpec("age", default=math.nan),), packed("age"), [(ERROR, "age")]),
        ((FeatureSpec("age", default=math.nan),), packed("age", accepts_missing=True), []),
        ((AGE,), packed(), [(WARNING, "")]),
        ((), packed(), []),
    ],
)
def test_what_they_say_of_each_other(
    specs: tuple[FeatureSpec, ...], data: bytes, expected: list[tuple[int, str]]
) -> None:
    assert [(level, name) for level, name, _ in said(family(*specs), signature(data))] == expected


class Store:
    """`gets` has what was read."""

    def __init__(self, *artifacts: bytes) -> None:
        self.kept = {digest_of(one): one for one in artifacts}
        self.gets: list[bytes] = []

    async def get(self, digest: bytes) -> bytes:
        self.gets.append(digest)
        if digest not in self.kept:
            raise NotFound("there is none")
        return self.kept[digest]


def model(tenant: str, data: bytes, name: str = "churn", *, released: bool = True) -> Model:
    versions = {
        1: Version(1, digest_of(data), len(data), "onnx", 0.0),
        2: Version(2, b"x" * 32, 1, "onnx", 0.0),
    }
    splits = (Split(2, 1_000), Split(1, 9_000))
    return Model(tenant, name, versions, Release(1, splits, {}) if released else None)


def looking(store: Store, *models: Model, clock: float = 0.0) -> Fits:
    catalog = Catalog.build("c", 1, models)
    times = iter([0.0] + [clock] * 1_000)
    return Fits(store, lambda: catalog, lambda: next(times))  # type: ignore[arg-type]


async def test_each_artifact_is_read_once_and_the_worst_comes_first() -> None:
    one, other, strange = packed("age"), packed("age", "extra"), columns(age="BYTES")
    store = Store(one, other, strange)
    models = [model(f"t{at}", one) for at in range(9)]
    models += [model("u0", other), model("u1", other), model("v0", strange)]
    models += [model("w0", one, "fraud"), model("x0", one, released=False)]
    fit = looking(store, *models)
    found, sample = await fit.look(family(AGE, FeatureSpec("more")))
    assert [(one.level, one.feature, one.models) for one in found] == [
        (ERROR, "age", 1),
        (WARNING, "more", 12),
        (INFORMATION, "extra", 2),
    ]
    assert found[0].tenants == ["v0"]
    assert (len(found[1].tenants), sorted(found[2].tenants)) == (3, ["u0", "u1"])
    assert sample == pb.Sample(models=12, models_total=12, artifacts=3)
    assert store.gets == [digest_of(one) for one in (one, other, strange)]
    await fit.look(family(AGE))
    assert len(store.gets) == 3


async def test_of_one_model_alone() -> None:
    one, other = packed("age"), packed("other")
    store = Store(one, other)
    fit = looking(store, model("acme", one), model("globex", other))
    found, sample = await fit.look(family(FeatureSpec("other"), tenant="globex"))
    assert (found, sample) == ([], pb.Sample(models=1, models_total=1, artifacts=1))


async def test_what_cannot_be_read_is_counted() -> None:
    good, gone, garbage = packed("age"), packed("gone"), b"garbage"
    store = Store(good, garbage)
    fit = looking(store, model("a", good), model("b", gone), model("c", garbage))
    found, sample = await fit.look(family(AGE))
    assert (found, sample) == ([], pb.Sample(models=1, models_total=3, artifacts=1, failed=2))


async def test_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts = [packed("age", text=str(at)) for at in range(5)]
    models = [model(f"t{at}", one) for at, one in enumerate(artifacts)]
    for name, most, read in (
        ("MOST_ARTIFACTS", 3, 3),
        ("MOST_BYTES", 2 * len(artifacts[0]), 2),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(fits, name, most)
            _, sample = await looking(Store(*artifacts), *models).look(family(AGE))
            assert sample == pb.Sample(models=read, models_total=5, artifacts=read)
    _, sample = await looking(Store(*artifacts), *models, clock=20.5).look(family(AGE))
    assert sample == pb.Sample(models_total=5)
