import json

import pytest

from croupierctl import output
from croupierctl.servers import Servers, begin


@pytest.fixture(params=[False, True], ids=["people", "programs"])
def as_json(request):
    begin(Servers(as_json=request.param))
    yield request.param
    begin(Servers())


def test_a_table(as_json, capsys):
    output.table(("cell", "hit rate"), [("cell-1", output.Shown(0.5, "50 %")), ("[bold]", None)])
    printed = capsys.readouterr().out
    if as_json:
        assert json.loads(printed) == [
            {"cell": "cell-1", "hit_rate": 0.5},
            {"cell": "[bold]", "hit_rate": None},
        ]
    else:
        head, first, second = (line.rstrip() for line in printed.splitlines())
        assert head.split("  ")[0].strip() == "cell"
        assert first.endswith("50 %")
        assert second == "[bold]"


def test_an_empty_table(as_json, capsys):
    output.table(("cell",), [], empty="no cell")
    printed = capsys.readouterr()
    assert printed.out == ("[]\n" if as_json else "")
    assert printed.err == ("" if as_json else "no cell\n")


def test_a_record(as_json, capsys):
    output.record(
        {"hand size": 3, "cells": output.listing(["a", "b"]), "artifact": output.digest(b"\xab" * 32)}
    )
    printed = capsys.readouterr().out
    if as_json:
        assert json.loads(printed) == {"hand_size": 3, "cells": ["a", "b"], "artifact": "ab" * 32}
    else:
        assert [line.split()[-1] for line in printed.splitlines()] == ["3", "b", "abababababab"]


def test_words_are_for_people(as_json, capsys):
    output.say("x" * 300)
    assert capsys.readouterr().out == ("" if as_json else "x" * 300 + "\n")


def test_a_long_row_is_not_cut(capsys):
    output.table(("a", "b"), [("x" * 300, "y" * 300)])
    assert "x" * 300 + "  " + "y" * 300 in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_500_000, "2.5 MB"), (3 * 10**15, "3e+03 TB")],
)
def test_sizes(count, text):
    assert output.size(count) == output.Shown(count, text)


def test_moments_and_shares():
    assert output.moment(1.6e9).text == "2020-09-13 12:26:40Z"
    assert output.moment(0.0).text == ""
    assert output.share(1050).text == "10.5 %"


def test_what_has_no_json_form():
    with pytest.raises(TypeError, match="object"):
        output.emit(object())


def test_columns_stand_below_their_names(capsys):
    output.table(("name", "rows"), [("a", 5), ("東京", 12_000)])
    assert capsys.readouterr().out.splitlines() == ["name   rows", "a         5", "東京  12000"]


def test_what_others_named_does_not_steer_the_terminal(capsys):
    output.table(("cell",), [("\x1b[2Jcell\n1",)])
    output.record({"why": "\x1b]0;title\x07"})
    output.say("one\ntwo\x1b[31m")
    output.note("\x9b31m")
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "cell",
        r"\x1b[2Jcell\n1",
        r"why  \x1b]0;title\x07",
        "one",
        r"two\x1b[31m",
    ]
    assert printed.err == "\\x9b31m\n"


def test_headings_are_bold_for_people_at_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    output.table(("cell",), [("a",)])
    assert capsys.readouterr().out == "\x1b[1mcell\x1b[0m\na\n"


def test_what_goes_on_is_a_line_for_each_value(as_json, capsys):
    with output.json_lines(True):
        output.record({"step": [1, 2]})
    output.emit({"step": 1})
    if as_json:
        assert capsys.readouterr().out == '{"step": [1, 2]}\n{\n  "step": 1\n}\n'


def test_a_bar_is_for_people_at_a_terminal(as_json, monkeypatch):
    assert output.bar() is None
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert (output.bar() is None) == as_json
