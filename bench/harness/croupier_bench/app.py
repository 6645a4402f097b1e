"""`croupier-bench`, and `croupierctl bench`: the command line.

What a command needs is imported when it runs, so that `--help` waits for nothing. Results go to standard
output, what is said meanwhile to standard error.
"""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from croupier_bench.outcome import CODES, DOES_NOT_HOLD, code_of, draw, expected, fail, show, tell, write

if TYPE_CHECKING:
    from croupier_bench.result import Result
    from croupier_bench.scenario import Scenario

_ABOUT = """Load-test what answers predictions: Croupier, or anything with the Open Inference Protocol.

A scenario in TOML says whom to ask for what, how often, and what must hold. Latency counts from when a
request was due, so that a server which stalls cannot hide it."""

app = typer.Typer(
    help=f"{_ABOUT}\n\n{CODES}",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

Toml = Annotated[Path, typer.Argument(metavar="SCENARIO", help="A scenario, in TOML.", show_default=False)]
Rate = Annotated[float | None, typer.Option(min=0.001, help="Requests a second, in place of the scenario's.")]
Seconds = Annotated[float | None, typer.Option(min=0.1, help="How long, in place of the scenario's.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes that send.")]
Slo = Annotated[
    str,
    typer.Option(metavar="LEVEL", help="What must hold: p99=10ms,errors=0.01%; also p50, p90, p999, mean."),
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Look at every answer, of models that `prepare` published.")
]
VerifyShare = Annotated[
    float, typer.Option(min=0, max=1, help="Look at this share of the answers.", show_default=False)
]
Json = Annotated[Path | None, typer.Option(metavar="FILE", help="Write all that was seen, as JSON.")]
Html = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report: a page that needs nothing.")]
Png = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Draw its pictures (pip install 'croupier-bench[plot]').")
]
NoLive = Annotated[bool, typer.Option("--no-live", help="Do not show how it goes.")]


@app.command(help=f"Run a scenario.\n\n{CODES}")
def run(
    scenario: Toml,
    rate: Rate = None,
    seconds: Seconds = None,
    workers: Workers = None,
    slo: Slo = "",
    verify: Verify = False,
    verify_share: VerifyShare = 0.0,
    json: Json = None,
    html: Html = None,
    png: Png = None,
    no_live: NoLive = False,
) -> None:
    found = expected(lambda: _loaded(scenario, rate, seconds, workers, slo))
    _play(found, 1.0 if verify else verify_share, None, (json, html, png), is_quiet=no_live)


@app.command()
def search(
    scenario: Toml,
    slo: Slo = "",
    rate: Annotated[float | None, typer.Option(min=0.001, help="Where to begin, a second.")] = None,
    most: Annotated[
        float, typer.Option(min=0.001, show_default=False, help="A rate that is not passed.")
    ] = math.inf,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="How long each run is.")] = None,
    precision: Annotated[
        float, typer.Option(min=0.001, max=1, help="How near to come: 0.05 is within a twentieth.")
    ] = 0.05,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of one rate at most.")] = 3,
    settle: Annotated[float, typer.Option(min=0, help="Seconds of quiet after a rate was too high.")] = 1.0,
    workers: Workers = None,
    verify: Verify = False,
    verify_share: VerifyShare = 0.0,
    json: Json = None,
    html: Html = None,
    png: Png = None,
    no_live: NoLive = False,
) -> None:
    """Find the highest rate at which a service level holds.

    Rates are doubled, or halved, until one holds and one does not; then the gap is halved. A rate is run
    again until it is clear whether it holds, and the best one once more at the end. Events of the scenario
    are not played.

    Exit code 0: there is such a rate. 1: it holds at none that was tried. 4: the load was the bottleneck
    before that was known. The others as of `run`.
    """
    found = expected(lambda: _loaded(scenario, rate, seconds, workers, slo))
    from croupier_bench import run as running
    from croupier_bench import search as searching
    from croupier_bench import summary

    bounds = searching.Bounds(most, precision, repeats, settle)

    def once(scenario: Scenario, *, verify_share: float = 0.0) -> Result:
        with _watching(f"{scenario.name}, {scenario.load.rate:g}/s", is_quiet=no_live) as watch:
            return running.run(scenario, verify_share=verify_share, watch=watch)

    def said(step: searching.Step) -> None:
        typer.echo(summary.step(step.to_json()), err=True)

    share = 1.0 if verify else verify_share
    result = expected(lambda: searching.search(found, found.slo, once, bounds, verify_share=share, tell=said))
    typer.echo(summary.found(result))
    expected(lambda: tell(result, json, html, png))
    raise typer.Exit(code_of(result))


@app.command()
def prepare(
    scenario: Toml,
    manager: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="A version manager, in place of the scenario's.")
    ] = "",
) -> None:
    """Publish models whose answers can be verified.

    They are those that the scenario asks for: linear, of weights that follow from the seed, the tenant, the
    model and the version. What is there already stays, and all traffic goes to version 1.
    """
    from croupier_bench import publish

    found = expected(lambda: _loaded(scenario, None, None, None, ""))
    if manager:
        found = replace(found, target=replace(found.target, manager=manager))
    expected(lambda: publish.prepare(found))


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(metavar="A", help="A result, in JSON.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B", help="Another one.", show_default=False)],
    fail_if_worse: Annotated[
        str, typer.Option(metavar="FIGURES", help="Exit code 1 if these are worse in B: p99,errors, or any.")
    ] = "",
    anyway: Annotated[bool, typer.Option("--anyway", help="Even if they are of different loads.")] = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the comparison as JSON.")] = None,
) -> None:
    """Say what differs between two runs, and how surely.

    Exit code 1: a figure of --fail-if-worse is worse. 2: they cannot be compared.
    """
    from croupier_bench import compare as comparing
    from croupier_bench.result import Result

    names = [name.strip() for name in fail_if_worse.split(",") if name.strip()]
    found = expected(lambda: comparing.compare(Result.read(before), Result.read(after), anyway=anyway))
    try:
        worse = found.is_worse(names) if names else []
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--fail-if-worse") from error
    show(found.table())
    if json is not None:
        path = json
        expected(lambda: write(path, found.to_json()))
    if worse:
        typer.echo(f"worse: {', '.join(worse)}")
        raise typer.Exit(DOES_NOT_HOLD)


