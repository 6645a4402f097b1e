from pathlib import Path

import numpy as np
import pytest

from bench.serving import peer
from bench.serving.models import Models
from bench.serving.triton import PEER
from protos.inference.v2 import inference_pb2 as pb

STUB = "triton_python_backend_stub"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What PyTriton brings, in an environment of Python 3.11."""
    monkeypatch.setattr(peer, "INSTALLED", tmp_path)
    interpreter = tmp_path / "python3.11"
    interpreter.touch()
    environment = tmp_path / "triton"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin/python").symlink_to(interpreter)
    server = environment / "lib/python3.11/site-packages/pytriton/tritonserver"
    for version in ("3.10", "3.11"):
        stub = server / "python_backend_stubs" / version / STUB
        stub.parent.mkdir(parents=True)
        stub.write_text(version)
    library = server / "backends/python/libtriton_python.so"
    library.parent.mkdir(parents=True)
    library.touch()
    return server


def test_its_one_model_is_started_in_the_python_of_its_environment(
    server: Path, tmp_path: Path, texts: Models
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    argv = PEER.argv(texts, home, 4242, 3)
    assert str(server / "bin/tritonserver") in argv
    assert {"--grpc-address=127.0.0.1", "--grpc-port=4242", "--allow-http=false"} <= set(argv)
    assert (home / "backends/python" / STUB).read_text() == "3.11"
    assert (home / "backends/python/libtriton_python.so").exists()
    assert sorted(path.name for path in (home / "models").rglob("*")) == sorted(
        ["forests", "config.pbtxt", "1", "model.py", "forest.py"]
    )


def test_a_request_says_which_forest_it_means(texts: Models) -> None:
    request = pb.ModelInferRequest.FromString(PEER.wire(texts).message(7, np.array([1, 2], np.float32)))
    assert request.model_name == "forests"
    assert request.parameters["forest"].string_param == "m7"
    assert list(request.inputs[0].contents.fp32_contents) == [1, 2]
