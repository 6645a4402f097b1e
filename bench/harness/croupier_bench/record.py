"""Requests as Croupier's log has them (docs/log.md), written into a file that `replay` plays.

A line of the file is a request, in JSON, by when it arrived; the first line says where all of it is from:

    {"kind": "requests", "format": 1, "family": "churn", "requests": 2, "seconds": 0.5, "left_out": {}}
    {"t": 0.0, "tenant": "acme", "items": [{"model": "churn", "entity": "c-1", "features": {"age": 31.0}}]}
    {"t": 0.5, "tenant": "acme", "tensors": "…"}

The log has a line for each row; rows of one request have its id, tenant and arrival in common. What a caller
sent has the source `request`; the rest was put in for it, and will be again. Tensors of models with named
features are played as items. What the log hides cannot be sent again: such requests are left out, and counted
by the reason. A family that logs a share has that share of its requests here.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import quote, urlsplit

from croupier.errors import FailedPrecondition, NotFound, Unavailable
from croupier.names import check_name
from croupier.stores.objects import local_folder, s3_place

KIND, FORMAT = "requests", 1
_COLUMNS = (
    *("time", "request_id", "item", "row", "api", "tenant", "model", "entity", "features", "outputs"),
    *("took_us", "datatype", "hidden", "request"),
)
_HOUR = re.compile(r"/date=(\d{4}-\d{2}-\d{2})/hour=(\d{2})/[^/]+\.parquet$")
# Callers may use an id again: what arrives this much later is another request.
_APART_US = 1_000_000
_SENT, _ENTITY, _HASHED = "request", "entity", "hash:"


class NotInstalled(FailedPrecondition):
    """What reads the log is missing. The operator's."""

    reason = "LOG_PARTS_MISSING"


class NothingLogged(NotFound):
    """The log has nothing of that family and time. The operator's."""

    reason = "NOT_LOGGED"


class _Hidden(Exception):
    """A row that does not say what was sent."""


@dataclass(slots=True)
class Recording:
    """`requests` are lines of the file, each with `t`; `left_out` counts by the reason."""

    family: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def seconds(self) -> float:
        return float(self.requests[-1]["t"]) if self.requests else 0.0


@contextmanager
def opened(path: Path, mode: str) -> Iterator[IO[str]]:
    """As text; a name that ends with .gz is compressed."""
    open_it: Any = gzip.open if path.suffix == ".gz" else open
    with open_it(path, f"{mode}t", encoding="utf-8") as file:
        yield file


def write(recording: Recording, path: Path) -> None:
    head = {
        "kind": KIND,
        "format": FORMAT,
        "family": recording.family,
        "requests": len(recording.requests),
        "seconds": recording.seconds,
        "left_out": dict(recording.left_out),
    }
    with opened(path, "w") as file:
        for line in (head, *recording.requests):
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def record(
    url: str,
    family: str,
    since: datetime,
    until: datetime | None = None,
    *,
    tenants: Sequence[str] = (),
    most: int = 200_000,
) -> Recording:
    """What the log at `url` has of `family` in that time; `tenants` are the only ones, if there are any.

    Raises:
        InvalidName: no family is called so.
        InvalidSettings: `url` is neither a folder nor a bucket.
        NotInstalled, Unavailable
        NothingLogged: there is nothing of that time.
        FailedPrecondition: there are more than `most` rows.
    """
    rows = _rows(url, family, since, until, tenants)
    parts: list[_Part] = []
    for row in rows:
        if len(parts) == most:
            raise FailedPrecondition(f"there are more than {most:,} rows: ask for less time, or --most more")
        parts.append(_part(row))
    if not parts:
        raise NothingLogged(f"the log in {url} has nothing of {family} since {since:%Y-%m-%d %H:%M:%SZ}")
    return _together(family, parts)


# From rows to requests


class _Part(NamedTuple):
    """A row: whose it is, when its request arrived, which part of it it is, and what was asked.

    `sent` is an item, tensors, or None where the first row of its request has them.
    """

    tenant: str
    request_id: str
    arrived_us: int
    item: int
    row: int
    sent: dict[str, Any] | None
    hidden: str


def _part(row: Mapping[str, Any]) -> _Part:
    arrived = round(row["time"].timestamp() * 1_000_000) - (row["took_us"] or 0)
    sent, hidden = None, ""
    try:
        sent = _sent(row)
    except _Hidden as error:
        hidden = str(error)
    return _Part(row["tenant"], row["request_id"], arrived, row["item"], row["row"], sent, hidden)


