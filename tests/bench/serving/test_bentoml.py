import struct
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.message import DecodeError

from bench.serving.bentoml import PEER, TRIED, BentoWire
from bench.serving.models import Models

WIRE = BentoWire()


def test_a_request_is_encoded_as_bentomls_service_proto_says() -> None:
    array = b"\x08\x01" + b"\x12\x01\x02" + b"\x1a\x08" + struct.pack("<2f", 1.0, 2.0)
    assert WIRE.message(7, np.array([1, 2], np.float32)) == b"\x0a\x02m7" + b"\x1a\x0f" + array


@pytest.mark.parametrize(
    "array", [b"\x1a\x08" + struct.pack("<2f", 0.75, 0.25), b"\x22\x08" + struct.pack("<d", 0.25)]
)
def test_the_last_number_of_an_answer_is_the_prediction(array: bytes) -> None:
    assert WIRE.prediction(b"\x0a" + bytes([len(array)]) + array) == 0.25


@pytest.mark.parametrize("answer", [b"", b"\x0a\x00", b"\x0a\x09\x1a"])
def test_an_answer_without_one_is_refused(answer: bytes) -> None:
    with pytest.raises((ValueError, DecodeError)):
        WIRE.prediction(answer)


def test_it_keeps_what_it_writes_below_its_home(tmp_path: Path, texts: Models) -> None:
    for peer in (PEER, *TRIED):
        argv = peer.argv(texts, tmp_path, 4242, 3)
        for name in ("BENTOML_HOME", "BENTOML_CONFIG", "TMPDIR"):
            (said,) = (each for each in argv if each.startswith(f"{name}="))
            assert said.startswith(f"{name}={tmp_path}")
        assert "FORESTS_COUNT=3" in argv
        assert argv[argv.index("--host") + 1] == "127.0.0.1"
