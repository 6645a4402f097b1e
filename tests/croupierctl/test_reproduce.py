"""`croupierctl reproduce` needs the log and the object store, and says what differs."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from support import answered, natives
from typer.testing import CliRunner

from croupier.artifacts.format import view
from croupier.stores.objects import open_store
from croupierctl.app import app
from croupierctl.reproduce import record_of, requests_of
from croupierctl.scored_again import scorer_of
from logger.decoding import rows_of
from logger.files import Parquet, pieces_of
from logger.signatures import Signature
from protos.prediction.v1 import prediction_pb2 as pb

ARTIFACT = natives.artifacts()["boosted"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log of r0 to r4, each of two items, and the store of its artifact."""

    async def publish() -> None:
        async with open_store(f"file://{tmp_path / 'objects'}") as store:
            await store.put(ARTIFACT)

    asyncio.run(publish())
    scorer, rows = scorer_of(ARTIFACT), []
    for at in range(5):
        for place in range(2):
            asked = pb.Item(model="churn")
            asked.row.values.extend([at / 7, place / 3] * (len(scorer.signature.features) // 2))
            made = answered.item(ARTIFACT, scorer, asked, request_id=f"r{at}", item=place)
            rows += rows_of(made, Signature.of(view(ARTIFACT)))
    # Not what the model said.
    rows[-1].outputs[0].numbers[0] += 1.0
    path = tmp_path / "log" / "family=churn" / "date=2026-11-27" / "hour=12" / "x.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(Parquet().encode(pieces_of(rows)))
    return tmp_path


def reproduce(folder: Path, *words: str) -> Result:
    places = ["--log", f"file://{folder / 'log'}", "--store", f"file://{folder / 'objects'}"]
    return CliRunner().invoke(app, ["reproduce", *words, *places])


@pytest.mark.parametrize("words", [["r0"], ["r3", "--family", "churn"]])
def test_the_same_answer(words: list[str], folder: Path) -> None:
    result = reproduce(folder, *words)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("the same, bit for bit") == 2


def test_another_one_is_named_and_the_exit_code_says_so(folder: Path) -> None:
    result = reproduce(folder, "r4")
    assert result.exit_code == 1
    assert "item 1, row 0: acme/churn version 3: not the same" in result.stdout
    assert "[0] was " in result.stdout


def test_programs_get_all_of_it(folder: Path) -> None:
    result = reproduce(folder, "r4", "--json")
    first, second = json.loads(result.stdout)
    assert (first["equal"], second["equal"]) == (True, False)
    assert second["differences"][0]["logged"] == pytest.approx(second["differences"][0]["now"] + 1.0)
    found: Any = first["features"]
    assert {one["source"] for one in found.values()} == {"request"}


@pytest.mark.parametrize("words", [["r9"], ["r0", "--family", "other"]])
def test_what_the_log_has_not_is_not_found(words: list[str], folder: Path) -> None:
    result = reproduce(folder, *words)
    assert result.exit_code == 1
    assert f"the log in file://{folder}/log has no request {words[0]}" in result.stderr


def test_an_artifact_that_is_gone_is_named(folder: Path) -> None:
    for path in (folder / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    result = reproduce(folder, "r0")
    assert result.exit_code == 1
    assert "the store has no" in result.stderr


def test_an_id_that_was_used_again_has_the_tensors_of_each_time() -> None:
    rows: list[dict[str, Any]] = [
        {"time": time, "tenant": tenant, "artifact": "ab", "item": 0, "row": row, "request": asked}
        for time, tenant, asked in ((1, "acme", b"first"), (2, "acme", b"second"), (2, "globex", b"third"))
        for row in range(2)
    ]
    for row in rows:
        row["request"] = None if row["row"] else row["request"]
    found = requests_of(rows)
    assert [found[record_of(row)] for row in rows] == [b"first"] * 2 + [b"second"] * 2 + [b"third"] * 2
