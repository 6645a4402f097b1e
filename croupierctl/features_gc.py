"""`croupierctl features gc`: features that nobody asks for any more, and schemas that nobody has."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Annotated

import typer

from croupier.errors import FailedPrecondition
from croupier.grpcio.manager import VersionManagerClient
from croupier.stores.feature_blob import Schema, encode
from croupier.stores.feature_schemas import Schemas
from croupier.stores.features import FeatureStore, schema_key
from croupierctl import output
from croupierctl.feature_scan import Found, found_in
from croupierctl.feature_store import Group, Store, ask_store
from croupierctl.how import DryRun
from croupierctl.servers import ask_manager

_AT_ONCE = 1000


@dataclass(slots=True)
class _Done:
    entities: int = 0
    rewritten: int = 0
    removed: int = 0
    saved: int = 0
    dropped: set[str] = field(default_factory=set)
    in_use: set[int] = field(default_factory=set)
    schemas: int = 0
    written_meanwhile: int = 0


def gc(
    group: Group,
    store: Store,
    keep_names: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="What is asked for of the group: a,b,c. By default, what families ask the store for.",
            show_default=False,
        ),
    ] = "",
    dry_run: DryRun = False,
) -> None:
    """Remove features that nobody asks for any more.

    Stop writing them first. What was written meanwhile is left alone, and every time stays what it is: when
    values held, and when they are forgotten. Schemas go of which nothing is left.
    """
    names = {name.strip() for name in keep_names.split(",") if name.strip()}
    if not keep_names:
        names = ask_manager(lambda manager: _asked_for(manager, group))
    if not names:
        raise typer.BadParameter(f"nobody asks for a feature of {group}: --keep-names says what stays")
    done = ask_store(store, lambda opened: _collect(opened, group, names, is_dry=dry_run), only_reads=dry_run)
    output.record(
        {
            "group": group,
            "entities": done.entities,
            "dropped": output.listing(sorted(done.dropped)),
            "rewritten": done.rewritten,
            "removed": done.removed,
            "saved": output.size(done.saved),
            "schemas removed": done.schemas,
        }
    )
    if done.written_meanwhile:
        output.note(f"{done.written_meanwhile} of them were written meanwhile, and left alone: do it again")
    if dry_run:
        output.note("a dry run: nothing was changed")


async def _asked_for(manager: VersionManagerClient, group: str) -> set[str]:
    """What any family, or model with a config of its own, may read of the group."""
    found = await manager.list_families()
    if len(found.rows) < found.rows_total:
        raise FailedPrecondition(
            f"{found.rows_total} configs are more than are listed: say --keep-names",
            reason="FAMILIES_NOT_LISTED",
        )
    names: set[str] = set()
    for row in found.rows:
        if row.stored:
            family = (await manager.get_family(row.name, row.tenant)).family
            names |= {spec.name for spec in family.features if spec.group == group}
    return names


async def _collect(store: FeatureStore, group: str, names: set[str], *, is_dry: bool) -> _Done:
    done, schemas = _Done(), Schemas(store, time.monotonic)
    smaller: dict[int, Schema | None] = {}
    changes: list[tuple[bytes, bytes, bytes | None]] = []
    known = await schemas.of_group(group)
    async for found in found_in(store, schemas, group):
        done.entities += 1
        if found.schema is None:
            continue
        after = _after(found, names, smaller)
        if after == found.blob:
            done.in_use.add(found.schema.fingerprint)
            continue
        done.dropped.update(set(found.schema.names) - names)
        changes.append((found.key, found.blob, after))
        if len(changes) == _AT_ONCE:
            await _apply(store, schemas, group, changes, smaller, done, is_dry=is_dry)
            changes = []
    await _apply(store, schemas, group, changes, smaller, done, is_dry=is_dry)
    # Only those that name what goes: one that a writer has just put is about to be used. None, if somebody
    # goes on writing: what is left alone may be by any of them.
    unused = (
        []
        if done.written_meanwhile
        else [
            number
            for number, schema in known.items()
            if number not in done.in_use and (schema is None or set(schema.names) - names)
        ]
    )
    done.schemas = len(unused)
    if unused and not is_dry:
        await store.delete_many([schema_key(group, number) for number in unused])
    return done


def _after(found: Found, names: set[str], smaller: dict[int, Schema | None]) -> bytes | None:
    """The blob without what goes; None: nothing is left of it."""
    assert found.schema is not None
    schema = found.schema
    if names.issuperset(schema.names):
        return found.blob
    if schema.fingerprint not in smaller:
        left = [one for one in schema.features if one[0] in names]
        smaller[schema.fingerprint] = Schema(left) if left else None
    kept = smaller[schema.fingerprint]
    values = {name: value for name, value in (found.values or {}).items() if name in names}
    if kept is None or not values:
        return None
    # As it was: the second byte says whether it is compressed.
    return encode(kept, values, found.event_ms, compress=bool(found.blob[1]))


async def _apply(
    store: FeatureStore,
    schemas: Schemas,
    group: str,
    changes: list[tuple[bytes, bytes, bytes | None]],
    smaller: dict[int, Schema | None],
    done: _Done,
    *,
    is_dry: bool,
) -> None:
    done.rewritten += sum(after is not None for _, _, after in changes)
    done.removed += sum(after is None for _, _, after in changes)
    done.saved += sum(len(before) - len(after or b"") for _, before, after in changes)
    if is_dry or not changes:
        return
    for schema in smaller.values():
        if schema is not None and schemas.known(group, schema.fingerprint) is None:
            await schemas.put(group, schema)
    done.written_meanwhile += len(changes) - await store.change_many(changes)
