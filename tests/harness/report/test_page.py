import re
from html.parser import HTMLParser

import pytest
from support.load_results import hostile, invalid, killed, result, searched

from croupier_bench import report
from croupier_bench.report import style

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Its elements, all of which are closed in order, and what each is asked to load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.heads: list[str] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.heads.append(data)
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)


def test_what_a_run_is_done_for_stands_first() -> None:
    html = report.html(killed())
    heads = [
        "Figures",
        "Charts",
        "By class",
        "By cell",
        "Events",
        "The load itself",
        "What was run, and where",
    ]
    assert [head for head in Page(html).heads if head in heads] == heads
    wrong = re.search(r"\d+ wrong answers", html)
    assert wrong
    assert wrong.start() < html.index("<h2>")


def test_what_there_is_none_of_has_no_section() -> None:
    heads = Page(report.html(result(by_class={}, by_cell={}, series=[]))).heads
    assert not {"By class", "By cell", "Events"} & set(heads)


@pytest.mark.parametrize("make", [result, killed, searched, invalid, hostile])
def test_it_needs_nothing_else(make: type) -> None:
    page = Page(report.html(make()))
    assert not page.tags & {"link", "img", "iframe", "object", "embed", "base", "form"}
    assert page.scripts == [style.SCRIPT]
    names = [name for name, _ in page.attributes]
    assert not [name for name in names if name.startswith("on") or name in ("src", "srcset", "xlink:href")]
    assert all((value or "").startswith("#") for name, value in page.attributes if name == "href")
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_words_of_others_are_text() -> None:
    html = report.html(hostile())
    assert "<img" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert html.count("</script>") == 1
    html.encode()


def test_headers_that_let_somebody_in_are_not_shown() -> None:
    html = report.html(hostile())
    assert "target.metadata.authorization" in html
    assert "secret" not in html


def test_several_runs_stand_beside_each_other_first() -> None:
    html = report.html([result(), killed(), searched()])
    page = Page(html)
    assert "Beside each other" in html
    assert (
        html.index("Beside each other") < html.index("Latency against throughput") < html.index('id="run-1"')
    )
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {"percentiles", "throughput", "r1-latency", "r2-latency", "r3-throughput"} <= set(ids)


def test_a_report_needs_a_result() -> None:
    with pytest.raises(ValueError, match="needs a result"):
        report.html([])