@app.command()
def report(
    result: Annotated[
        list[Path], typer.Argument(metavar="RESULT...", help="Results, in JSON.", show_default=False)
    ],
    html: Html = None,
    png: Png = None,
) -> None:
    """Make a page and pictures of results.

    Those are files that `--json` wrote; of several there is one page with all of them.
    """
    from croupier_bench.result import Result

    if html is None and png is None:
        fail("say --html FILE, --png DIR or both")
    expected(lambda: draw([Result.read(path) for path in result], html, png))


@app.command()
def record(
    family: Annotated[
        str, typer.Argument(metavar="FAMILY", help="What the models are called.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to; .gz is compressed.")
    ],
    log: Annotated[
        str,
        typer.Option(
            envvar="CROUPIERCTL_LOG",
            metavar="URL",
            help="The log: file:///folder or s3://bucket/prefix?endpoint=...",
            show_default="log in $CROUPIER_HOME, else in .croupier here",
        ),
    ] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back: 90s, 10m, 1h.")] = "1h",
    until: Annotated[str, typer.Option(metavar="TIME", help="Up to how long ago.", show_default="now")] = "",
    tenant: Annotated[list[str] | None, typer.Option(help="Only this one's; repeat it.")] = None,
    most: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 200_000,
) -> None:
    """Take requests out of Croupier's log, for `replay`.

    They are those of a family, which has to log them. What it has the logger hide cannot be sent again: such
    requests are left out, and it is said how many and why.

    Exit code 1: nothing is left.
    """
    from croupier import settings
    from croupier_bench import record as recording

    now = time.time()
    begin = recording.ago(_span(since, "--since"), now)
    end = recording.ago(_span(until, "--until"), now) if until else None
    url = log or f"file://{settings.home() / 'log'}"
    found = expected(lambda: recording.record(url, family, begin, end, tenants=tenant or (), most=most))
    expected(lambda: recording.write(found, output))
    typer.echo(f"{len(found.requests):,} requests of {found.seconds:,.1f} s are in {output}")
    for reason, count in found.left_out.most_common():
        typer.echo(f"left out: {count:,}, {reason}")
    if not found.requests:
        raise typer.Exit(DOES_NOT_HOLD)


@app.command(help=f"Play recorded requests again, at the times that they had.\n\n{CODES}")
def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `record` wrote.", show_default=False)],
    scenario: Annotated[
        Path | None,
        typer.Option(metavar="SCENARIO", help="Whom to ask, by how many workers, and what must hold."),
    ] = None,
    address: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Whom to ask, in place of the scenario's.")
    ] = "",
    speed: Annotated[float, typer.Option(min=0.001, help="2: twice as fast as it was.")] = 1.0,
    tenant: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW", help="Ask as NEW what OLD asked; *=NEW: what others did. Repeat it."),
    ] = None,
    workers: Workers = None,
    slo: Slo = "",
    json: Json = None,
    html: Html = None,
    png: Png = None,
    no_live: NoLive = False,
) -> None:
    from croupier_bench import replay as replaying

    if scenario is None and not address:
        fail("say whom to ask: --address HOST:PORT, or --scenario SCENARIO")
    tenants = replaying.mapped(tenant or ())
    if tenants is None:
        raise typer.BadParameter("say OLD=NEW", param_hint="--tenant")

    def planned() -> Scenario:
        base = replaying.base(scenario, address).with_(workers=workers, slo=slo or None)
        return replaying.scenario_of(file, base, speed)

    found = expected(planned)
    source = replaying.Replayed(file, found.target, speed, tenants, found.classes[-1].input)
    _play(found, 0.0, source, (json, html, png), is_quiet=no_live)


def main() -> None:
    app(prog_name="croupier-bench")


def _loaded(path: Path, rate: float | None, seconds: float | None, workers: int | None, slo: str) -> Scenario:
    from croupier_bench import scenario as scenarios

    found = scenarios.load(path)
    return found.with_(rate=rate, seconds=seconds, workers=workers, slo=slo or None)


def _play(
    scenario: Scenario,
    verify_share: float,
    source: Any,
    files: tuple[Path | None, Path | None, Path | None],
    *,
    is_quiet: bool,
) -> None:
    """One run, its summary, its files and its exit code."""
    from croupier_bench import run as running

    def act() -> Result:
        with _watching(scenario.name, is_quiet=is_quiet) as watch:
            return running.run(scenario, verify_share=verify_share, watch=watch, source=source)

    result = expected(act)
    expected(lambda: tell(result, *files))
    raise typer.Exit(code_of(result))


def _watching(name: str, *, is_quiet: bool) -> AbstractContextManager[Any]:
    if is_quiet:
        return nullcontext()
    from croupier_bench import live

    return live.watching(name)


def _span(words: str, option: str) -> float:
    from croupier_bench.keys import seconds_of

    seconds = seconds_of(words)
    if not seconds >= 0:
        raise typer.BadParameter(f"{words!r} is no time: say 90s, 10m or 1h", param_hint=option)
    return seconds


if __name__ == "__main__":
    main()
