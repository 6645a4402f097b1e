"""`croupierctl features`: what a feature store has of entities."""

from __future__ import annotations

import math
import time
from typing import Annotated

import typer

from croupier.errors import NotFound
from croupier.stores.feature_blob import NUMBER, TEXT, Schema, Value, decode, encode, header
from croupier.stores.feature_schemas import Schemas
from croupier.stores.features import FEATURES_PREFIX, FeatureStore, features_key, features_prefix, parse_key
from croupierctl import output
from croupierctl.arguments import Tenant, duration
from croupierctl.feature_store import Group, Store, ask_store
from croupierctl.lazy import LazyGroup, Verb


class _Features(LazyGroup):
    verbs = (
        Verb("load", "croupierctl.features_load", "load", "Load a table of features, a row for each entity."),
        Verb(
            "check", "croupierctl.features_check", "check", "Say what of a group cannot be read, or is old."
        ),
        Verb("gc", "croupierctl.features_gc", "gc", "Remove features that nobody asks for any more."),
    )


app = typer.Typer(cls=_Features, no_args_is_help=True)

Entity = Annotated[
    str, typer.Argument(metavar="ENTITY", help="Whom or what they are of.", show_default=False)
]


@app.command()
def put(
    tenant: Tenant,
    group: Group,
    entity: Entity,
    values: Annotated[
        list[str],
        typer.Argument(metavar="NAME=VALUE...", help="A number, or else a text.", show_default=False),
    ],
    store: Store,
    text: Annotated[
        list[str], typer.Option(metavar="NAME", help="A text though it looks like a number; repeat it.")
    ] = [],  # noqa: B006 - typer copies defaults, and needs them here
    keep: Annotated[
        float | None,
        typer.Option(parser=duration, metavar="TIME", help="Forget it after so long.", show_default=False),
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Keep its other features, as they are now.")] = False,
) -> None:
    """Write the features of one entity, which hold from now on; those that are not mentioned go."""
    said = _said(values, set(text))
    key = features_key(tenant, group, entity)

    async def work(opened: FeatureStore) -> tuple[Schema, dict[str, Value]]:
        schemas = Schemas(opened, time.monotonic)
        found = dict(said)
        if merge:
            found = (await _read(opened, schemas, group, key))[1] | said
        schema = Schema((name, _dtype(value)) for name, value in sorted(found.items()))
        await schemas.put(group, schema)
        await opened.put_many([(key, encode(schema, found, int(time.time() * 1000)))], keep)
        return schema, found

    schema, found = ask_store(store, work)
    output.record({**found, "schema": f"{schema.fingerprint:016x}"})


@app.command()
def get(tenant: Tenant, group: Group, entity: Entity, store: Store) -> None:
    """Show the features of one entity, and since when they hold."""
    key = features_key(tenant, group, entity)

    async def work(opened: FeatureStore) -> tuple[int, dict[str, Value]]:
        event_ms, found = await _read(opened, Schemas(opened, time.monotonic), group, key)
        if not event_ms:
            raise NotFound(
                f"nothing is stored of entity {entity!r} in group {group} of {tenant}",
                reason="NOTHING_STORED",
            )
        return event_ms, found

    event_ms, found = ask_store(store, work, only_reads=True)
    age = time.time() - event_ms / 1000
    output.record(
        {
            "time": output.moment(event_ms / 1000),
            "age": output.Shown(age, f"{age:.1f} s"),
            "features": output.Shown(found, "\n".join(f"{name}={_shown(found[name])}" for name in found)),
        }
    )


@app.command()
def scan(
    store: Store,
    tenant: Annotated[str, typer.Option(help="Of this customer alone.", show_default=False)] = "",
    group: Annotated[str, typer.Option(help="Of this group alone.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, help="Stop after so many.")] = 100,
) -> None:
    """List whose features there are, in no order."""
    prefix = features_prefix(tenant, group) if tenant and group else FEATURES_PREFIX
    prefix += tenant.encode() + b"/" if tenant and not group else b""

    async def work(opened: FeatureStore) -> list[tuple[str, str, str]]:
        found: dict[bytes, tuple[str, str, str]] = {}
        async for key in opened.scan(prefix):
            parsed = parse_key(key)
            if parsed is not None and group in ("", parsed.group):
                found[key] = (parsed.tenant, parsed.group, parsed.entity.decode(errors="replace"))
            if len(found) == limit:
                output.note(f"the first {limit} of them: --limit has more")
                break
        return sorted(found.values())

    found = ask_store(store, work, only_reads=True)
    output.table(("tenant", "group", "entity"), found, empty="no features there")


async def _read(
    store: FeatureStore, schemas: Schemas, group: str, key: bytes
) -> tuple[int, dict[str, Value]]:
    """Event time and values of a key; 0 and none if there is nothing.

    Raises:
        BadBlob: it is none of ours.
        NotFound: there is no schema of it.
    """
    (blob,) = await store.get_many([key])
    if blob is None:
        return 0, {}
    fingerprint, _ = header(blob)
    await schemas.read([(group, fingerprint)])
    schema = schemas.known(group, fingerprint)
    if schema is None:
        raise NotFound(f"there is no schema {fingerprint:016x} of group {group}, by which it was written")
    return decode(blob, schema)


def _said(words: list[str], texts: set[str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise typer.BadParameter(f"{word} is no feature: write name=value")
        found[name] = value if name in texts else _value(value)
    if unknown := texts - found.keys():
        raise typer.BadParameter(f"--text {min(unknown)} is not among the features")
    return found


def _value(word: str) -> Value:
    try:
        number = float(word)
    except ValueError:
        return word
    if not math.isfinite(number):
        raise typer.BadParameter(f"{word} is no number that a feature can have; --text takes it as a text")
    return number


def _dtype(value: Value) -> str:
    return TEXT if isinstance(value, str) else NUMBER


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else f"{value!r}"
