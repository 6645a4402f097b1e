"""The log beside what callers were answered, of a real cell: by DuckDB, and by the engines.

Each request has an id of its own, its row of numbers, and a tenant's model. What it was answered is kept as
it came, and compared with what DuckDB finds under its id in the Parquet files, bit for bit. Of some, drawn
at random, the answer is computed again from what the log says, as `croupierctl reproduce` does.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench import calling, catalog, openloop, processes
from bench.calling import Requests, SessionCaller
from bench.catalog import name_of, tenant_of
from bench.peers import launch
from croupier.artifacts.datatypes import DATATYPES
from croupier.artifacts.format import digest_of, view
from croupier.protocol import CURRENT
from croupier.stores.objects import key_of
from croupier.stores.spool import Kind, Record
from croupierctl.log_files import open_log
from croupierctl.scored_again import differences, score, scorer_of
from croupierctl.stack_process import Process
from logger.progress import Progress
from protos.inference.v2 import inference_pb2 as pb
from version_manager.model.family import Families, Family, LogRule

_SEED = 65
_WRITTEN_SECONDS = 60.0
_FEW_STREAMS = 4


class Written(NamedTuple):
    kept: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Seen:
    """`rows` in the log, by DuckDB; `rows_equal` of them are what the caller got."""

    answers: int
    rows: int
    rows_equal: int
    reproduced: int


class _Asked:
    """Requests that are kept with their answers, by number."""

    path = catalog.MODEL_INFER.encode()

    def __init__(self, artifact: bytes, count: int) -> None:
        (self._tensor,) = view(artifact).inputs
        random = np.random.default_rng(_SEED)
        self._rows = random.normal(size=(count, self._tensor.shape[1])).astype(np.float32)
        self.answers: dict[int, bytes] = {}

    def tenant(self, number: int) -> bytes:
        return tenant_of(number).encode()

    def message(self, number: int) -> bytes:
        row = self._rows[number]
        request = pb.ModelInferRequest(model_name=name_of(number % catalog.TENANTS))
        tensor = request.inputs.add(name=self._tensor.name, datatype="FP32", shape=[1, len(row)])
        tensor.contents.fp32_contents.extend(row.tolist())
        return request.SerializeToString()

    def is_answer(self, number: int, answer: bytes) -> bool:
        self.answers[number] = answer
        return True


class _Naming(SessionCaller):
    """Gives each request an id."""

    def headers(self, load: Requests, number: int) -> tuple[tuple[bytes, bytes], ...]:
        return (*super().headers(load, number), (b"x-request-id", id_of(number).encode()))


def id_of(number: int) -> str:
    return f"asked-{number}"


async def look(folder: Path, artifact: bytes, answers: int, reproduced: int) -> Seen:
    """Ask, wait until it is written, and compare."""
    home = folder / "real"
    home.mkdir()
    store, log, spool = store_of(home, [artifact]), f"file://{home / 'log'}", home / "spool"
    asked = _Asked(artifact, answers)
    core = processes.cores().proxy
    with ExitStack() as stack:
        cell = _cell(home, store)
        stack.callback(cell.stop)
        processes.start_pinned(cell, core)
        cell.wait_ready()
        write_snapshot(home / "catalog", [cell.address], artifact, families(1.0))
        options = ("--log-spool", str(spool))
        router = launch.start_router(home, home / "catalog", 1, None, core, options=options)
        stack.callback(router.process.stop)
        process = logger(home, store, spool, log)
        stack.callback(process.stop)
        process.start()
        process.wait_ready()
        async with calling.callers(router.address, kind=_Naming) as callers:
            await openloop.closed_loop(callers, asked, answers, streams=_FEW_STREAMS)
        await written(spool, len(asked.answers))
    return Seen(
        answers,
        count(home / "log"),
        equal(home / "log", asked.answers),
        _again(log, artifact, answers, reproduced),
    )


async def written(spool: Path, answers: int) -> None:
    """Wait until so many are in the log, or known not to be. Raises TimeoutError."""
    async with asyncio.timeout(_WRITTEN_SECONDS):
        while True:
            totals = Progress.load(spool).totals
            if totals.rows + totals.dropped + totals.lost >= answers:
                return
            await asyncio.sleep(0.05)


def count(log: Path) -> int:
    """The rows of a log, as DuckDB counts them."""
    ((rows,),) = _query(log, "select count(*) from log")
    return int(rows)


def _query(log: Path, sql: str) -> list[tuple[Any, ...]]:
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(f"create view log as select * from read_parquet('{log}/*/*/*/*.parquet')")
        found: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
        return found


def equal(log: Path, answers: dict[int, bytes]) -> int:
    """How many rows have the numbers that their caller got, each caller's once."""
    left = {id_of(number): answer for number, answer in answers.items()}
    found = 0
    for request_id, outputs in _query(log, "select request_id, outputs from log"):
        answer = left.pop(request_id, None)
        logged = {name: one["integers"] or one["numbers"] for name, one in outputs.items()}
        found += answer is not None and logged == _outputs(answer)
    return found


