"""The command line: what each command asks for, and how it ends. What they do has tests of its own."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from harness.made import made
from typer.main import get_command
from typer.testing import CliRunner

from croupier.errors import NotFound
from croupier_bench import run as running
from croupier_bench.app import app
from croupier_bench.result import Judged, Result

COMMANDS = ["run", "search", "prepare", "compare", "report", "record", "replay"]
SCENARIO = """
[target]
address = "127.0.0.1:1"
protocol = "croupier"
manager = "127.0.0.1:2"
[load]
rate = 100
[[class]]
name = "a"
[slo]
p99 = "10ms"
"""
SLOW = {"grpc", "google.protobuf", "numpy", "pyarrow", "matplotlib", "rich.console", "xxhash", "uvloop"}
PROGRAM = """
import sys
from croupier_bench.app import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.toml").write_text(SCENARIO)
    Path("a.json").write_text(json.dumps(made().to_json()))
    Path("b.json").write_text(json.dumps(made().to_json()))


@pytest.fixture
def runs(monkeypatch):
    """Runs that were asked for, as (scenario, options); `answer` is what each sees."""

    class Runs(list):
        answer = made()

        def run(self, scenario, **options):
            self.append((scenario, options))
            return replace(self.answer, scenario=scenario.to_json())

    found = Runs()
    monkeypatch.setattr(running, "run", found.run)
    return found


def invoke(*words, code=0):
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == code, (done.stdout, done.stderr, done.exception)
    return done


def test_the_help_names_every_command_and_exit_code():
    said = invoke("--help").stdout
    assert list(get_command(app).commands) == COMMANDS
    for name in COMMANDS:
        assert re.search(rf"^  {name}  ", said, re.MULTILINE)
    for code in range(6):
        assert f"\n    {code}  " in said


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name):
    said = invoke(name, "--help").stdout
    assert "Options:" in said
    assert max(map(len, said.splitlines())) <= 110


@pytest.mark.parametrize("words", [["--help"], ["search", "--help"], ["serch"]])
def test_help_waits_for_nothing(words):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=False
    )
    assert set(done.stderr.splitlines()[-1].split()) & SLOW == set()


# Runs


def test_a_run_is_the_scenario_with_what_the_command_line_says(runs):
    words = [
        "--rate",
        "7",
        "--seconds",
        "3",
        "--workers",
        "2",
        "--slo",
        "p50=1ms,errors=1%",
        "--verify-share",
        "0.25",
    ]
    said = invoke("run", "s.toml", *words)
    ((scenario, options),) = runs
    assert (scenario.load.rate, scenario.load.seconds, scenario.load.workers) == (7.0, 3.0, 2)
    assert scenario.slo == {"p50_ms": 1.0, "errors": 0.01}
    assert options["verify_share"] == 0.25
    assert "200 answered" in said.stdout


def test_without_any_it_is_the_scenario_alone(runs):
    invoke("run", "s.toml", "--no-live")
    ((scenario, options),) = runs
    assert (scenario.load.rate, scenario.slo) == (100.0, {"p99_ms": 10.0})
    assert options == {"verify_share": 0.0, "watch": None, "source": None}
    invoke("run", "s.toml", "--verify")
    assert runs[-1][1]["verify_share"] == 1.0
    assert callable(runs[-1][1]["watch"])


def test_what_it_saw_is_written(runs):
    invoke("run", "s.toml", "--json", "r.json", "--html", "r.html")
    assert Result.read(Path("r.json")).answered == 200
    assert "made" in Path("r.html").read_text()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"slo": Judged({"p99_ms": 1.0}, holds=False, seen={})}, 1),
        ({"stopped": "5 % errors"}, 3),
        ({"valid": False, "why_invalid": ["late"]}, 4),
        ({"wrong": {"another version": 1}}, 5),
    ],
)
def test_the_exit_code_says_how_it_went(runs, fields, code):
    runs.answer = replace(made(), **fields)
    invoke("run", "s.toml", code=code)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "none.toml"], "error: cannot read none.toml"),
        (["run", "s.toml", "--slo", "fast"], "error: slo: "),
        (["run", "s.toml", "--rate", "0"], "--rate"),
        (["run"], "Missing argument 'SCENARIO'"),
        (["report", "a.json"], "error: say --html FILE, --png DIR or both"),
        (["report", "none.json", "--html", "x"], "error: "),
        (["compare", "a.json", "s.toml"], "error: s.toml is no JSON"),
        (["compare", "a.json", "b.json", "--fail-if-worse", "beauty"], "--fail-if-worse"),
        (["replay", "f"], "error: say whom to ask"),
        (["replay", "f", "--address", "127.0.0.1:1"], "error: f cannot be read"),
        (["replay", "f", "--address", "127.0.0.1:1", "--tenant", "a"], "say OLD=NEW"),
        (["record", "churn", "-o", "f", "--since", "yesterday"], "say 90s, 10m or 1h"),
    ],
)
def test_what_is_wrong_with_the_question_is_exit_code_2(words, said):
    assert said in invoke(*words, code=2).stderr


