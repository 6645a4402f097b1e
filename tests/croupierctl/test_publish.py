import pytest
from sklearn.linear_model import Ridge
from support.graphs import centred, matmul

from croupier.artifacts.batching import Batching, batching_of
from croupier.artifacts.checked import with_checked
from croupier.artifacts.comparison import UNCHECKED
from croupier.artifacts.format import view
from croupier.artifacts.packers.linear import pack_linear
from croupier.artifacts.packers.onnx import pack_onnx
from croupier.artifacts.packers.process import Limits
from croupier.errors import AlreadyExists
from croupierctl.publish import parse_features


@pytest.fixture
def onnx(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(matmul())
    return path


def test_an_onnx_file_is_packed(manager, run, onnx):
    said = run("models", "publish", "acme", "churn", onnx, "--features", "a,b", "--accepts-missing")
    (data,) = manager.artifacts.values()
    artifact = view(data)
    assert artifact.features == ("a", "b")
    assert artifact.accepts_missing
    assert "model.onnx" in said.out
    assert "croupierctl release set acme churn 1" in said.err


def test_a_packed_artifact_is_sent_as_it_is(manager, run, packed):
    run("models", "publish", "acme", "churn", packed)
    assert list(manager.artifacts.values()) == [packed.read_bytes()]


def test_how_requests_are_batched_is_said_in_the_artifact(manager, run, packed):
    run("models", "publish", "acme", "churn", packed, "--batch-delay", 0.002, "--batch-rows", 64)
    (data,) = manager.artifacts.values()
    assert batching_of(view(data)) == Batching(0.002, 64)


def test_it_says_where_nothing_is_batched(manager, run, packed, tmp_path):
    mixing, native = tmp_path / "mixing.artifact", tmp_path / "native.artifact"
    mixing.write_bytes(with_checked(pack_onnx(centred()), UNCHECKED))
    native.write_bytes(with_checked(pack_linear(Ridge().fit([[0.0], [1.0]], [1.0, 2.0])), UNCHECKED))
    options = ("--batch-rows", 64, "--unchecked")
    said = run("models", "publish", "acme", "churn", packed, mixing, native, *options).err
    assert f"{packed}: " not in said
    assert (
        f"{mixing}: --batch-delay and --batch-rows change nothing: its requests are scored one by one" in said
    )
    assert f"{native}: --batch-delay and --batch-rows change nothing: rows of the engine linear" in said


def test_several_files_are_versions_in_order(manager, ask, onnx, packed):
    rows = ask("models", "publish", "acme", "churn", onnx, packed, "--release")
    assert [row["version"] for row in rows] == [1, 2]
    assert [row["file"] for row in rows] == [str(onnx), str(packed)]
    assert bytes.fromhex(rows[1]["artifact"]) in manager.artifacts
    # The last one's is that of the release.
    assert [row["revision"] for row in rows] == ["fake:1", "fake:99"]
    (split,) = manager.models["acme", "churn"].release.splits
    assert (split.version, split.basis_points) == (2, 10_000)


def test_releasing_keeps_labels(manager, run, other, packed):
    run("models", "publish", "acme", "churn", other, "--release")
    run("release", "set", "acme", "churn", "--label", "stable=1")
    run("models", "publish", "acme", "churn", packed, "--release")
    assert dict(manager.models["acme", "churn"].release.labels) == {"stable": 1}


def test_a_number_may_be_chosen(manager, run, packed):
    run("models", "publish", "acme", "churn", packed, "--version", 7)
    assert [version.number for version in manager.models["acme", "churn"].versions] == [7]


def test_what_was_published_before_a_failure_is_told(manager, run, packed):
    run("models", "publish", "acme", "churn", packed)
    manager.failures.append(AlreadyExists("version 1 is another artifact"))
    said = run("models", "publish", "acme", "churn", packed, "--version", 1, code=1)
    assert said.out == ""
    assert "hint: a version never changes" in said.err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["{onnx}", "{packed}", "--version", "3"], "numbers one file"),
        (["{packed}", "--features", "a,b"], "is packed"),
        (["{onnx}", "--features", "@missing.txt"], "cannot read missing.txt"),
        (["missing.onnx"], "does not exist"),
    ],
)
def test_a_wrong_command_line(run, onnx, packed, words, problem):
    filled = [word.format(onnx=onnx, packed=packed) for word in words]
    assert problem in " ".join(run("models", "publish", "acme", "churn", *filled, code=2).err.split())


def test_a_file_that_is_no_model(manager, run, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"this is not a model")
    said = run("models", "publish", "acme", "churn", path, code=1)
    assert "hint: give a packed artifact, or the whole file as XGBoost, LightGBM or ONNX wrote it" in said.err
    assert manager.artifacts == {}


def test_a_file_beyond_a_limit_is_refused(manager, run, tmp_path):
    path = tmp_path / "model.txt"
    path.write_bytes(b"tree\n" + bytes(1 << 20))
    said = run("models", "publish", "acme", "churn", path, "--max-size", 1, code=1)
    assert "model.txt: the file is larger than the limit of 1048576 bytes" in said.err
    assert manager.artifacts == {}


def test_the_limits_of_packing_reach_the_process(run, onnx, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "croupierctl.prepare.pack_file_apart",
        lambda data, kind, *, limits, **_: seen.append(limits) or pack_onnx(data),
    )
    words = ["--max-memory", 300, "--max-cpu", 5, "--max-time", 7.5, "--max-size", 2]
    run("models", "publish", "acme", "churn", onnx, *words)
    run("models", "publish", "acme", "churn", onnx)
    assert seen == [Limits(300 << 20, 5, 7.5, 2 << 20), Limits()]


def test_a_kind_may_be_insisted_on(run, packed):
    said = run("models", "publish", "acme", "churn", packed, "--kind", "onnx", code=1)
    assert "ONNX" in said.err


def test_features_may_come_from_a_file(tmp_path):
    path = tmp_path / "features.txt"
    path.write_text("age\n plan \n\nrate, yearly\n")
    assert parse_features(f"@{path}") == ["age", "plan", "rate, yearly"]
    assert parse_features(" a, b,") == ["a", "b"]
    assert parse_features("") == []
