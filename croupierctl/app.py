"""`croupierctl`: the command line. One file a verb; this one joins them.

Exit codes: 0 done, 1 it failed, 2 the command line was wrong. Results go to standard output, as tables
or with --json (anywhere on the line) as JSON; errors go to standard error, as a sentence that says what
is wrong and one that says what to do.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from croupier.errors import CroupierError
from croupierctl import cells, local, models, output, release, shards, tenants
from croupierctl.advice import advice
from croupierctl.explain import explain_route
from croupierctl.hand import hand
from croupierctl.predict import predict
from croupierctl.session import MANAGER, ROUTER, Session, begin
from croupierctl.token import token


class _Root(TyperGroup):
    """Knows --json in any place, and what to print when a verb fails."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        options, separator = args, []
        if "--" in args:
            at = args.index("--")
            options, separator = args[:at], args[at:]
        if "--json" in options:
            args = ["--json", *[word for word in options if word != "--json"], *separator]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CroupierError as error:
            output.note(f"error: {error}")
            if hint := advice(error):
                output.note(f"hint: {hint}")
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=_Root,
    help="Publish models, release them and see where requests go.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(models.app, name="models")
app.add_typer(release.app, name="release")
app.add_typer(tenants.app, name="tenants")
app.add_typer(cells.app, name="cells")
app.add_typer(shards.app, name="shards")
app.command("hand")(hand)
app.command("explain")(explain_route)
app.command("predict")(predict)
app.command("token")(token)
app.add_typer(local.app, name="local")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(importlib.metadata.version("croupier"))
        raise typer.Exit


@app.callback()
def _root(
    manager: Annotated[
        str, typer.Option(envvar="CROUPIERCTL_MANAGER", help="host:port of the version manager.")
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
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    begin(Session(manager, router, ca, certificate, key, as_json))


def main() -> None:
    app(prog_name="croupierctl")


if __name__ == "__main__":
    main()
