from pathlib import Path

import pytest

from bench.serving import peer
from bench.serving.foreign import SERVERS
from bench.serving.kserve import PEER


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where environments are; there is none yet."""
    monkeypatch.setattr(peer, "INSTALLED", tmp_path)
    return tmp_path


def test_without_its_environment_a_peer_is_missing(installed: Path) -> None:
    assert "kserve" in PEER.missing()


def test_versions_are_those_of_its_environment(installed: Path) -> None:
    packages = installed / "kserve/lib/python3.11/site-packages"
    for name, version in (("kserve", "9.1"), ("LightGBM", "8.2"), ("else", "7.3")):
        info = packages / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    assert PEER.missing() == ""
    assert PEER.version() == "kserve 9.1, lightgbm 8.2"


def test_nothing_of_ours_is_on_its_path_but_its_program(installed: Path) -> None:
    assert PEER.alone("program", path=(Path("/other"),), SAID="yes") == [
        *("env", "-u", "PYTHONPATH", "-u", "PYTHONHOME", f"PYTHONPATH={SERVERS}:/other", "SAID=yes"),
        *(str(installed / "kserve/bin/python"), "program"),
    ]
    assert {path.stem for path in SERVERS.glob("*.py")}.isdisjoint(
        {"bentoml", "kserve", "mlserver", "ray", "grpc", "numpy", "lightgbm"}
    )