# Others


def test_a_search_runs_until_it_knows(runs):
    said = invoke("search", "s.toml", "--most", "200", "--repeats", "1", "--json", "r.json")
    assert [scenario.load.rate for scenario, _ in runs][:2] == [100.0, 200.0]
    assert "the service level holds up to 200/s" in said.stdout
    assert "100/s: holds" in said.stderr
    assert [step["rate"] for step in Result.read(Path("r.json")).steps] == [100.0, 200.0]


def test_a_search_for_what_holds_nowhere_is_exit_code_1(runs):
    said = invoke("search", "s.toml", "--slo", "p99=1us", "--settle", "0", "--repeats", "1", code=1)
    assert "holds at no rate" in said.stdout


def test_preparing_publishes_at_a_manager(monkeypatch):
    asked = []
    monkeypatch.setattr("croupier_bench.publish.prepare", lambda scenario: asked.append(scenario))
    invoke("prepare", "s.toml")
    invoke("prepare", "s.toml", "--manager", "127.0.0.1:3")
    assert [scenario.target.manager for scenario in asked] == ["127.0.0.1:2", "127.0.0.1:3"]


def test_two_results_are_compared(monkeypatch):
    said = invoke("compare", "a.json", "b.json", "--json", "c.json")
    assert "p99" in said.stdout
    assert json.loads(Path("c.json").read_text())

    class Worse:
        def table(self):
            return "the table"

        def is_worse(self, names):
            return [name for name in names if name == "p99"]

    monkeypatch.setattr("croupier_bench.compare.compare", lambda a, b, *, anyway: Worse())
    said = invoke("compare", "a.json", "b.json", "--fail-if-worse", "p99, errors", code=1)
    assert "worse: p99" in said.stdout
    invoke("compare", "a.json", "b.json", "--fail-if-worse", "errors")


def test_results_have_a_page():
    invoke("report", "a.json", "b.json", "--html", "both.html")
    assert Path("both.html").read_text().startswith("<!")


def test_recorded_requests_are_written_and_what_was_left_out_is_said(monkeypatch):
    from croupier_bench import record

    asked = []

    def recorded(url, family, begin, end, *, tenants, most):
        asked.append((url, family, (end - begin).total_seconds(), list(tenants), most))
        found = record.Recording(family, [{"t": 0.0, "tenant": "a", "items": []}])
        found.left_out["the log hides age"] = 4
        return found

    monkeypatch.setattr(record, "record", recorded)
    words = [
        "--log",
        "file:///log",
        "--since",
        "10m",
        "--until",
        "4m",
        "--tenant",
        "a",
        "--tenant",
        "b",
        "--most",
        "9",
    ]
    said = invoke("record", "churn", "-o", "f.jsonl", *words)
    assert asked == [("file:///log", "churn", pytest.approx(360.0), ["a", "b"], 9)]
    assert said.stdout.splitlines() == [
        "1 requests of 0.0 s are in f.jsonl",
        "left out: 4, the log hides age",
    ]
    assert Path("f.jsonl").exists()


def test_what_is_not_logged_is_exit_code_2(monkeypatch):
    from croupier_bench import record

    def nothing(*_, **__):
        raise NotFound("the log has nothing of churn")

    monkeypatch.setattr(record, "record", nothing)
    assert "nothing of churn" in invoke("record", "churn", "-o", "f", code=2).stderr


def test_a_replay_runs_what_was_recorded(runs):
    from croupier_bench import record

    requests = [{"t": t, "tenant": "a", "items": [{"model": "m", "row": [1.0]}]} for t in (0.0, 8.0)]
    record.write(record.Recording("churn", requests), Path("f.jsonl"))
    words = [
        "--address",
        "127.0.0.1:5",
        "--speed",
        "4",
        "--tenant",
        "a=b",
        "--workers",
        "2",
        "--slo",
        "p99=1s",
    ]
    invoke("replay", "f.jsonl", *words)
    ((scenario, options),) = runs
    assert scenario.target.addresses == ("127.0.0.1:5",)
    assert (scenario.load.workers, scenario.slo) == (2, {"p99_ms": 1_000.0})
    assert 2.0 < scenario.load.seconds < 2.1
    assert (options["source"].speed, options["source"].tenants) == (4.0, {"a": "b"})
