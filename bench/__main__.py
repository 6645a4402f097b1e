"""`python -m bench NAME`: one command a bench; `smoke` runs each of them small.

It is long because each bench says here what it can be told.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated

import typer

from bench import ceiling as ceiling_bench
from bench import cell as cell_bench
from bench import engines as engines_bench
from bench import features as features_bench
from bench import hostile as hostile_bench
from bench import log as log_bench
from bench import minutes as minutes_bench
from bench import outage as outage_bench
from bench import pictures as front_pictures
from bench import placement as placement_bench
from bench import policies as policies_bench
from bench import publish as publish_bench
from bench import report
from bench import residency as residency_bench
from bench import route as route_bench
from bench import scale as scale_bench
from bench import series as series_bench
from bench import storm as storm_bench
from bench import telemetry as telemetry_bench
from bench.attacks import ATTACKS
from bench.demo import play as demo_bench
from bench.demo.act_two import Script
from bench.engine_models import SHAPES
from bench.engine_peers import PEERS as ENGINES
from bench.fair import beside as fair_beside
from bench.fair import overload as fair_overload
from bench.fair import play as fair_bench
from bench.fair import restart as fair_restart
from bench.fair import routers as fair_routers
from bench.peers.known import PEERS
from bench.series import SERIES
from bench.serving import play as serving_bench
from bench.serving.known import ALL as ALL_SERVERS
from bench.serving.known import PEERS as SERVERS
from bench.serving.running import Bounds
from bench.shards import moves as shard_moves
from bench.shards import play as sharding_bench
from bench.shards import poison as shard_poison
from bench.system import growth as system_growth
from bench.system import play as system_bench
from bench.system import steady as system_steady
from bench.system import tail as system_tail
from croupier_bench import app as harness

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)

app.command("load", help="Load-test what a scenario says: `croupier-bench run`.")(harness.run)

Json = Annotated[Path | None, typer.Option("--json", help="Write the result to this file.")]
_PAYLOADS = (64, 1_024, 65_536)
# Of these the better one is best here.
_TAIL_PEERS = ("haproxy-debian", "haproxy")


@app.command()
def demo(
    tenants: Annotated[int, typer.Option(min=1)] = 200,
    cells: Annotated[int, typer.Option(min=4)] = 16,
    zones: Annotated[int, typer.Option(min=1, max=26)] = 4,
    seconds: Annotated[float, typer.Option(min=1, help="Of act one.")] = 6.0,
    rate: Annotated[float, typer.Option(min=1, help="Requests a second in act two.")] = 1_000.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often act two holds threads.")] = 5,
    json: Json = None,
    plot: Annotated[Path | None, typer.Option(help="Draw act two as SVG into this file.")] = None,
) -> None:
    """Serve many tenants' models; kill a cell; have one tenant poison its hand, and compare who feels it."""
    script = Script(rate=rate, quiet=4.0, round=1.2, rounds=rounds, after=3.0)
    _demo(demo_bench.Plan(tenants, cells, zones, seconds, script), json, plot)


def _demo(plan: demo_bench.Plan, json: Path | None, plot: Path | None) -> None:
    if not demo_bench.run(plan, json, plot):
        raise typer.Exit(1)


@app.command()
def outage(
    seconds: Annotated[float, typer.Option(min=0, help="How long they stay away.")] = 60.0,
    tenants: Annotated[int, typer.Option(min=2)] = 20,
    json: Json = None,
) -> None:
    """Kill etcd and the version manager under load: nothing fails, cold models included."""
    if not outage_bench.run(seconds=seconds, tenants=tenants, json=json):
        raise typer.Exit(1)


@app.command()
def catalog(
    models: Annotated[int, typer.Option(min=1, help="Of two versions each.")] = 500_000,
    json: Json = None,
) -> None:
    """Very many models in etcd: how a version manager and a router start with them, and what they take."""
    scale_bench.run(models=models, json=json)


@app.command()
def publish(
    models: Annotated[int, typer.Option(min=1, help="Published by one call, twice.")] = 20_000,
    files: Annotated[int, typer.Option(min=1, help="Of LightGBM, packed and compared.")] = 16,
    json: Json = None,
) -> None:
    """Publish and release many models by one call, with a real etcd: how many a second."""
    if not publish_bench.run(publish_bench.Plan(models, files), json):
        raise typer.Exit(1)


