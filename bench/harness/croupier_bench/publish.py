"""Publishes the models that a scenario asks for, so that answers can be verified: `croupier-bench prepare`.

Each is a linear model of `models`, published as version 1, and as each version that an event of the scenario
releases; all traffic goes to version 1. Cells are not asked to load anything: what is to be cold stays cold.

                        ┌─▶ publish what is missing ─▶ release version 1 ─┐
    tenants, listed ──▶─┼─▶ …                          unless it is       ├─▶ counted
     one after the other └─▶ … as many at a time as `at_once`             ─┘

What is there already stays: who runs it again publishes nothing twice, and goes on where it was broken off.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import grpc
import numpy as np

from croupier.artifacts.engines import LINEAR
from croupier.artifacts.format import Tensor, digest_of, pack
from croupier.backoff import Backoff, Pauses
from croupier.errors import AlreadyExists, CroupierError, FailedPrecondition, InvalidRequest, Unavailable
from croupier.grpcio.channels import credentials
from croupier.grpcio.manager import VersionManagerClient
from croupier.settings import ClientTls
from croupier_bench.classes import RequestClass
from croupier_bench.keys import ScenarioError
from croupier_bench.models import Models
from croupier_bench.scenario import Scenario
from croupier_bench.verify import FIRST_VERSION, versions_of
from protos.versions.v1 import versions_pb2 as pb

T = TypeVar("T")

# More take no less time: the version manager has its processor full.
AT_ONCE = 16
# All traffic, in basis points.
_WHOLE = 10_000
_PAGE = 1_000
_TRIES = 6
_BACKOFF = Backoff(first=0.2, longest=5.0)
# The header of a linear section: docs/artifacts.md.
_HEADER = struct.Struct("<HBB 5I d")
_LAYOUT = 1
# What cells take for their own models.
_DATATYPES = ("FP32", "FP64")


class OtherModels(FailedPrecondition):
    """Other models of these names are there. The author's: take another prefix, or the same seed."""

    reason = "OTHER_MODELS"


@dataclass(slots=True)
class Published:
    """How far it is: `done` of `models`; versions and releases that there were not before."""

    models: int = 0
    done: int = 0
    versions: int = 0
    releases: int = 0

    def __str__(self) -> str:
        return (
            f"{self.done} of {self.models} models are there: {self.versions} versions were published, "
            f"{self.releases} released"
        )


@dataclass(frozen=True, slots=True)
class _Job:
    """One model, and what of it is there already."""

    asked: Models
    model_index: int
    tenant: str
    name: str
    versions: Sequence[int]
    known: pb.Model = field(default_factory=pb.Model)


def prepare(scenario: Scenario, *, at_once: int = AT_ONCE) -> Published:
    """Publish them, with a progress bar where a person watches.

    Raises:
        ScenarioError: it names no version manager, or asks for what no linear model takes.
        CroupierError: what the version manager answered.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("publishing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("publishing")

        def watch(so_far: Published) -> None:
            progress.update(bar, completed=so_far.done, total=so_far.models)

        found = asyncio.run(publish(scenario, at_once=at_once, watch=watch))
    console.print(str(found), highlight=False)
    return found


async def publish(
    scenario: Scenario, *, at_once: int = AT_ONCE, watch: Callable[[Published], None] = lambda so_far: None
) -> Published:
    """As `prepare`, in a running loop; `watch` is called after each model."""
    _check(scenario)
    tls = _credentials(scenario.target.manager_tls)
    found = Published(sum(1 for _ in _wanted(scenario)))
    async with VersionManagerClient(scenario.target.manager, tls) as manager:
        jobs: asyncio.Queue[_Job | None] = asyncio.Queue(2 * at_once)

        async def work() -> None:
            while (job := await jobs.get()) is not None:
                await _publish_one(manager, job, found)
                found.done += 1
                watch(found)

        async def feed() -> None:
            async for job in _jobs(manager, scenario):
                await jobs.put(job)
            for _ in range(at_once):
                await jobs.put(None)

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(feed())
                for _ in range(at_once):
                    tasks.create_task(work())
        except* CroupierError as errors:
            # Of several that failed at the same time one says it.
            raise _first(errors) from None
    return found


def artifact(models: Models, model_index: int, version: int) -> bytes:
    """A version of one of the models, packed for the engine `linear`."""
    header = _HEADER.pack(_LAYOUT, 0, 0, 0, models.features, 1, 0, 0, 1.0)
    intercept = np.array([models.intercept(model_index, version)], "<f8")
    weights = models.weights(model_index).astype("<f8")
    # No feature has categories.
    section = b"".join((header, intercept.tobytes(), weights.tobytes(), bytes(8)))
    return pack(
        engine=LINEAR,
        inputs=[Tensor(models.input, "FP64", (-1, models.features))],
        outputs=[Tensor("value", "FP32", (-1, 1))],
        sections={LINEAR: section},
        finite=True,
    )


async def _publish_one(manager: VersionManagerClient, job: _Job, found: Published) -> None:
    digests = {version.number: version.artifact for version in job.known.versions}
    for version in job.versions:
        data = artifact(job.asked, job.model_index, version)
        if digests.get(version) == digest_of(data):
            continue
        if version in digests:
            raise _other(job, version)
        try:
            await _patiently(lambda: manager.publish(job.tenant, job.name, data, version=version))  # noqa: B023
        except AlreadyExists as error:
            raise _other(job, version) from error
        found.versions += 1
    if [(split.version, split.basis_points) for split in job.known.release.splits] == [
        (FIRST_VERSION, _WHOLE)
    ]:
        return
    release = pb.SetReleaseRequest(
        tenant=job.tenant,
        name=job.name,
        splits=[pb.Split(version=FIRST_VERSION, basis_points=_WHOLE)],
        labels=job.known.release.labels,
        skip_warming=True,
    )
    await _patiently(lambda: manager.set_release(release))
    found.releases += 1


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call that may be made twice, again if it fails for what passes by itself."""
    pauses = Pauses(_BACKOFF, random.Random())
    for _ in range(_TRIES - 1):
        try:
            return await call()
        except Unavailable as error:
            await asyncio.sleep(max(error.retry_after, pauses.next()))
    return await call()


