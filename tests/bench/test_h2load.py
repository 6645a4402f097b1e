import socket
from pathlib import Path

import pytest

from bench import h2load
from bench.h2load import Loaded, UnreadableReport

REPORT = """starting benchmark...
spawning thread #0: 8 total client(s). 50000 total requests
Application protocol: h2c
progress: 100% done

finished in 1.56s, 32118.69 req/s, 5.15MB/s
requests: 50000 total, 50000 started, 50000 done, {succeeded} succeeded, {failed} failed, 0 errored, 0 timeout
status codes: {ok} 2xx, 0 3xx, 0 4xx, 17 5xx
traffic: 8.02MB (8408519) total, 3.81MB (4000000) headers (space savings 37.01%), 1.53MB (1600000) data
"""


def test_all_answered() -> None:
    text = REPORT.format(succeeded=50_000, failed=0, ok=50_000)
    assert Loaded(requests=50_000, failures=0, rps=32_118.69) == h2load.parse(text)


def test_a_reset_stream_is_a_failure() -> None:
    assert h2load.parse(REPORT.format(succeeded=49_970, failed=30, ok=50_000)).failures == 30


def test_a_status_beyond_2xx_is_a_failure_even_where_h2load_is_content() -> None:
    assert h2load.parse(REPORT.format(succeeded=50_000, failed=0, ok=49_983)).failures == 17


def test_another_report_is_refused() -> None:
    with pytest.raises(UnreadableReport, match="cannot read"):
        h2load.parse("h2load of another age")


def test_a_message_is_framed_as_grpc_does() -> None:
    assert b"\x00\x00\x00\x01\x00" + bytes(256) == h2load.framed(bytes(256))


def test_who_never_answers_has_failed_and_does_not_hold_up_the_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if h2load.find() is None:
        pytest.skip("h2load is not installed")
    monkeypatch.setattr(h2load, "_PATIENCE", "1s")
    body = tmp_path / "body"
    body.write_bytes(h2load.framed(b"asked"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        loaded = h2load.run(f"http://127.0.0.1:{silent.getsockname()[1]}/", body, {}, h2load.CLIENTS)
    assert loaded.failures == h2load.CLIENTS
