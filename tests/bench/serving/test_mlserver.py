import json
from pathlib import Path
from typing import Any

from bench.serving.mlserver import PEER, TRIED, MlServer
from bench.serving.models import Models


def settings(peer: MlServer, home: Path, texts: Models) -> dict[str, Any]:
    """What the server is told."""
    home.mkdir()
    argv = peer.argv(texts, home, 4242, 2)
    found: dict[str, Any] = json.loads(Path(argv[-1], "settings.json").read_text())
    return found


def test_each_model_has_a_folder_that_names_its_text(tmp_path: Path, texts: Models) -> None:
    folder = Path(PEER.argv(texts, tmp_path, 4242, 3)[-1])
    found = sorted(folder.glob("*/model-settings.json"))
    assert [path.parent.name for path in found] == ["m0", "m1", "m2"]
    said = json.loads(found[2].read_text())
    assert said["name"] == "m2"
    assert said["parameters"]["uri"] == str(tmp_path / "texts/m2.txt")


def test_it_listens_on_loopback_alone_each_server_on_a_port_of_its_own(tmp_path: Path, texts: Models) -> None:
    for peer in (PEER, *TRIED):
        said = settings(peer, tmp_path / peer.name, texts)
        assert said["host"] == "127.0.0.1"
        assert said["grpc_port"] == 4242
        assert len({said["grpc_port"], said["http_port"], said["metrics_port"]}) == 3


def test_it_has_no_worker_no_log_and_no_metrics_but_in_its_defaults(tmp_path: Path, texts: Models) -> None:
    tuned = {"parallel_workers": 0, "debug": False, "metrics_endpoint": None}
    assert tuned.items() <= settings(PEER, tmp_path / "tuned", texts).items()
    (defaults,) = TRIED
    assert tuned.keys().isdisjoint(settings(defaults, tmp_path / "defaults", texts))