async def _jobs(manager: VersionManagerClient, scenario: Scenario) -> AsyncIterator[_Job]:
    """All models; what is there of a tenant's is asked once, before its first one."""
    known: dict[str, pb.Model] = {}
    whose = ""
    for job in _wanted(scenario):
        if job.tenant != whose:
            whose, known = job.tenant, await _models_of(manager, job.tenant)
        yield _Job(
            job.asked, job.model_index, job.tenant, job.name, job.versions, known.get(job.name) or pb.Model()
        )


async def _models_of(manager: VersionManagerClient, tenant: str) -> dict[str, pb.Model]:
    found: dict[str, pb.Model] = {}
    request = pb.ListModelsRequest(tenant=tenant, page_size=_PAGE)
    while True:
        page = await _patiently(lambda: manager.list_models(request))
        found |= {model.name: model for model in page.models}
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


def _wanted(scenario: Scenario) -> Iterator[_Job]:
    """Each model once, one tenant's of a class together."""
    versions = {whose: sorted(released) for whose, released in versions_of(scenario.events).items()}
    for place, asked in enumerate(scenario.classes):
        models = Models(asked, scenario.seed)
        before = [other for other in scenario.classes[:place] if asked.may_share_models(other)]
        seen = {
            (other.tenant(index), other.model(index)) for other in before for index in range(other.all_models)
        }
        for index in _by_tenant(asked):
            whose = asked.tenant(index), asked.model(index)
            if whose not in seen:
                yield _Job(models, index, *whose, versions.get(whose, [FIRST_VERSION]))


def _by_tenant(asked: RequestClass) -> Iterator[int]:
    for tenant in range(asked.tenants):
        yield from range(tenant, asked.models, asked.tenants)
        yield from range(asked.models + tenant, asked.all_models, asked.tenants)


def _check(scenario: Scenario) -> None:
    if not scenario.target.manager:
        raise ScenarioError("target.manager", "it is missing: host:port of the version manager to publish to")
    for at, asked in enumerate(scenario.classes):
        if asked.datatype not in _DATATYPES:
            raise ScenarioError(
                f"class[{at}].datatype", f"models that are published take {' or '.join(_DATATYPES)}"
            )


def _credentials(tls: ClientTls | None) -> grpc.ChannelCredentials | None:
    if tls is None:
        return None
    try:
        return credentials(tls.ca, tls.certificate, tls.key)
    except OSError as error:
        raise ScenarioError("target.manager_tls", f"cannot read {error.filename}: {error.strerror}") from None
    except InvalidRequest as error:
        raise ScenarioError("target.manager_tls", str(error)) from None


def _other(job: _Job, version: int) -> OtherModels:
    return OtherModels(
        f"{job.tenant} has another model {job.name} of version {version}: published with another seed, or "
        "with another number of features, or by somebody else. Give the class another `prefix`"
    )


def _first(errors: BaseExceptionGroup[CroupierError]) -> CroupierError:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
