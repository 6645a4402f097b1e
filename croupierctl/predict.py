"""`croupierctl predict`: one prediction, through the router and the client SDK."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from croupier import errors
from croupier.grpcio.outgoing import trace_pairs
from croupier_client import Client, PredictError, Prediction
from croupier_client.encode import Features
from croupierctl import output
from croupierctl.arguments import Key, Label, Model, Tenant, Version
from croupierctl.seen import span
from croupierctl.servers import ServerUnavailable, current, request_id

# A person who tries a model out sends ten rows, not ten thousand.
_ENOUGH = 20
_WHY_DOWN = ", for the feature store was down or slow"


def predict(
    tenant: Tenant,
    model: Model,
    features: Annotated[
        str, typer.Option(metavar="JSON", help='Features by name: {"age": 31, "plan": "basic"}.')
    ] = "",
    row: Annotated[
        str, typer.Option(metavar="NUMBERS", help="All features in the model's order: 1,2.5,nan.")
    ] = "",
    entity: Annotated[
        str, typer.Option(metavar="ID", help="Whose stored features are read. Other ones may be left out.")
    ] = "",
    parameter: Annotated[
        list[str],
        typer.Option(metavar="NAME=VALUE", help="What a family reads stored features by; repeat it."),
    ] = [],  # noqa: B006 - typer copies defaults, and needs them here
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Say where each feature came from, of families with stored ones."),
    ] = False,
    version: Version = 0,
    label: Label = "",
    key: Key = "",
    token: Annotated[
        str, typer.Option(envvar="CROUPIERCTL_TOKEN", help="The tenant's token, or @FILE that holds it.")
    ] = "",
    min_revision: Annotated[
        str,
        typer.Option(metavar="REVISION", help="Be answered from this revision on, as publishing printed it."),
    ] = "",
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds until giving up.")] = 10.0,
) -> None:
    """Ask a model for one prediction."""
    asked = {} if entity and not features and not row else parse_features(features, row)
    parameters = _parameters(parameter)
    servers = current()
    try:
        with Client(
            servers.router,
            tenant=tenant,
            token=_token(token),
            ca=servers.ca,
            certificate=servers.certificate,
            key=servers.key,
            timeout=timeout,
            trace=trace_pairs,
        ) as client:
            found = client.predict(
                model,
                asked,
                version=version,
                label=label,
                key=key,
                entity_id=entity,
                parameters=parameters,
                explain=explain,
                min_revision=min_revision,
                request_id=request_id(),
            )
    except PredictError as error:
        # A reason of its own means that the router answered: a hand that is down, say.
        if error.reason == errors.Unavailable.reason:
            raise ServerUnavailable(
                f"the router at {servers.router} is unavailable: {error}", target=servers.router
            ) from error
        raise as_ours(error) from error
    _print(found)


def as_ours(error: PredictError) -> errors.CroupierError:
    """The same of the tree that all verbs' errors are of: the SDK, which knows none of ours, has its own."""
    names = (kind.__name__ for kind in type(error).__mro__)
    ours: type[errors.CroupierError] = next(getattr(errors, name) for name in names if hasattr(errors, name))
    found = ours(error.message)
    vars(found).update(vars(error))
    return found


def parse_features(features: str, row: str) -> Features:
    """The features of one of the two options; BadParameter when there is none, or no sense in it."""
    if bool(features) == bool(row):
        raise typer.BadParameter("give either --features or --row; --entity alone, if all is stored")
    if row:
        try:
            return [float(value) for value in row.split(",")]
        except ValueError:
            raise typer.BadParameter(f"{row!r} is not numbers with commas between") from None
    try:
        named = json.loads(features)
    except ValueError as error:
        raise typer.BadParameter(f"--features is not JSON: {error}") from None
    if not isinstance(named, dict):
        raise typer.BadParameter('--features is not a JSON object: {"name": value}')
    return named


def _parameters(words: list[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, found[name] = word.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{word} is no parameter: write name=value")
    return found


def _token(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text().strip()
    except OSError as error:
        raise typer.BadParameter(f"cannot read {text[1:]}: {error.strerror}") from None


def _print(found: Prediction) -> None:
    if current().as_json:
        output.emit(_document(found))
        return
    fields: dict[str, Any] = {name: _shorten(values) for name, values in found.outputs.items()}
    fields |= {"version": found.version, "took": f"{found.took * 1e3:.3g} ms"}
    if found.defaults or found.origins:
        fields["defaults"] = f"{found.defaults}{_WHY_DOWN if found.degraded else ''}"
    output.record(fields)
    if found.origins:
        output.say("")
        rows = [(name, one.source, _age(one.age)) for name, one in found.origins.items()]
        output.table(("feature", "from", "age"), rows)


def _document(found: Prediction) -> dict[str, Any]:
    document = {
        "outputs": dict(found.outputs),
        "version": found.version,
        "took": found.took,
        "defaults": found.defaults,
        "degraded": found.degraded,
    }
    if found.origins:
        document["origins"] = {name: asdict(one) for name, one in found.origins.items()}
    return document


def _age(seconds: float | None) -> str:
    return "" if seconds is None else span(seconds)


def _shorten(values: list[Any]) -> str:
    shown = ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values[:_ENOUGH])
    more = len(values) - _ENOUGH
    return f"{shown}, and {more} more" if more > 0 else shown