def _outputs(answer: bytes) -> dict[str, list[float]]:
    """By protobuf's own library, and not as a logger reads it."""
    response = pb.ModelInferResponse.FromString(answer)
    found = {}
    for at, output in enumerate(response.outputs):
        raw, contents = response.raw_output_contents, output.contents
        if raw:
            found[output.name] = np.frombuffer(raw[at], DATATYPES[output.datatype]).tolist()
        else:
            found[output.name] = list(contents.fp32_contents or contents.int64_contents)
    return found


def _again(log: str, artifact: bytes, answers: int, count: int) -> int:
    """How many of `count` answers come out again, bit for bit."""
    import pyarrow.dataset

    chosen = np.random.default_rng(_SEED).choice(answers, size=min(count, answers), replace=False)
    ids = [id_of(number) for number in chosen.tolist()]
    named = pyarrow.dataset.field("request_id").isin(ids)
    rows = open_log(log).dataset("", None).to_table(filter=named).to_pylist()
    scorer = scorer_of(artifact)
    return sum(not differences(dict(row["outputs"]), score(scorer, row, None)) for row in rows)


# What is between, for `log` too


def store_of(folder: Path, artifacts: Sequence[bytes]) -> str:
    """The URL of a store that has them."""
    for artifact in artifacts:
        path = folder / "objects" / key_of(digest_of(artifact))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(artifact)
    return f"file://{folder / 'objects'}"


def families(share: float) -> Families:
    """That of every tenant's model, of which so much is logged."""
    name = name_of(0)
    return Families({name: Family(name, 1, log=LogRule(share) if share else None)})


def write_snapshot(path: Path, cells: Sequence[str], artifact: bytes, families: Families) -> None:
    """A model of one artifact for each tenant."""
    digest = digest_of(artifact)
    catalog.write_snapshot(path, cells, catalog.TENANTS, families=families, speaks=CURRENT, digest=digest)


def logger(home: Path, store: str, spool: Path, log: str) -> Process:
    """One that writes every second."""
    if log.startswith("file://"):
        Path(log.removeprefix("file://")).mkdir(exist_ok=True)
    argv = [
        *(sys.executable, "-m", "logger.app", "--metrics-listen", "127.0.0.1:0", "--log-level", "error"),
        *("--spool", str(spool), "--store", store, "--log", log, "--flush-seconds", "1"),
    ]
    return Process("logger", argv, home / "logger.log")


def record() -> dict[str, Any]:
    """What is appended for a row of 20 numbers."""
    request = pb.ModelInferRequest(model_name=name_of(0), raw_input_contents=[bytes(80)])
    request.inputs.add(name="input", datatype="FP32", shape=[1, 20])
    made = Record(
        kind=Kind.INFER,
        flags=0,
        item=0,
        time_us=0,
        version=1,
        number=1,
        took_us=1_000,
        request_id="asked-0000000000",
        tenant=tenant_of(0),
        model=name_of(0),
        family=name_of(0),
        shadow_of="",
        artifact=bytes(32),
        rule=b"",
        request=request.SerializeToString(),
        shared=b"",
        added=b"",
        reply=catalog.infer_response(),
    )
    return asdict(made)


def _cell(home: Path, store: str) -> Process:
    argv = [
        *(
            sys.executable,
            "-m",
            "cell.app",
            "--listen",
            "127.0.0.1:0",
            "--manager",
            "",
            "--log-level",
            "error",
        ),
        *("--store", store, "--cache-dir", str(home / "cache")),
    ]
    return Process("cell", argv, home / "cell.log")
