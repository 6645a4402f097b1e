import pytest
from blocks import Block

PAGE = "before\n<!-- some: written by docs/generate -->\nold\n<!-- end of some -->\nafter\n"
BLOCK = Block("page.md", "some", lambda: "new\n")


def test_what_stands_between_the_marks_is_written_anew_and_nothing_else() -> None:
    wanted = "before\n<!-- some: written by docs/generate -->\nnew\n<!-- end of some -->\nafter\n"
    assert wanted == BLOCK.put_into(PAGE)
    assert wanted == BLOCK.put_into(wanted)


@pytest.mark.parametrize(
    "page",
    ["", PAGE.replace("<!-- end of some -->", ""), PAGE.replace("<!-- some:", "<!-- other:"), PAGE * 2],
)
def test_a_page_without_its_two_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match=r"page\.md has no two marks of some"):
        BLOCK.put_into(page)
