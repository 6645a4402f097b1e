from pathlib import Path

from bench.serving.models import Models
from bench.serving.peer import ROOT
from bench.serving.ray_serve import PEER, TRIED


def test_a_request_names_the_model_where_ray_looks_for_it(tmp_path: Path, texts: Models) -> None:
    headers = dict(PEER.wire(texts).headers(42))
    assert headers == {b"application": b"forests", b"multiplexed_model_id": b"m42"}


def test_its_processes_can_import_the_protocol_and_nothing_else_of_ours(
    tmp_path: Path, texts: Models
) -> None:
    argv = PEER.argv(texts, tmp_path, 4242, 3)
    (path,) = (said for said in argv if said.startswith("PYTHONPATH="))
    folder = Path(path.split(":")[-1])
    assert [each.name for each in folder.iterdir()] == ["protos"]
    assert (folder / "protos").resolve() == ROOT / "protos"


def test_who_asks_its_proxy_finds_that_on_the_port_and_otherwise_the_replica(
    tmp_path: Path, texts: Models
) -> None:
    for number, (peer, ingress) in enumerate(((PEER, "1"), (TRIED[0], "0"))):
        home = tmp_path / str(number)
        home.mkdir()
        argv = peer.argv(texts, home, 4242, 3)
        assert f"RAY_SERVE_ENABLE_DIRECT_INGRESS={ingress}" in argv
        assert "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT=4242" in argv
        assert "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT=4243" in argv
        assert (argv[-1] == "4242") == (ingress == "0")


def test_nothing_is_reported_to_its_makers(tmp_path: Path, texts: Models) -> None:
    for number, peer in enumerate((PEER, *TRIED)):
        home = tmp_path / str(number)
        home.mkdir()
        assert "RAY_USAGE_STATS_ENABLED=0" in peer.argv(texts, home, 4242, 3)