@app.command()
def placement(
    cells: Annotated[int, typer.Option(min=2)] = 64,
    tenants: Annotated[int, typer.Option(min=2)] = 100_000,
    requests: Annotated[int, typer.Option(min=10, help="Placed in the hands.")] = 1_500_000,
    json: Json = None,
) -> None:
    """Deal hands: how fast, how even, how many slots move when a cell leaves; and place requests in them."""
    placement_bench.run(cells=cells, tenants=tenants, requests=requests, json=json)


@app.command()
def sharding(
    cells: Annotated[int, typer.Option(min=5, help="Of the fleet that the population is dealt.")] = 256,
    tenants: Annotated[int, typer.Option(min=2, help="Of the population.")] = 500_000,
    fleet: Annotated[int, typer.Option(min=8, help="Cells whose map is changed under load.")] = 16,
    asking: Annotated[int, typer.Option(min=8, help="Tenants that ask.")] = 200,
    seconds: Annotated[float, typer.Option(min=0.5, help="Before and after each change.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, help="Turns with a tenant that saturates its hand.")] = 5,
    json: Json = None,
) -> None:
    """The shard map: what hands and plans cost; every verb under load; a tenant that saturates its hand."""
    plan = sharding_bench.Plan(
        cells,
        tenants,
        shard_moves.Plan(asking, fleet, seconds),
        shard_poison.Plan(asking, rate=200.0, seconds=seconds, rounds=rounds),
    )
    _sharding(plan, json)


def _sharding(plan: sharding_bench.Plan, json: Path | None) -> None:
    if not sharding_bench.run(plan, json):
        raise typer.Exit(1)


@app.command()
def features(
    entities: Annotated[int, typer.Option(min=1, help="Whose features are loaded, in thousands.")] = 200,
    gets: Annotated[int, typer.Option(min=1_000, help="Reads of a turn.")] = 100_000,
    requests: Annotated[int, typer.Option(min=100, help="Of a router's turn.")] = 20_000,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    rate: Annotated[float, typer.Option(min=1, help="Requests a second, for latency.")] = 2_000.0,
    seconds: Annotated[float, typer.Option(min=0.1, help="At that rate.")] = 10.0,
    tenants: Annotated[int, typer.Option(min=1, help="Whose answers are looked at.")] = 1_000,
    part: Annotated[
        list[str] | None, typer.Option(help=f"{' or '.join(features_bench.PARTS)}; repeatable. Both if none.")
    ] = None,
    json: Json = None,
) -> None:
    """Stored features: what they cost a router and a request, and whether answers are the libraries' own."""
    if unknown := set(part or ()) - set(features_bench.PARTS):
        raise typer.BadParameter(f"there is no {', '.join(sorted(unknown))}", param_hint="--part")
    plan = features_bench.Plan(entities * 1_000, gets, requests, rounds, rate, seconds, tenants)
    _features(plan, json, part)


def _features(plan: features_bench.Plan, json: Path | None, parts: Collection[str] | None = None) -> None:
    if not features_bench.run(plan, parts or features_bench.PARTS, json):
        raise typer.Exit(1)


@app.command()
def log(
    rate: Annotated[float, typer.Option(min=1, help="Requests a second.")] = 10_000.0,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of one turn at that rate.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each; the median counts.")] = 7,
    answers: Annotated[int, typer.Option(min=1, help="Of a real cell, compared with the log.")] = 50_000,
    reproduced: Annotated[int, typer.Option(min=1, help="Of these, computed again.")] = 1_000,
    json: Json = None,
) -> None:
    """The log of predictions: what live requests feel of it, its drops, and whether it has all answers."""
    if not log_bench.run(log_bench.Plan(rate, seconds, rounds, answers, min(reproduced, answers)), json):
        raise typer.Exit(1)


@app.command()
def minutes(
    target: Annotated[list[str] | None, typer.Option(help="Only these; repeatable.")] = None,
    json: Json = None,
) -> None:
    """Time the front page's first two commands, `make demo` and `make test`."""
    if unknown := set(target or ()) - set(minutes_bench.TARGETS):
        raise typer.BadParameter(f"there is no {', '.join(sorted(unknown))}", param_hint="--target")
    if not minutes_bench.run(target or minutes_bench.TARGETS, json):
        raise typer.Exit(1)


@app.command()
def pictures(
    folder: Annotated[Path, typer.Option(help="Where to write them.")] = front_pictures.FOLDER,
) -> None:
    """Draw the front page's pictures anew, with the real dealer."""
    front_pictures.write(folder)


@app.command()
def policies(
    models: Annotated[int, typer.Option(min=100)] = 300_000,
    requests: Annotated[int, typer.Option(min=300, help="Of a trace; a third warms up.")] = 1_500_000,
    json: Json = None,
) -> None:
    """The cell's eviction policies: hit rates on Zipf, drifting and scanned traces, time of a hit."""
    policies_bench.run(models=models, requests=requests, json=json)


@app.command()
def engines(
    engine: Annotated[list[str] | None, typer.Option(help="Only these; repeatable.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only these; repeatable.")] = None,
    copies: Annotated[int, typer.Option(min=1, help="Loaded to measure memory.")] = 1_000,
    rotated: Annotated[int, typer.Option(min=1, help="Models that rows are rotated over.")] = 20_000,
    memory_mb: Annotated[int, typer.Option(min=1, help="Fewer copies, if they would take more.")] = 4_000,
    prepare_seconds: Annotated[float, typer.Option(min=1, help="Longer no model is compiled.")] = 120.0,
    json: Json = None,
) -> None:
    """Native engines beside libraries and compilers of trees: bytes a model, time a row."""
    for chosen, known, hint in ((engine, ENGINES.keys(), "--engine"), (model, SHAPES.keys(), "--model")):
        if unknown := set(chosen or ()) - known:
            raise typer.BadParameter(f"there is no {', '.join(sorted(unknown))}", param_hint=hint)
    chosen, models = engine or list(ENGINES), model or list(SHAPES)
    plan = engines_bench.Plan(chosen, models, copies, rotated, memory_mb, prepare_seconds)
    if not engines_bench.run(plan, json):
        raise typer.Exit(1)


@app.command()
def route(
    peers: Annotated[
        str, typer.Option(help="Which proxies to compare with; those not installed are left out.")
    ] = ",".join(PEERS),
    cells: Annotated[
        str, typer.Option(help="How many upstreams; with all but the first, the first payload alone.")
    ] = "4",
    payload: Annotated[list[int] | None, typer.Option(min=64, help="Bytes of a request; repeatable.")] = None,
    tls: Annotated[bool, typer.Option(help="Everything once more with TLS on the callers' side.")] = False,
    requests: Annotated[int, typer.Option(min=100, help="In one closed loop.")] = 50_000,
    rounds: Annotated[int, typer.Option(min=1, help="Closed loops for a figure; their median counts.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of one open loop.")] = 2.0,
    limits: Annotated[bool, typer.Option(help="With limits of every tenant, which none reaches.")] = False,
    json: Json = None,
) -> None:
    """The router beside Envoy, HAProxy and nginx: CPU time a request and added latency."""
    names = [name for name in peers.split(",") if name]
    if unknown := set(names) - PEERS.keys():
        raise typer.BadParameter(f"no such peers: {', '.join(sorted(unknown))}", param_hint="--peers")
    upstreams = _numbers(cells, "--cells")
    payloads = payload or list(_PAYLOADS)
    plan = route_bench.Plan(names, upstreams, payloads, tls, requests, rounds, seconds, limits)
    if not route_bench.run(plan, json):
        raise typer.Exit(1)


@app.command()
def telemetry(
    requests: Annotated[int, typer.Option(min=100, help="In one turn.")] = 2_000,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each; the median counts.")] = 150,
    processes: Annotated[int, typer.Option(min=1, help="Of each kind; two tell what equals differ by.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.01, help="Of one long turn, for what sends spans.")] = 2.0,
    hot: Annotated[bool, typer.Option(help="One request over and over.")] = False,
    json: Json = None,
) -> None:
    """What histograms and traces cost the router: CPU time a request, beside one without."""
    if not telemetry_bench.run(telemetry_bench.Plan(requests, rounds, hot, processes, seconds), json):
        raise typer.Exit(1)


@app.command()
def cell(
    models: Annotated[int, typer.Option(min=1, help="Resident in the cell.")] = 10_000,
    requests: Annotated[int, typer.Option(min=10, help="In one closed loop.")] = 100_000,
    rounds: Annotated[int, typer.Option(min=1, help="Closed loops for a figure; their median counts.")] = 3,
    json: Json = None,
) -> None:
    """One cell on one core beside a plain grpc.aio server: predictions a second, and where the time goes."""
    if not cell_bench.run(models=models, requests=requests, rounds=rounds, json=json):
        raise typer.Exit(1)


@app.command()
def serving(
    peers: Annotated[
        str, typer.Option(help="Which servers to compare with; those not installed are left out.")
    ] = ",".join(SERVERS),
    models: Annotated[int, typer.Option(min=1, help="Resident, for speed and latency.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="Closed loops for a figure; their median counts.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of one loop.")] = 3.0,
    rate: Annotated[
        float, typer.Option(min=0, help="The one for all; 0 for half of what the slowest can do.")
    ] = 0.0,
    counts: Annotated[str, typer.Option(help="How many models memory is measured with.")] = "10,1000,10000",
    memory_gib: Annotated[float, typer.Option(min=0.1, help="A server that takes more is stopped.")] = 8.0,
    patience: Annotated[float, typer.Option(min=1, help="Seconds to load so many models.")] = 150.0,
    json: Json = None,
) -> None:
    """One cell beside servers in Python and C++: predictions a CPU second, latency, memory of many models."""
    names = list(dict.fromkeys(name for name in peers.split(",") if name))
    if unknown := set(names) - ALL_SERVERS.keys():
        raise typer.BadParameter(f"no such peers: {', '.join(sorted(unknown))}", param_hint="--peers")
    bounds = Bounds(memory_gib * 1024, patience)
    plan = serving_bench.Plan(names, models, rounds, seconds, rate, _numbers(counts, "--counts"), bounds)
    if not serving_bench.run(plan, json):
        raise typer.Exit(1)


def _numbers(said: str, option: str) -> list[int]:
    """Of a list with commas, each number once, in the order given."""
    if not all(number.isdecimal() and int(number) for number in said.split(",")):
        raise typer.BadParameter("not numbers above 0 with commas between them", param_hint=option)
    return list(dict.fromkeys(map(int, said.split(","))))


@app.command()
def residency(
    models: Annotated[int, typer.Option(min=100, help="20 kB of disk each, twice.")] = 500_000,
    requests: Annotated[int, typer.Option(min=10, help="Of the Zipf load.")] = 1_000_000,
    capacity_bytes: Annotated[int, typer.Option(min=0, help="Of the cell; 0 for its own choice.")] = 0,
    folder: Annotated[Path | None, typer.Option(help="Where the files lie meanwhile.")] = None,
    json: Json = None,
) -> None:
    """One cell that holds half a million models: memory, hit rate, and what a cold one costs."""
    plan = residency_bench.Plan(models, requests, capacity_bytes, folder)
    if not residency_bench.run(plan, json):
        raise typer.Exit(1)


@app.command()
def storm(
    at_once: Annotated[int, typer.Option(min=1, help="Cold requests of one storm.")] = 256,
    storms: Annotated[int, typer.Option(min=1, help="One after the other, in a round.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="For each source; their median counts.")] = 5,
    quiet: Annotated[float, typer.Option(min=0.1, help="Seconds before the storms of a round.")] = 1.0,
    folder: Annotated[Path | None, typer.Option(help="Where the files lie meanwhile.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="The cell gets it as well; repeatable.")] = None,
    json: Json = None,
) -> None:
    """Many cold models at once: what the hot ones' callers notice, and how fast they load."""
    if not storm_bench.run(storm_bench.Plan(at_once, storms, rounds, quiet, option or [], folder), json):
        raise typer.Exit(1)


@app.command()
def hostile(
    attack: Annotated[list[str] | None, typer.Option(help="Only these; repeatable.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Slices without and with each attack.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of one slice.")] = 1.0,
    json: Json = None,
) -> None:
    """Attack a server in every way known to us: what its neighbour and its memory notice."""
    names = [one.name for one in ATTACKS]
    if unknown := set(attack or ()) - set(names):
        raise typer.BadParameter(f"there is no {', '.join(sorted(unknown))}", param_hint="--attack")
    if not hostile_bench.run(attacks=attack or names, rounds=rounds, seconds=seconds, json=json):
        raise typer.Exit(1)


@app.command()
def fair(
    part: Annotated[list[str] | None, typer.Option(help="Only these; repeatable.")] = None,
    tenants: Annotated[int, typer.Option(min=1, help="Ordinary ones.")] = 50,
    cold: Annotated[int, typer.Option(min=1, help="Models of the tenant with very many.")] = 100_000,
    streams: Annotated[int, typer.Option(min=1, help="Of the tenant that opens very many.")] = 10_000,
    rate: Annotated[float, typer.Option(min=1, help="Requests a second of all ordinary tenants.")] = 500.0,
    seconds: Annotated[float, typer.Option(min=0.5, help="Of a turn without or with an offender.")] = 2.0,
    rounds: Annotated[int, typer.Option(min=1, help="Turns with each; the median counts.")] = 3,
    json: Json = None,
    into: Annotated[
        bool, typer.Option(help="Leave what the JSON has of other parts, and add these.")
    ] = False,
) -> None:
    """Tenants that take more than their share, beside others on their hand; a fleet asked for too much."""
    if unknown := set(part or ()) - {*fair_bench.PARTS, "restart"}:
        raise typer.BadParameter(f"there is no {', '.join(sorted(unknown))}", param_hint="--part")
    plan = fair_bench.Plan(
        tenants,
        cold,
        streams,
        fair_beside.Plan(rate, seconds, rounds),
        fair_overload.Plan((2, 5), rounds, quiet=2.5, seconds=3.0, step=1.0),
        fair_routers.Plan(settle=8.0, seconds=10.0),
        fair_restart.Plan(),
        fair_bench.parts(part or fair_bench.PARTS),
    )
    _fair(plan, json, into=into)


def _fair(plan: fair_bench.Plan, json: Path | None, *, into: bool = False) -> None:
    if not fair_bench.run(plan, json, into=into):
        raise typer.Exit(1)


@app.command()
def system(
    part: Annotated[list[str] | None, typer.Option(help="Only these; repeatable.")] = None,
    models: Annotated[int, typer.Option(min=1_000, help="Of three kinds.")] = 300_000,
    tenants: Annotated[int, typer.Option(min=1, help="Whose they are.")] = 3_000,
    requests: Annotated[int, typer.Option(min=1_000, help="In one closed loop.")] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, help="Of whatever a median is taken.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.5, help="Of one open loop.")] = 6.0,
    folder: Annotated[Path | None, typer.Option(help="Where the files lie meanwhile.")] = None,
    json: Json = None,
    into: Annotated[
        bool, typer.Option(help="Leave what the JSON has of other parts, and add these.")
    ] = False,
) -> None:
    """Router, cells and version manager together: CPU time of each, latencies, overload, growth, tail."""
    if unknown := set(part or ()) - {*system_bench.PARTS}:
        raise typer.BadParameter(f"there is no {', '.join(sorted(unknown))}", param_hint="--part")
    plan = system_bench.Plan(
        system_steady.Plan(
            (models // 100, models // 10, models), min(tenants, models), requests, rounds, seconds
        ),
        fair_overload.Plan((2, 5), rounds, quiet=2.5, seconds=3.0, step=1.0),
        system_growth.Plan(
            (1, 100, 10_000), (4, 16, 64, 256), (1, 4, 16), 20_000, min(requests, 30_000), rounds
        ),
        storm_bench.Plan(256, 8, rounds, 1.0, folder=folder),
        system_tail.Plan((20_000.0, 15_000.0, 10_000.0, 5_000.0), _TAIL_PEERS, 10_000, rounds, seconds),
        2**32,
        folder,
        part or system_bench.PARTS,
    )
    _system(plan, json, into=into)


def _system(plan: system_bench.Plan, json: Path | None, *, into: bool = False) -> None:
    if not system_bench.run(plan, json, into=into):
        raise typer.Exit(1)


@app.command("harness")
def ceiling(
    seconds: Annotated[float, typer.Option(min=0.5, help="Of each part.")] = 10.0,
    rate: Annotated[float, typer.Option(min=1, help="Requests a second of the paced part.")] = 20_000.0,
    json: Json = None,
) -> None:
    """The load-testing harness itself: its processor time for a request, how late it is, what it hides."""
    if not ceiling_bench.run(ceiling_bench.Plan(seconds, rate), json):
        raise typer.Exit(1)


@app.command()
def series(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(SERIES)}.")],
) -> None:
    """Run benches one after the other into bench/results, and write pages from what they saw."""
    if name not in SERIES:
        raise typer.BadParameter(f"not one of {', '.join(SERIES)}", param_hint="NAME")
    if not series_bench.run(name):
        raise typer.Exit(1)


@app.command()
def smoke() -> None:
    """Run every bench small and look at what it wrote."""
    shapes = ["forest-10x31", "linear-20"]
    runs: dict[str, Callable[[Path], object]] = {
        "demo": lambda json: _demo(
            demo_bench.Plan(12, 6, 3, 2.0, Script(rate=200.0, quiet=1.5, round=0.6, rounds=5, after=2.0)),
            json,
            json.with_suffix(".svg"),
        ),
        "outage": lambda json: outage(seconds=3.0, tenants=6, json=json),
        "catalog": lambda json: catalog(models=1_000, json=json),
        "sharding": lambda json: _sharding(
            sharding_bench.Plan(
                16,
                2_000,
                shard_moves.Plan(8, 8, 0.5, ("drain", "rollback")),
                shard_poison.Plan(8, 100.0, 0.5, 1, (shard_poison.Shape(6, 2, 1),)),
            ),
            json,
        ),
        "publish": lambda json: publish(models=500, files=2, json=json),
        "placement": lambda json: placement(cells=16, tenants=2_000, requests=3_000, json=json),
        "route": lambda json: route(payload=[64], tls=True, requests=1_000, rounds=1, seconds=0.3, json=json),
        "telemetry": lambda json: telemetry(requests=1_000, rounds=1, processes=1, seconds=0.1, json=json),
        "features": lambda json: _features(features_bench.Plan(1_000, 2_000, 500, 1, 200.0, 0.5, 10), json),
        "log": lambda json: log(rate=500.0, seconds=0.3, rounds=1, answers=500, reproduced=100, json=json),
        "hostile": lambda json: hostile(attack=["rapid reset"], rounds=1, seconds=0.3, json=json),
        "fair": lambda json: _fair(
            fair_bench.Plan(
                8,
                200,
                100,
                fair_beside.Plan(100.0, 0.5, 1),
                fair_overload.Plan((2,), 1, quiet=1.0, seconds=1.5, step=0.5),
                fair_routers.Plan(settle=0.0, seconds=1.0),
                fair_restart.Plan(),
                ("rate", "cold", "overload"),
            ),
            json,
        ),
        "cell": lambda json: cell(models=20, requests=200, rounds=1, json=json),
        "serving": lambda json: serving(
            peers="croupier,plain", models=5, rounds=1, seconds=0.3, counts="5,10", json=json
        ),
        "harness": lambda json: ceiling(seconds=2.0, rate=500.0, json=json),
        # Each engine imports its library in a process of its own, which takes longer than all the rest.
        "engines": lambda json: engines(
            engine=["croupier", "lightgbm"],
            model=shapes,
            copies=50,
            rotated=200,
            memory_mb=200,
            prepare_seconds=60.0,
            json=json,
        ),
        "policies": lambda json: policies(models=2_000, requests=6_000, json=json),
        "residency": lambda json: residency(models=400, requests=2_000, json=json),
        "storm": lambda json: storm(at_once=64, storms=2, rounds=1, quiet=0.3, json=json),
        "system": lambda json: _system(
            system_bench.Plan(
                system_steady.Plan((100, 300), 20, 500, 1, 0.5),
                fair_overload.Plan((2,), 1, quiet=1.0, seconds=1.5, step=0.5),
                system_growth.Plan((1, 20), (4, 16), (1, 4), 200, 500, 1),
                storm_bench.Plan(32, 1, 1, 0.3),
                system_tail.Plan((1_000.0,), _TAIL_PEERS, 200, 1, 0.5),
                2**29,
            ),
            json,
        ),
    }
    with tempfile.TemporaryDirectory(prefix="croupier-smoke-") as folder:
        for name, act in runs.items():
            file, began = Path(folder) / f"{name}.json", time.monotonic()
            act(file)
            report.step(f"{name} took {time.monotonic() - began:.0f} s")
            if not file.exists() or not file.stat().st_size:
                report.step(f"{name} has written nothing")
                raise typer.Exit(1)


if __name__ == "__main__":
    app()
