"""The log's Parquet files, wherever they are, as one table to be asked.

    <log>/family=F/date=YYYY-MM-DD/hour=HH/<name>.parquet     (logger/batches.py)

What is asked about decides which files are looked at: those of a family, from an hour on. They are read with
the schema of this command line: what older ones have not is null.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from croupier import settings
from croupier.errors import FailedPrecondition, Unavailable
from croupier.names import check_name
from croupier.stores.objects import local_folder, s3_place

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOUR = re.compile(r"(?:^|/)family=[^/]+/date=(\d{4}-\d{2}-\d{2})/hour=(\d{2})/[^/]+\.parquet$")


class LogPartsMissing(FailedPrecondition):
    """What reads the log is not installed. The operator's."""

    reason = "LOG_PARTS_MISSING"


def log_url(said: str) -> str:
    """Where the log is: as it was said, or where a local stack has it."""
    return said or f"file://{settings.home() / 'log'}"


def needed(name: str) -> Any:
    """A module of the extra `log`. Raises LogPartsMissing."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise LogPartsMissing(f"{name.partition('.')[0]} is not installed") from error


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a log: `filesystem` is pyarrow's, `base` the log's folder there."""

    filesystem: Any
    base: str

    def dataset(self, family: str, since: datetime | None) -> Any:
        """The rows of `family`, or of all with "", from the hour of `since` on, as a pyarrow dataset.

        Raises:
            InvalidName: a family that none can be called.
            Unavailable: the store says nothing.
        """
        dataset, pa = needed("pyarrow.dataset"), needed("pyarrow")
        from logger.columns import SCHEMA

        try:
            found = sorted(self._within(family, since))
        except OSError as error:
            raise Unavailable(f"the log cannot be read: {error}") from error
        path = pa.schema([(name, pa.string()) for name in ("family", "date", "hour")])
        return dataset.FileSystemDataset.from_paths(
            found,
            schema=pa.unify_schemas([SCHEMA, path]),
            format=dataset.ParquetFileFormat(),
            filesystem=self.filesystem,
            partitions=[_partition(dataset, one.removeprefix(self.base)) for one in found],
        )

    def _within(self, family: str, since: datetime | None) -> Iterator[str]:
        fs = needed("pyarrow.fs")
        first = f"{since:%Y-%m-%d %H}" if since is not None else ""
        base = self.base
        if family:
            base = f"{base}/family={quote(check_name(family, 'family'), safe='')}"
        selector = fs.FileSelector(base, allow_not_found=True, recursive=True)
        for one in self.filesystem.get_file_info(selector):
            hour = _HOUR.search(one.path)
            if one.is_file and hour is not None and f"{hour[1]} {hour[2]}" >= first:
                yield one.path


def _partition(dataset: Any, path: str) -> Any:
    """What the folders of a file say of its rows."""
    from urllib.parse import unquote

    said = dict(part.split("=", 1) for part in path.strip("/").split("/")[:-1])
    field = dataset.field
    return (
        (field("family") == unquote(said["family"]))
        & (field("date") == said["date"])
        & (field("hour") == said["hour"])
    )


def open_log(url: str) -> Files:
    """The log at `url`, a folder or a bucket.

    Raises:
        InvalidSettings: it is neither.
        LogPartsMissing
    """
    fs = needed("pyarrow.fs")
    if (folder := local_folder(url)) is not None:
        return Files(fs.LocalFileSystem(), str(folder))
    bucket, prefix, options = s3_place(url)
    found: dict[str, Any] = {"region": options["region"]} if "region" in options else {}
    if "endpoint" in options:
        endpoint = urlsplit(options["endpoint"])
        found |= {"endpoint_override": endpoint.netloc, "scheme": endpoint.scheme}
    return Files(fs.S3FileSystem(**found), f"{bucket}/{prefix}".rstrip("/"))


def moment_ago(seconds: float, now: float) -> datetime:
    return datetime.fromtimestamp(now - seconds, UTC)
