import json

import pytest
from support.graphs import matmul

from croupier.artifacts.checked import with_checked
from croupier.artifacts.comparison import UNCHECKED
from croupier.artifacts.packers.onnx import pack_onnx
from croupier.backoff import Backoff
from croupier.errors import AlreadyExists
from croupier.grpcio import bulk
from croupierctl import publish_many


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(bulk, "_BACKOFF", Backoff(0.001, 0.001))


@pytest.fixture
def onnx(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(matmul())
    return path


@pytest.fixture
def listing(tmp_path, packed, other):
    """Twenty models: a list of two files in turn, which lie beside it."""
    path = tmp_path / "nightly.jsonl"
    rows = [{"tenant": "acme", "model": f"m-{n}", "file": (packed, other)[n % 2].name} for n in range(20)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def add(listing, **row):
    with listing.open("a") as file:
        file.write("\n" + json.dumps({"tenant": "acme", "model": "more", **row}))


@pytest.fixture
def tried(monkeypatch):
    """The files that were packed or tried in processes of their own."""
    found = []
    before = publish_many.prepare

    def prepare(path, how):
        found.append(path.name)
        return before(path, how)

    monkeypatch.setattr(publish_many, "prepare", prepare)
    return found


def test_a_list_is_published_and_released(manager, ask, listing, packed, tried):
    said = ask("models", "publish-many", listing, "--release", "--reason", "retrained")
    counts = {
        name: said[name] for name in ("rows", "published", "known", "done_before", "released", "failed")
    }
    assert counts == {
        "rows": 20, "published": 20, "known": 0, "done_before": 0, "released": 20, "failed": 0
    }  # fmt: skip
    assert said["revision"] == "fake:7"
    (told,) = manager.bulk_options
    assert (told.release, told.reason, bool(told.author)) == (True, "retrained", True)
    assert manager.models["acme", "m-2"].versions[0].size == packed.stat().st_size
    # What was compared where it was packed is not tried again, and a list that is done has no journal.
    assert tried == []
    assert not list(listing.parent.glob("*.publishing"))


def test_to_publish_it_again_sends_nothing(manager, ask, listing):
    ask("models", "publish-many", listing)
    sent = manager.sent
    said = ask("models", "publish-many", listing)
    assert (said["published"], said["known"], manager.sent) == (0, 20, sent)


def test_files_of_other_libraries_are_packed(manager, ask, listing, onnx, tried):
    add(listing, file=onnx.name)
    said = ask("models", "publish-many", listing, "--jobs", 2)
    assert said["published"] == 21
    assert tried == [onnx.name]


@pytest.mark.parametrize("unchecked", [False, True])
def test_what_was_not_compared_is_tried_or_refused(manager, run, listing, tmp_path, tried, unchecked):
    path = tmp_path / "plain.artifact"
    path.write_bytes(with_checked(pack_onnx(matmul(), features=["q", "r"]), UNCHECKED))
    add(listing, file=path.name)
    options = ["--unchecked"] if unchecked else []
    said = run("models", "publish-many", listing, *options, code=0 if unchecked else 1)
    assert tried == [path.name]
    assert ("NOT_COMPARED" in said.err) is not unchecked


def test_rows_that_fail_hold_up_no_other_and_are_told(manager, run, listing, tmp_path):
    garbage = tmp_path / "garbage.artifact"
    garbage.write_bytes(b"CROUPIER and nothing else that a header would have, or a table")
    add(listing, file=garbage.name)
    add(listing, model="gone", file="gone.txt")
    add(listing, model="../../etc", file=garbage.name)
    add(listing, model="m-3", file=garbage.name)
    manager.wrong["acme", "m-5"] = [AlreadyExists("version 1 has other bytes")]
    said = run("models", "publish-many", listing, "--json", code=1)
    found = json.loads(said.out)
    assert (found["rows"], found["published"], found["failed"]) == (24, 19, 5)
    assert found["why"] == {
        "INVALID_ARTIFACT": 1, "NO_FILE": 1, "INVALID_REQUEST": 2, "ALREADY_EXISTS": 1
    }  # fmt: skip
    assert {(one["row"], one["reason"]) for one in found["failures"]} == {
        (6, "ALREADY_EXISTS"),
        (21, "INVALID_ARTIFACT"),
        (22, "NO_FILE"),
        (23, "INVALID_REQUEST"),
        (24, "INVALID_REQUEST"),
    }
    assert "row 6, acme/m-5: ALREADY_EXISTS: version 1 has other bytes" in said.err


def test_the_next_run_tries_what_failed_and_packs_nothing_again(manager, run, ask, listing, onnx, tried):
    add(listing, file=onnx.name)
    manager.wrong["acme", "m-5"] = [AlreadyExists("version 1 has other bytes")]
    said = run("models", "publish-many", listing, code=1)
    assert f"{listing}.publishing" in said.err
    assert tried == [onnx.name]
    found = ask("models", "publish-many", listing)
    assert (found["done_before"], found["published"], found["failed"]) == (20, 1, 0)
    assert tried == [onnx.name]
    assert not list(listing.parent.glob("*.publishing"))


def test_a_run_that_broke_goes_on_from_there(manager, run, ask, listing):
    manager.breaks = [7] + [0] * 20
    said = run("models", "publish-many", listing, code=1)
    assert "the same command goes on from there" in said.err
    manager.breaks.clear()
    sent = manager.sent
    found = ask("models", "publish-many", listing)
    assert found["done_before"] + found["known"] + found["published"] == 20
    assert manager.sent - sent == found["published"]


def test_who_releases_what_was_published_without_goes_through_all_of_it(manager, ask, listing):
    ask("models", "publish-many", listing)
    found = ask("models", "publish-many", listing, "--release")
    assert (found["done_before"], found["known"], found["released"]) == (0, 20, 20)


def test_a_file_beyond_a_limit_is_refused(manager, run, listing, tmp_path):
    large = tmp_path / "large.artifact"
    large.write_bytes(b"CROUPIER" + bytes(1 << 20))
    add(listing, file=large.name)
    said = run("models", "publish-many", listing, "--max-size", 1, code=1)
    assert "row 21" in said.err
    assert ("acme", "more") not in manager.models


@pytest.mark.parametrize(
    ("content", "problem"), [("tenant,model\na,b\n", "no column file"), ("", "no column tenant")]
)
def test_a_list_that_is_none(manager, run, tmp_path, content, problem):
    path = tmp_path / "list.csv"
    path.write_text(content)
    assert problem in run("models", "publish-many", path, code=1).err


def test_an_empty_list_is_done(manager, ask, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("tenant,model,file\n")
    assert ask("models", "publish-many", path)["rows"] == 0
