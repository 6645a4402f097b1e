"""Answers are equal to what the log has only if they are, and each once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.spooled import WIDE, record, tensor

from bench import logged
from croupier.stores.spool import Kind
from logger.decoding import rows_of
from logger.files import Parquet
from logger.rows import Row
from protos.inference.v2 import inference_pb2 as pb


def answer(number: float, *, raw: bool = False) -> bytes:
    response = pb.ModelInferResponse()
    tensor(response, "y", "FP32", np.array([[number]], np.float32), raw=raw)
    if not raw:
        label = response.outputs.add(name="label", datatype="INT64", shape=[1])
        label.contents.int64_contents.append(3)
    return response.SerializeToString()


def rows(number: int, reply: bytes) -> list[Row]:
    request = pb.ModelInferRequest()
    tensor(request, "x", "FP32", np.ones((1, 3), np.float32))
    one = record(Kind.INFER, request.SerializeToString(), reply, request_id=logged.id_of(number))
    return rows_of(one, WIDE)


def write(folder: Path, found: Sequence[Row]) -> Path:
    hour = folder / "family=f" / "date=2026-11-27" / "hour=12"
    hour.mkdir(parents=True)
    (hour / "one.parquet").write_bytes(Parquet().encode([found]))
    return folder


@pytest.mark.parametrize("raw", [True, False])
def test_what_was_answered_is_what_was_logged(tmp_path: Path, raw: bool) -> None:
    answers = {number: answer(number / 3, raw=raw) for number in range(3)}
    log = write(tmp_path, [row for number, reply in answers.items() for row in rows(number, reply)])
    assert logged.count(log) == 3
    assert logged.equal(log, answers) == 3


def test_another_answer_a_second_row_and_a_strangers_do_not_count(tmp_path: Path) -> None:
    answers = {number: answer(0.1) for number in range(2)}
    other = answer(float(np.nextafter(np.float32(0.1), np.float32(1))))
    told = [*rows(0, answers[0]), *rows(0, answers[0]), *rows(1, other), *rows(7, answers[0])]
    assert logged.equal(write(tmp_path, told), answers) == 1
