"""`croupierctl predict`: one prediction, through the router and the client SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from croupier import errors
from croupier.grpcio.outgoing import trace_pairs
from croupier_client import Client, PredictError, Prediction
from croupier_client.encode import Features
from croupierctl import output
from croupierctl.arguments import Key, Label, Model, Tenant, Version
from croupierctl.servers import ServerUnavailable, current, request_id

# A person who tries a model out sends ten rows, not ten thousand.
_ENOUGH = 20


def predict(
    tenant: Tenant,
    model: Model,
    features: Annotated[
        str, typer.Option(metavar="JSON", help='Features by name: {"age": 31, "plan": "basic"}.')
    ] = "",
    row: Annotated[
        str, typer.Option(metavar="NUMBERS", help="All features in the model's order: 1,2.5,nan.")
    ] = "",
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
    asked = parse_features(features, row)
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
        raise typer.BadParameter("give either --features or --row")
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


def _token(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text().strip()
    except OSError as error:
        raise typer.BadParameter(f"cannot read {text[1:]}: {error.strerror}") from None


def _print(found: Prediction) -> None:
    if current().as_json:
        output.emit({"outputs": dict(found.outputs), "version": found.version, "took": found.took})
        return
    fields: dict[str, Any] = {name: _shorten(values) for name, values in found.outputs.items()}
    output.record({**fields, "version": found.version, "took": f"{found.took * 1e3:.3g} ms"})


def _shorten(values: list[Any]) -> str:
    shown = ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values[:_ENOUGH])
    more = len(values) - _ENOUGH
    return f"{shown}, and {more} more" if more > 0 else shown
