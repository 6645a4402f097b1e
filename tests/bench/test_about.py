import json
from pathlib import Path

import pytest

from bench import about, report


def test_the_command_says_all_but_where_the_result_went() -> None:
    said = [
        "route",
        "--json",
        "/somewhere/route.json",
        "--payload",
        "64",
        "--json=elsewhere",
        "--plot",
        "/somewhere/picture.svg",
        "--peers",
        "a b",
    ]
    assert about.command(said) == "python -m bench route --payload 64 --peers 'a b'"


def test_the_processor_is_named_where_the_kernel_knows_its_name() -> None:
    assert (
        about.cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nstepping\t: 8\n")
        == "Some CPU @ 2 GHz"
    )
    assert about.cpu_model("processor\t: 0\n")


def test_versions_of_what_is_installed() -> None:
    found = about.installed(("numpy", "no-such-distribution"))
    assert list(found) == ["numpy"]


@pytest.mark.parametrize("failure", [OSError, FileNotFoundError])
def test_a_tree_without_git_has_no_commit(failure: type[OSError], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: str) -> str:
        raise failure

    monkeypatch.setattr(about, "_git", fail)
    assert about.about({})["commit"] == "unknown"


def test_a_changed_tree_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"rev-parse": "abc", "status": " M cell/app.py"}
    monkeypatch.setattr(about, "_git", lambda verb, *_: said[verb])
    assert about.about({})["commit"] == "abc+"


def test_a_result_says_what_it_was_measured_on(tmp_path: Path) -> None:
    report.write_json(tmp_path / "new" / "some.json", {"rps": 3.5}, {"haproxy": "2.6"})
    written = json.loads((tmp_path / "new" / "some.json").read_text())
    assert list(written) == ["about", "rps"]
    assert {"date", "commit", "command", "machine", "versions"} == set(written["about"])
    assert {"cpu", "cores", "memory", "system", "python"} == set(written["about"]["machine"])
    assert written["about"]["versions"] == {"haproxy": "2.6"}


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    report.write_json(
        tmp_path / "some.json", {"rows": ({"p99": float("nan")}, {"p99": float("inf")}, {"p99": 1.5})}
    )
    text = (tmp_path / "some.json").read_text()
    written = json.loads(text, parse_constant=pytest.fail)
    assert written["rows"] == [{"p99": None}, {"p99": None}, {"p99": 1.5}]
