import xml.etree.ElementTree as ET

import pytest

from bench.pictures import FOLDER, hand, pictures
from bench.pictures.svg import LIGHT, Drawing


def test_the_pages_pictures_are_what_is_drawn() -> None:
    """If not: `python -m bench pictures`."""
    for name, drawn in pictures():
        assert (FOLDER / name).read_text() == drawn


@pytest.mark.parametrize(("name", "content"), list(pictures()))
def test_a_picture_is_svg_with_a_title(name: str, content: str) -> None:
    root = ET.fromstring(content)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.findtext("{http://www.w3.org/2000/svg}title")
    # Nothing that a page which shows it would have to fetch or run.
    assert not {element.tag.split("}")[1] for element in root.iter()} & {"script", "image", "use", "style"}


def test_every_other_tenant_is_counted_once_and_as_the_formula_expects() -> None:
    counts, expected = hand.counted(), hand.expected()
    assert sum(counts) == len(hand.OTHERS)
    total = len(hand.OTHERS)
    for count, mean in zip(counts, expected, strict=True):
        assert abs(count - mean) < 5 * (mean * (1 - mean / total)) ** 0.5


def test_there_is_a_dot_for_each_tenant() -> None:
    for name, content in pictures():
        if name.startswith("hand"):
            # And four beside the words.
            assert content.count("h0") == len(hand.OTHERS) + hand.HAND + 1


def test_words_are_escaped() -> None:
    drawing = Drawing(10, 10, LIGHT, "a < b")
    drawing.words(0, 0, "<script> & co")
    root = ET.fromstring(drawing.render())
    assert root[-1].text == "<script> & co"
    assert root[0].text == "a < b"
