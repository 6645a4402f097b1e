from pathlib import Path

from bench.serving.kserve import PEER, TRIED
from bench.serving.models import Models


def test_it_serves_all_models_of_the_folder_on_the_port(tmp_path: Path, texts: Models) -> None:
    argv = PEER.argv(texts, tmp_path, 4242, 3)
    assert argv[argv.index("--models") + 1] == str(tmp_path / "texts")
    assert argv[argv.index("--grpc_port") + 1] == "4242"
    assert argv[argv.index("--http_port") + 1] != "4242"


def test_it_logs_no_requests_but_in_its_defaults(tmp_path: Path, texts: Models) -> None:
    (defaults,) = TRIED
    for peer, level, latencies in ((PEER, "WARNING", "False"), (defaults, "INFO", "True")):
        argv = peer.argv(texts, tmp_path, 4242, 3)
        assert f"KSERVE_LOGLEVEL={level}" in argv
        assert argv[argv.index("--enable_latency_logging") + 1] == latencies
