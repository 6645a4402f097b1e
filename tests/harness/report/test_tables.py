from dataclasses import replace
from xml.etree import ElementTree

from support.load_results import HOSTILE, hostile, killed, result, searched

from croupier_bench.report import tables
from croupier_bench.result import Second


def rows(html: str) -> list[list[str]]:
    table = ElementTree.fromstring(f"<all>{html}</all>")
    return [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]


def test_the_first_of_a_row_names_it_and_cells_are_text() -> None:
    html = tables.table("about <b>", ("", "x"), [("a<", 1), (tables.Html("<i>b</i>"), None)], "more & more")
    assert rows(html) == [["", "x"], ["a<", "1"], ["b", "None"]]
    assert '<th scope="row">a&lt;</th>' in html
    assert "about &lt;b&gt;" in html
    assert "more &amp; more" in html


def test_figures_of_a_run() -> None:
    run = killed()
    requests, latencies, errors, wrong = map(rows, tables.figures(run))
    assert requests[2] == ["sent", f"{run.sent:,}", "998" if run.sent < 29970 else requests[2][2]]
    assert [row[0] for row in latencies[1:]] == [
        *("from when due", "from when sent", "of failed ones, from when due", "sent after due")
    ]
    assert latencies[-1][1] == "–"
    assert errors[1][:2] == ["UNAVAILABLE: NO_CELL", f"{run.failed:,}"]
    assert wrong[1][0] == "another version"
    assert len(list(tables.figures(result()))) == 2


def test_the_tiles_show_what_is_bad() -> None:
    assert 'class="bad"' not in tables.tiles(result())
    assert tables.tiles(killed()).count('class="bad"') == 2


def test_the_tiles_know_of_no_wrong_answers_if_nobody_looked() -> None:
    run = result()
    assert "not looked at" not in tables.tiles(run)
    assert "not looked at" in tables.tiles(replace(run, unverified=run.answered))


def test_long_tables_say_what_they_leave_out() -> None:
    run = hostile()
    errors = list(tables.figures(run))[2]
    assert len(rows(errors)) == 21
    assert "19 more kinds, 190 in all" in errors
    assert len(rows(tables.cells(run))) == 51
    assert "and 20 more cells" in tables.cells(run)
    many = replace(run, series=[Second(t=float(second)) for second in range(601)])
    assert "and 1 more, in the JSON" in tables.seconds(many)


def test_classes_have_what_became_of_them() -> None:
    run = killed()
    head, small, large = rows(tables.classes(run))
    assert head[0] == "class"
    assert [small[0], large[0]] == ["small", "large"]
    assert small[1] == f"{run.by_class['small'].sent:,}"
    assert rows(tables.classes(hostile()))[1][0].startswith(r"</script>")


def test_cells_have_a_bar_of_the_most() -> None:
    html = tables.cells(result())
    assert "width:100.0%" in html
    assert rows(html)[1][0] == "cell-0"
    assert rows(html)[1][3].startswith("97")
    idle = replace(result(), by_cell={"cell-0": {"answered": 0, "resident_hits": 0}})
    assert rows(tables.cells(idle))[1][1:] == ["0", "–", "–"]


def test_steps_of_a_search() -> None:
    found = rows(tables.steps(searched()))
    assert [row[1] for row in found[1:]] == ["holds"] * 5 + ["does not hold", "does not count"]
    assert found[5][-1] == "2, not sure"


def test_seconds_and_processes() -> None:
    run = result()
    assert rows(tables.seconds(run))[1][1] == f"{run.series[0].due}"
    assert rows(tables.workers(run))[1] == ["1", f"{run.sent:,}", "43.0 %", "0.05 ms"]


def test_facts_are_named_with_dots() -> None:
    value = {"a": {"b": [1, 2]}, "classes": [{"name": "x"}, {"name": "y"}], "none": None, "empty": {}}
    assert list(tables.facts(value)) == [("a.b", "1, 2"), ("classes 1.name", "x"), ("classes 2.name", "y")]
    assert rows(tables.about("Scenario", {HOSTILE: HOSTILE}))[0][0].startswith("</script>")
