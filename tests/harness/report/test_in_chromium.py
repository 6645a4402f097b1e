"""Reports in a browser, if there is one: nothing is wider than the window, and nobody is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import chromium
from support.load_results import hostile, invalid, killed, result, searched

from croupier_bench import report

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no chromium here"),
]

PAGES = {
    "good": lambda: [result()],
    "killed": lambda: [killed()],
    "searched": lambda: [searched()],
    "invalid": lambda: [invalid()],
    "hostile": lambda: [hostile()],
    "several": lambda: [result(), killed(), searched()],
}
# What lies right of the window, but for what is moved within a box of its own.
WIDER = """
[...document.querySelectorAll('body *')].filter((one) => !one.closest('.scroll table') &&
  one.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5
).map((one) => one.outerHTML.slice(0, 200))
"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Tab]:
    with chromium.browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_it_fits_and_asks_nobody(name: str, width: int, tab: chromium.Tab, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(report.html(PAGES[name]()))
    tab.open(path, width)
    assert tab.tell("document.documentElement.scrollWidth") == width
    assert tab.tell(WIDER) == []
    assert tab.requests == [path.as_uri()]
    assert tab.problems == []


def test_values_are_told_below_a_pointer(tab: chromium.Tab, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(report.html(killed()))
    tab.open(path, 1280)
    tab.tell("document.querySelector('#latency .plot').scrollIntoView({block: 'center'})")
    place = tab.tell(
        "JSON.parse(JSON.stringify(document.querySelector('#latency .plot').getBoundingClientRect()))"
    )
    tab.point(place["x"] + place["width"] / 2, place["y"] + 20)
    told = tab.tell("document.querySelector('#latency .value').textContent")
    assert told.startswith(("seconds 14.5 · p50 ", "seconds 15.5 · p50 "))


def test_a_dark_page_has_dark_ground(tab: chromium.Tab, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(report.html(result()))
    grounds = []
    for dark in (False, True):
        tab.open(path, 1280, dark=dark)
        grounds.append(tab.tell("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(13, 17, 23)"]
