"""How commands end."""

from dataclasses import replace

import pytest
import typer
from harness.made import made

from croupier.errors import Unavailable
from croupier_bench.keys import ScenarioError
from croupier_bench.outcome import CODES, code_of, draw, expected, fail, tell
from croupier_bench.result import Judged, Result
from croupier_bench.run import RunFailed

MISSED = Judged({"p99_ms": 1.0}, holds=False, seen={"p99_ms": 2.0})


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, 0),
        ({"slo": Judged({"p99_ms": 1.0}, holds=True, seen={})}, 0),
        ({"slo": MISSED}, 1),
        ({"answered": 0}, 1),
        ({"slo": MISSED, "stopped": "5 % errors"}, 3),
        ({"stopped": "5 % errors", "valid": False}, 4),
        ({"slo": MISSED, "valid": False, "wrong": {"another version": 1}}, 5),
    ],
)
def test_the_code_says_what_makes_the_rest_doubtful(fields, code):
    assert code_of(replace(made(), **fields)) == code


def test_the_help_names_each_code():
    for code in range(6):
        assert f"\n  {code}  " in CODES


@pytest.mark.parametrize(
    "error", [Unavailable("away"), ScenarioError("load.rate", "x"), RunFailed("gone"), OSError("no")]
)
def test_what_is_wrong_with_the_question_is_a_sentence_and_code_2(error, capsys):
    def act():
        raise error

    with pytest.raises(typer.Exit) as ended:
        expected(act)
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == f"error: {error}\n"


def test_a_bug_is_none_of_these():
    with pytest.raises(ZeroDivisionError):
        expected(lambda: 1 // 0)
    with pytest.raises(ValueError, match="int"):
        expected(lambda: int("x"))
    assert expected(lambda: 3) == 3


def test_to_fail_is_to_say_why(capsys):
    with pytest.raises(typer.Exit) as ended:
        fail("nothing there")
    assert (ended.value.exit_code, capsys.readouterr().err) == (2, "error: nothing there\n")


def test_a_result_is_told_and_written(tmp_path, capsys):
    json, html = tmp_path / "a.json", tmp_path / "a.html"
    tell(made(), json, html, None)
    assert Result.read(json) == made()
    assert html.read_text().startswith("<!")
    said = capsys.readouterr()
    assert said.out.startswith("made: ")
    assert said.err == f"report: {html}\n"


def test_several_have_one_page_and_a_folder_of_pictures_each(tmp_path, monkeypatch):
    folders = []
    monkeypatch.setattr("croupier_bench.report.pngs", lambda result, folder: folders.append(folder))
    draw([made(), made()], tmp_path / "both.html", tmp_path)
    assert folders == [tmp_path / "1", tmp_path / "2"]
    draw([made()], None, tmp_path)
    assert folders[-1] == tmp_path
    assert (tmp_path / "both.html").exists()
