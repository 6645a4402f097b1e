import json
import re
from dataclasses import replace
from html import unescape
from xml.etree import ElementTree

from support.load_results import HOSTILE, hostile, killed, result

from croupier_bench.report import charts, drawing
from croupier_bench.report.charts import Line


def test_the_figure_is_well_formed_and_says_what_it_shows() -> None:
    figure = ElementTree.fromstring(drawing.figure(charts.latency(killed())))
    drawn = figure.find(".//svg[@role='img']")
    assert drawn is not None
    names = {element.get("id"): "".join(element.itertext()) for element in figure.iter() if element.get("id")}
    assert names[drawn.get("aria-labelledby")] == "Latency, by when a request was due"
    assert "The worst second was" in names[drawn.get("aria-describedby")]
    assert {span.get("aria-hidden") for span in figure.iter("span")} == {"true"}


def test_figures_of_several_results_have_names_of_their_own() -> None:
    chart = charts.latency(result())
    names = [set(re.findall(r'id="([^"]*)"', drawing.figure(chart, prefix))) for prefix in ("r1-", "r2-")]
    assert names[0]
    assert not names[0] & names[1]


def test_words_of_others_are_text() -> None:
    chart = charts.latency(hostile())
    chart = replace(chart, lines=(replace(chart.lines[0], name=HOSTILE), *chart.lines[1:]), about=HOSTILE)
    drawn = drawing.figure(chart)
    assert "<img" not in drawn
    assert "</script>" not in drawn
    figure = ElementTree.fromstring(drawn)
    assert {element.tag for element in figure.iter()} <= {
        *("figure", "figcaption", "h3", "p", "ul", "ol", "li", "div", "span", "svg", "title", "path")
    }
    assert not [name for element in figure.iter() for name in element.attrib if name.startswith("on")]


def test_a_gap_parts_a_line_and_what_is_alone_is_a_point() -> None:
    line = Line("p99", "first", [0, 1, 2, 3, 4, 5], [1.0, 2.0, None, 3.0, None, None])
    assert list(drawing.pieces(line)) == [[(0, 1.0), (1, 2.0)], [(3, 3.0)]]
    chart = replace(charts.latency(result()), lines=(line,))
    figure = ElementTree.fromstring(drawing.figure(chart))
    ways = [path.get("class") for path in figure.iter("path")]
    assert ways.count("line first") == 1
    assert ways.count("point first") == 1


def test_what_is_told_below_a_pointer() -> None:
    run = killed()
    drawn = drawing.figure(charts.latency(run))
    found = re.search(r'data-values="([^"]*)"', drawn)
    assert found
    values = json.loads(unescape(found[1]))
    assert values["axis"] == "seconds"
    assert values["xs"][:2] == ["0.5", "1.5"]
    assert [name for name, _ in values["lines"]] == ["p50", "p99", "max"]
    assert all(len(ys) == len(values["places"]) == 30 for _, ys in values["lines"])


def test_events_that_are_near_have_numbers_above_each_other() -> None:
    figure = ElementTree.fromstring(drawing.figure(charts.latency(killed())))
    marks = [span for span in figure.iter("span") if (span.get("class") or "").startswith("mark")]
    assert [mark.text for mark in marks] == ["1", "2", "3"]
    tops = [re.search(r"top:(-?\d+)px", mark.get("style") or "") for mark in marks]
    assert [top and top[1] for top in tops] == ["-3", "14", "-3"]
    assert [item.text for item in figure.iter("li")][-1] == "22.5 s: drain cell-1 (failed)"
