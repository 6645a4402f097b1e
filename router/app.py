"""The router process: builds its parts, serves, stops.

Ready means that a catalog is loaded, from the version manager or from the snapshot file; if it is from the
file, that a version manager has said what is new since, unless none does soon. Until then the process is
alive, and its health says NOT_SERVING; without a catalog predictions are refused with UNAVAILABLE.

It is long because every part is built and begun here, and each told of the others.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from croupier import lifecycle, protocol
from croupier.access import ROUTER, Access
from croupier.grpcio.channels import credentials
from croupier.grpcio.manager import VersionManagerClient
from croupier.grpcio.part import OwnPart
from croupier.lifecycle import Lifecycle
from croupier.priority import take_short_slices
from croupier.roles import Role
from croupier.settings import load
from croupier.stores.features import open_store
from croupier.stores.spool_folder import Spool
from croupier.telemetry import logs, metrics, page, stalls
from croupier.telemetry.admin import Admin
from croupier.telemetry.export import exporting
from croupier.telemetry.traces import Tracer
from croupier.transport.client import Channel
from croupier.transport.http2.limits import Limits
from croupier.transport.serving import Server
from croupier.version import version
from protos.versions.v1.versions_pb2 import ReportRouterResponse, RouterReport
from router import kept_shares, snapshot
from router.access_log import AccessLog
from router.admission import Admission
from router.attempt import Attempts, retries
from router.breakers import Breakers
from router.budget import RetryBudget
from router.cells import Cells
from router.concurrency import Limit
from router.debug import Beliefs
from router.feature_ingest import add_ingest, now_ms
from router.feature_reads import reads_of
from router.features import Features
from router.feeds import Timing, ViewFeed
from router.identity import HeaderIdentity, Identity, TokenIdentity
from router.kept_shares import KeptShares
from router.keyfile import KeyFiles
from router.latency import CellSeconds
from router.latest import Latest
from router.loads import Loads
from router.log import PredictionLog
from router.outliers import Outliers
from router.pipeline import Pipeline
from router.rates import Rates
from router.reports import Reports, report_of
from router.revisions import Revisions
from router.server import Handlers
from router.settings import RouterSettings
from router.shares import Shares
from router.stale import Stale
from router.tracing import LateSpans
from router.troubles import Troubles
from router.view import View
from router.wheel import Wheel, drive
from version_manager.model.limits import TenantLimits

_log = logging.getLogger(__name__)

_PROGRAM = "croupier-router"
# What the disk has may be old: a release since then would be unknown.
_FIRST_WORD_SECONDS = 1.0
# A cell answers what the router let through: its answers are bounded by what one connection may hold.
_CELL_LIMITS = Limits(max_message_bytes=Limits().connection_bytes)
# How long a thread may keep the interpreter's lock from the loop. One that indexes a catalog works long,
# and with Python's own interval the loop waited four times as long for each turn (decision 37).
LOCK_SECONDS = 0.0005
_AGE = metrics.Gauge("croupier_router_view_age_seconds", "Since the version manager was last heard")
_STALLS = metrics.LoopHistogram(
    "croupier_router_loop_stall_seconds",
    "Stalls of the event loop of a millisecond or more, by what they were",
    stalls.BUCKETS,
    ["kind"],
)
_EJECTED = metrics.Gauge(
    "croupier_router_ejected_cells", "Cells that are passed by for being worse than others"
)
_HOT = metrics.Gauge("croupier_router_hot_models", "Models that more than one cell of their hand serves")
_LOGGED = metrics.ReadCounter("croupier_router_logged_total", "Predictions that were written into the spool")
_LOG_DROPPED = metrics.ReadCounter(
    "croupier_router_log_dropped_total", "Predictions that were not, since the spool had no room"
)
_IN_FLIGHT = metrics.Gauge("croupier_router_in_flight", "Requests that are being answered now")


def main() -> None:
    settings = load(RouterSettings, _PROGRAM)
    logs.configure(_PROGRAM, settings.log_level, settings.log_format)
    sys.setswitchinterval(LOCK_SECONDS)
    # Whatever else runs on its processor lets the loop in at once.
    take_short_slices()
    sys.exit(lifecycle.run(lambda life: serve(settings, life, on_loaded=_spare_collections)))


class _Stages:
    """What a request passes through on its way to a cell, wired; `follow` gives all of it a new view."""

    def __init__(self, settings: RouterSettings, clock: Callable[[], float], rng: Random) -> None:
        self._seconds = CellSeconds()
        self._tls, self._roles = settings.peer_tls, settings.roles
        loads = Loads(Limit if settings.limit_cells else None)
        outliers = Outliers(loads, probe=settings.attempt_timeout)
        self._breakers = Breakers(probe=settings.attempt_timeout, outliers=outliers)
        wheel = Wheel()
        drive(wheel, asyncio.get_running_loop())
        budget = RetryBudget(now=clock(), share=settings.retry_share, per_second=settings.retries_per_second)
        self.cells = Cells(self._open_channel)
        self.attempts = Attempts(
            self._breakers, budget, wheel, clock=clock, timeout=settings.attempt_timeout, loads=loads
        )
        self.admission = Admission(
            settings.max_in_flight,
            settings.max_in_flight_per_tenant,
            streams=settings.max_streams_per_tenant,
            uploads=settings.max_uploading_bytes_per_tenant,
            clock=clock,
            random=rng.random,
        )
        self.stale = Stale(wheel, clock=clock, seconds=settings.stale_seconds)
        self.feature_store = open_store(settings.features_store) if settings.features_store else None
        self.feature_reads = reads_of(settings, self.feature_store, clock)
        self.features = Features(
            self.feature_reads,
            wheel,
            clock=clock,
            now_ms=now_ms,
            longest=settings.features_timeout,
            known_seconds=settings.features_known / 2,
            most_bytes=settings.features_bytes // 2,
        )
        self.pipeline = Pipeline(
            self.admission,
            self.features,
            self.attempts,
            self.cells,
            rng=rng,
            max_items=settings.max_items,
            stale=self.stale,
        )
        self.revisions = Revisions(wheel, clock=clock)
        self.latest = Latest(settings.slow_request_ms / 1e3, clock=clock)
        self.rates = _rates(settings, clock, rng)
        self.shares = Shares()
        path = settings.snapshot
        self.kept_shares = None if path is None else KeptShares(kept_shares.path_of(path))
        self._limits = TenantLimits()
        copies, features = self.pipeline.copies, self.features
        self.troubles = Troubles(
            self.attempts, self.admission, self.latest, copies, retries, lambda: features.why_down
        )

    def follow(self, view: View) -> None:
        self._seconds.follow(view.cells)
        moved = self.cells.update(view.cells)
        self._breakers.forget(moved)
        self.attempts.loads.forget(moved)
        self.pipeline.follow(view)
        self.revisions.follow(view)
        if view.limits is not self._limits:
            self._limits = view.limits
            self.admission.follow(self._limits, self.shares.of)

    def hear(self, answer: ReportRouterResponse) -> None:
        """A version manager says which part of tenants' limits is this router's."""
        if self.take(answer) and self.kept_shares is not None:
            self.kept_shares.hear(answer)

    def take(self, answer: ReportRouterResponse) -> bool:
        """Keep to what is said there; whether it is anything else than before."""
        is_new = self.shares.hear(answer.routers, {one.tenant: one.share for one in answer.shares})
        if is_new:
            self.admission.follow(self._limits, self.shares.of)
        return is_new

    def _open_channel(self, cell: str, address: str) -> Channel:
        check, durations = self._roles.expect(Role.CELL, cell), self._seconds.of(cell)
        return Channel(address, tls=self._tls, check_peer=check, limits=_CELL_LIMITS, durations=durations)


async def serve(
    settings: RouterSettings, life: Lifecycle, *, on_loaded: Callable[[], None] = lambda: None
) -> None:
    """Serve until `life` stops; `on_loaded` is called once there is a catalog.

    Raises:
        InvalidSettings: settings that cannot be used, or an address in use.
    """
    settings.check()
    identity, follow_keys = _identity(settings)
    clock, rng = time.monotonic, Random()  # noqa: S311 - spreads load, keeps no secret
    admin = Admin()
    async with AsyncExitStack() as stack:
        page.serve(settings.metrics_listen, admin)
        stages = _Stages(settings, clock, rng)
        recorder = stalls.Stalls(_STALLS.labels, on_beat=stages.admission.beat)
        stack.callback(recorder.close)
        recorder.start()
        tracer = await exporting(settings, _PROGRAM, stack)

        if stages.feature_reads is not None:
            stack.push_async_callback(stages.feature_reads.close)
        if stages.rates is not None:
            stack.callback(stages.rates.close)
        stack.push_async_callback(stages.cells.close)
        manager, each = await _managers(settings, stack)
        watch, timing = (
            partial(manager.watch, protocol=protocol.CURRENT),
            Timing(silence=settings.watch_silence),
        )
        feed = ViewFeed(watch, on_swap=stages.follow, clock=clock, rng=rng, timing=timing)
        beliefs = Beliefs(
            feed, stages.cells, stages.attempts, stages.admission, stages.stale, stages.pipeline.copies
        )
        _IN_FLIGHT.set_function(lambda: stages.admission.in_flight)
        _AGE.set_function(lambda: feed.age)
        _EJECTED.set_function(lambda: stages.attempts.breakers.ejections)
        _HOT.set_function(lambda: len(stages.pipeline.copies.known(clock())))
        admin.debug |= beliefs.views | recorder.views
        admin.ready = lambda: "it is stopping" if life.stopping else beliefs.why_not_ready()
        await _load_snapshot(feed, stages, settings.snapshot)

        server = _server(settings)
        log = await _log_into_spool(settings, stack)
        handlers = _handlers(settings, stages, identity, feed, tracer, clock, rng, log)
        services = handlers.add_to(server)
        services += add_ingest(server, stages.feature_store, identity, stages.admission, clock)
        name, address = f"{socket.gethostname()}:{os.getpid()}", ""
        part = OwnPart(settings, read_once=("peer_ca", "peer_certificate"))

        def report() -> RouterReport:
            told, why = stages.troubles.told(), beliefs.why_not_ready()
            return report_of(feed, name, address, part.told(), told, why)

        reports = Reports(each, report, stages.rates, stages.hear)
        stack.push_async_callback(reports.leave)
        # Spawned work ends before the channels that it uses are closed.
        stack.push_async_callback(life.close)
        stack.push_async_callback(server.stop)
        address = await server.start(settings.listen, services)
        _say(server, services, serving=False)
        stages.stale.attend(
            feed.look_again,
            lambda: feed.age < settings.stale_seconds,
            lambda is_behind: _say(server, services, serving=not is_behind),
        )

        life.spawn(feed.run(), "the feed")
        life.spawn(reports.run(), "the reports")
        if stages.rates is not None:
            life.spawn(stages.rates.run(), "the rates")
        if follow_keys is not None:
            life.spawn(follow_keys(), "the token keys")
        if settings.snapshot is not None:
            life.spawn(snapshot.keep(feed, settings.snapshot, clock=clock), "the snapshot")
        if stages.kept_shares is not None:
            life.spawn(stages.kept_shares.run(), "the shares")

        async def announce() -> None:
            await feed.loaded()
            await feed.told(_FIRST_WORD_SECONDS)
            on_loaded()
            _say(server, services, serving=True)
            life.ready(f"{_PROGRAM} on {address}")

        life.spawn(announce(), "the announcement")
        await life.stopped()


async def _managers(
    settings: RouterSettings, stack: AsyncExitStack
) -> tuple[VersionManagerClient, list[VersionManagerClient]]:
    """Whichever version manager answers, and each of them."""
    tls = settings.peer_tls
    peer = credentials(tls.ca, tls.certificate, tls.key) if tls else None
    manager = await stack.enter_async_context(VersionManagerClient(settings.manager, peer))
    each = [await stack.enter_async_context(VersionManagerClient(one, peer)) for one in manager.targets]
    return manager, each


def _handlers(
    settings: RouterSettings,
    stages: _Stages,
    identity: Identity,
    feed: ViewFeed,
    tracer: Tracer | None,
    clock: Callable[[], float],
    rng: Random,
    log: PredictionLog | None,
) -> Handlers:
    slow_seconds = settings.slow_request_ms / 1e3
    return Handlers(
        stages.pipeline,
        identity,
        lambda: feed.is_loaded and not stages.stale.is_behind,
        clock=clock,
        version=version(),
        default_timeout=settings.default_timeout,
        at_once=settings.stream_at_once,
        revisions=stages.revisions,
        access_log=AccessLog(slow_seconds, settings.access_log_ratio, random=rng.random),
        latest=stages.latest,
        tallies=stages.rates.tallies if stages.rates else None,
        tracer=tracer,
        late_spans=None if tracer is None else LateSpans(tracer, slow_seconds or math.inf, clock=clock),
        log=log,
    )


async def _log_into_spool(settings: RouterSettings, stack: AsyncExitStack) -> PredictionLog | None:
    """Where predictions are written down; what is left of it when `stack` closes is for a logger.

    Raises:
        OSError: the spool cannot be used.
    """
    if settings.log_spool is None:
        return None
    # Another one each time: a logger reads each life to its end.
    incarnation = f"{time.time_ns():016x}-{os.getpid()}"
    spool = await asyncio.to_thread(Spool, settings.log_spool, incarnation, settings.log_spool_bytes)
    stack.callback(spool.close)
    spool.begin()
    appender = spool.appender
    _LOGGED.read, _LOG_DROPPED.read = lambda: appender.kept, lambda: appender.dropped
    return PredictionLog(appender, secrets.token_hex(6), settings.slow_request_ms / 1e3 or math.inf)


def _rates(settings: RouterSettings, clock: Callable[[], float], rng: Random) -> Rates | None:
    if not settings.rates_top:
        return None
    slow_seconds = settings.slow_request_ms / 1e3 or math.inf
    # Larger than that of the life before, unless the clock was set back.
    incarnation = time.time_ns()
    return Rates(settings.rates_top, slow_seconds=slow_seconds, clock=clock, rng=rng, incarnation=incarnation)


def _server(settings: RouterSettings) -> Server:
    limits = Limits(
        max_message_bytes=settings.max_message_bytes,
        max_age_seconds=settings.max_connection_age or math.inf,
    )
    access = Access(ROUTER, settings.roles)
    return Server(limits=limits, tls=settings.server_tls, access=access, reuse_port=settings.reuse_port)


async def _load_snapshot(feed: ViewFeed, stages: _Stages, path: Path | None) -> None:
    """What is on disk: the shares first, for limits come with the view."""
    if path is None:
        return
    shares = await asyncio.to_thread(kept_shares.read_if_good, kept_shares.path_of(path))
    if shares is not None:
        stages.take(shares)
    view = await asyncio.to_thread(snapshot.read_if_good, path)
    if view is not None:
        await feed.load(view)


def _say(server: Server, services: list[str], *, serving: bool) -> None:
    for service in ["", *services]:
        server.health.set(service, serving)


def _spare_collections() -> None:
    """Keep the garbage collector away from what a start leaves, and from requests.

    Of the catalog it has nothing to look at (decision 80); of tenants with limits, families and dealt
    hands it has, and no request is answered meanwhile. And requests that are in flight together look
    like growth: at the default thresholds the collector takes a good part of the time of a busy router, at
    these hardly any. A request leaves it nothing to find (tests/router/test_attempt.py).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _identity(settings: RouterSettings) -> tuple[Identity, Callable[[], Coroutine[Any, Any, None]] | None]:
    """How callers are known, and what keeps its keys current."""
    if not settings.takes_tokens:
        return HeaderIdentity(), None
    files = KeyFiles(settings.token_key, settings.token_keys)
    tokens = TokenIdentity(files.read(), time.time, settings.token_rules)
    return tokens, partial(files.follow, tokens.use)


if __name__ == "__main__":
    main()
