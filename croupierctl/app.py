"""`croupierctl`: the command line. One file a verb; this one joins them, and imports none (`lazy.py`).

Exit codes: 0 done, 1 it failed, 2 the command line was wrong. Results go to standard output, as tables
or with --json (anywhere on the line) as JSON; errors go to standard error, as a sentence that says what
is wrong and one that says what to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from croupier.errors import CroupierError
from croupierctl import output
from croupierctl.advice import advice
from croupierctl.lazy import LazyGroup, Verb
from croupierctl.servers import MANAGER, ROUTER, Servers, begin
from croupierctl.tracing import traced

_WORDS = "croupierctl.words"
# A verb whose options are its own, --json as well: it is a file there.
_FOREIGN = "bench"


class _Root(LazyGroup):
    """Knows --json in any place, and what to print when a verb fails."""

    verbs = (
        Verb("status", "croupierctl.status", "status", "Say whether all is well, and if not, what is wrong."),
        Verb(
            "why",
            *("croupierctl.why", "why"),
            "Say why a tenant's requests are slow, refused or wrong.",
        ),
        Verb("top", "croupierctl.top", "top", "Show who asks for most now, and what they get."),
        Verb("models", "croupierctl.models", "app", "Models and their versions."),
        Verb("release", "croupierctl.release", "app", "What is served for a model now."),
        Verb(
            "tenants",
            "croupierctl.tenants",
            "app",
            "What is kept for a tenant, dealt to it, asked by it, and what it may take.",
        ),
        Verb(
            "families",
            "croupierctl.families",
            "app",
            "What models of one name have in common: features, defaults, what is logged.",
        ),
        Verb("features", "croupierctl.features", "app", "What the feature store has of entities."),
        Verb("cells", "croupierctl.cells", "app", "The cells that are registered."),
        Verb("zones", "croupierctl.seats", "app", "The cells of a zone, all at once."),
        Verb("shards", "croupierctl.shards", "app", "The shard map: which cells are dealt to whom."),
        Verb("catalog", "croupierctl.catalog", "app", "The catalog as a whole, when etcd was damaged."),
        Verb(
            "hand",
            *("croupierctl.hand", "hand"),
            "Show the cells that a tenant was dealt, and the chance that another one shares them.",
        ),
        Verb(
            "blast",
            "croupierctl.blast",
            "blast",
            "Say who is hurt when cells break, and how many were to be expected.",
        ),
        Verb(
            "explain",
            *("croupierctl.explain", "explain_route"),
            "Say where a request would go, and why: version, artifact, hand and cell.",
        ),
        Verb("predict", "croupierctl.predict", "predict", "Ask a model for one prediction."),
        Verb("bench", "croupierctl.bench", "app", "Load-test a deployment: croupier-bench."),
        Verb("log", "croupierctl.log", "app", "What was predicted, as the log has it."),
        Verb(
            "reproduce",
            *("croupierctl.reproduce", "reproduce"),
            "Compute a logged answer again, and say whether it is the same.",
        ),
        Verb(
            "token",
            "croupierctl.token",
            "token",
            "Make a token for a tenant: a JWT signed with a key that the router knows.",
        ),
        Verb("keys", "croupierctl.keys", "app", "The keys that sign tokens: make, rotate, give to routers."),
        Verb("local", "croupierctl.local", "app", "Run the whole fleet on this machine."),
    )

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        options, separator = args, []
        if "--" in args:
            at = args.index("--")
            options, separator = args[:at], args[at:]
        at = self._verb_at(options)
        if options[at : at + 1] == [_FOREIGN]:
            options, separator = options[:at], [*options[at:], *separator]
        if "--json" in options:
            args = ["--json", *[word for word in options if word != "--json"], *separator]
        ctx.meta[_WORDS] = self._words(args)
        return super().parse_args(ctx, args)

    def _verb_at(self, args: list[str]) -> int:
        return next((at for at, word in enumerate(args) if word in self.commands), len(args))

    def _words(self, args: list[str]) -> str:
        """What the command is called: its verb, of a group two words."""
        at = self._verb_at(args)
        verb = self.commands.get(args[at]) if at < len(args) else None
        return " ".join(args[at : at + 2] if isinstance(verb, Verb) and verb.is_group else args[at : at + 1])

    def invoke(self, ctx: Any) -> Any:
        try:
            with traced(ctx.meta[_WORDS], ctx.params["traceparent"], ctx.params["otlp_endpoint"]):
                return super().invoke(ctx)
        except CroupierError as error:
            output.problem(error, advice(error))
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=_Root,
    help="Publish models, release them and see where requests go.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        # Only those who ask wait for its import.
        from croupier.version import version

        typer.echo(version())
        raise typer.Exit


@app.callback()
def _root(
    manager: Annotated[
        str, typer.Option(envvar="CROUPIERCTL_MANAGER", help="Version managers: host:port[,host:port...].")
    ] = MANAGER,
    router: Annotated[str, typer.Option(envvar="CROUPIERCTL_ROUTER", help="host:port of a router.")] = ROUTER,
    ca: Annotated[
        Path | None,
        typer.Option(envvar="CROUPIERCTL_CA", help="PEM file of the servers' authority: speak TLS."),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(envvar="CROUPIERCTL_CERTIFICATE", help="PEM file to show to servers.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(envvar="CROUPIERCTL_KEY", help="PEM file of its private key.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    traceparent: Annotated[
        str, typer.Option(envvar="TRACEPARENT", help="The span that this is part of, as W3C has it.")
    ] = "",
    otlp_endpoint: Annotated[
        str,
        typer.Option(
            envvar="CROUPIERCTL_OTLP_ENDPOINT", help="Trace this for the collector at http[s]://host:port."
        ),
    ] = "",
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    begin(Servers(manager, router, ca, certificate, key, as_json))


def main() -> None:
    app(prog_name="croupierctl")


if __name__ == "__main__":
    main()