def _sent(row: Mapping[str, Any]) -> dict[str, Any] | None:
    if row["request"] is not None:
        return {"tensors": base64.b64encode(row["request"]).decode()}
    features = dict(row["features"] or ())
    if not features and row["api"] != "Predict":
        if row["row"] == 0:
            raise _Hidden("the log has no tensors of it: its family hides something")
        return None
    names = dict(row["outputs"] or ())
    for name in row["hidden"] or ():
        if name == _ENTITY:
            if any(one["source"] != _SENT for one in features.values()):
                raise _Hidden("the log hides the entity, whose stored features it was answered with")
        elif name not in names and (name not in features or features[name]["source"] == _SENT):
            raise _Hidden(f"the log hides {name}")
    values = {name: _value(one) for name, one in features.items() if one["source"] == _SENT}
    item: dict[str, Any] = {"model": row["model"]}
    if row["entity"] and _ENTITY not in (row["hidden"] or ()):
        item["entity"] = row["entity"]
    if _is_dense(row["datatype"], values, features):
        item["row"] = list(values.values())
    else:
        item["features"] = values
    return item


def _is_dense(datatype: str | None, values: Mapping[str, Any], features: Mapping[str, Any]) -> bool:
    """Whether all of a model's features came as float32: they are logged in its own order then."""
    are_all = len(values) == len(features) > 0
    return datatype == "FP32" and are_all and not any(isinstance(one, str) for one in values.values())


def _value(feature: Mapping[str, Any]) -> float | str | None:
    """None is not a number, which JSON has not."""
    if feature["text"] is not None:
        return str(feature["text"])
    number = feature["integer"] if feature["integer"] is not None else feature["number"]
    return None if number is None or math.isnan(number) else float(number)


def _together(family: str, parts: list[_Part]) -> Recording:
    found = Recording(family)
    begun = []
    parts.sort(key=lambda part: part[:5])
    for _, rows in groupby(parts, key=lambda part: part[:2]):
        for request in _split(rows):
            if reason := next((one.hidden for one in request if one.hidden), ""):
                found.left_out[reason] += 1
                continue
            sent = [one.sent for one in request if one.sent is not None]
            tensors = [one for one in sent if "tensors" in one]
            asked = tensors[0] if tensors else {"items": sent}
            if sent:
                begun.append((request[0].arrived_us, {"tenant": request[0].tenant, **asked}))
    begun.sort(key=lambda one: one[0])
    found.requests = [{"t": (at - begun[0][0]) / 1_000_000, **asked} for at, asked in begun]
    return found


def _split(rows: Iterator[_Part]) -> Iterator[list[_Part]]:
    """The requests of one id: mostly one."""
    request: list[_Part] = []
    for one in rows:
        is_other = request and (
            one.arrived_us - request[0].arrived_us > _APART_US
            or any(one[3:5] == before[3:5] for before in request)
        )
        if is_other:
            yield request
            request = []
        request.append(one)
    if request:
        yield request


# The log


def _rows(
    url: str, family: str, since: datetime, until: datetime | None, tenants: Sequence[str]
) -> Iterator[dict[str, Any]]:
    dataset, pa = _needed("pyarrow.dataset"), _needed("pyarrow")
    filesystem, base = _opened(url)
    try:
        files = sorted(_files(filesystem, base, family, since, until))
        if not files:
            return
        wanted = dataset.field("time") >= pa.scalar(since, pa.timestamp("us", tz="UTC"))
        if until is not None:
            wanted &= dataset.field("time") < pa.scalar(until, pa.timestamp("us", tz="UTC"))
        if tenants:
            wanted &= dataset.field("tenant").isin(list(tenants))
        # Columns come at the end, and none of these is new.
        found = dataset.dataset(files, format="parquet", filesystem=filesystem)
        for batch in found.to_batches(columns=list(_COLUMNS), filter=wanted):
            yield from batch.to_pylist()
    except OSError as error:
        raise Unavailable(f"the log cannot be read: {error}") from error


def _files(filesystem: Any, base: str, family: str, since: datetime, until: datetime | None) -> Iterator[str]:
    fs = _needed("pyarrow.fs")
    folder = f"{base}/family={quote(check_name(family, 'family'), safe='')}"
    first, last = f"{since:%Y-%m-%d %H}", f"{until:%Y-%m-%d %H}" if until is not None else "9"
    for one in filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True, recursive=True)):
        hour = _HOUR.search(one.path)
        if one.is_file and hour is not None and first <= f"{hour[1]} {hour[2]}" <= last:
            yield one.path


def _opened(url: str) -> tuple[Any, str]:
    """A filesystem of pyarrow, and the log's folder there."""
    fs = _needed("pyarrow.fs")
    if (folder := local_folder(url)) is not None:
        return fs.LocalFileSystem(), str(folder)
    bucket, prefix, options = s3_place(url)
    found: dict[str, Any] = {"region": options["region"]} if "region" in options else {}
    if "endpoint" in options:
        endpoint = urlsplit(options["endpoint"])
        found |= {"endpoint_override": endpoint.netloc, "scheme": endpoint.scheme}
    return fs.S3FileSystem(**found), f"{bucket}/{prefix}".rstrip("/")


def _needed(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise NotInstalled(
            f"{name.partition('.')[0]} is not installed: pip install 'croupier-bench[replay]'"
        ) from error


def ago(seconds: float, now: float) -> datetime:
    return datetime.fromtimestamp(now - seconds, UTC)
