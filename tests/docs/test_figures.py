import pytest
from blocks import figures
from blocks.pages import BLOCKS


def found(text: str, name: str = "docs/page.md", *allowed: str) -> list[str]:
    """Figures in `text`, and what was allowed in vain, as words."""
    return [
        seen.figure if isinstance(seen, figures.Typed) else seen
        for seen in figures.typed_in(name, text, {name: allowed})
    ]


def test_no_figure_is_typed() -> None:
    assert list(map(str, figures.typed())) == []


@pytest.mark.parametrize(
    "text",
    [
        *("takes 2.3 µs", "takes 2.3 μs", "takes 2.3µs", "`2.3 µs`", "(2.3 us)", "170 ms.", "20 ns instead"),
        *(
            "0.3 to\n1 s of CPU time",
            "565 s",
            "25-60 ms",
            "25–60 ms",
            "3 seconds",
            "1.5 milliseconds",
            "2 minutes",
        ),
        *("14.7 kB a model", "8.06 GB", "1,986 MiB", "200MB", "370 bytes a model", "4 KB"),
        *(
            "**3.1** µs",
            "`3.1` ms",
            "3&nbsp;ms",
            "2.5X",
            "10k requests/s",
            "40k rps",
            "p99 of 3.2",
            "p99.9: 12",
        ),
        *("| ~0.69 |", "| 12k |", "| ≈ 580 |"),
        *(
            "2.3× faster",
            "29×",
            "2.3 × as fast",
            "2.5 times",
            "2.5x",
            "a 3-fold gain",
            "within 2 %",
            "12%",
            "+6.4 points",
        ),
        *(
            "50,700 predictions a\nsecond",
            "9 requests/s",
            "1.08 million rows a second",
            "30 loads per second",
        ),
        *("| 0.69 |", "| LRU | 580 | x |", "| 11 / 25 / 35 / 48 |", "| **+6.4** |", "| −1.5 |", "| 66,000 |"),
        *("1.2 billion instructions", "400 cycles"),
    ],
)
def test_a_figure_is_found(text: str) -> None:
    assert found(f"before\n{text}\nafter") != []


@pytest.mark.parametrize(
    "text",
    [
        *(
            "HAProxy 2.6.12 of 2026-11-26",
            "decision 13",
            "port 8500",
            "k = 3 of 16 cells",
            "256 tenants, 4 zones",
        ),
        *(
            "8 × 32 streams",
            "k² / N",
            "float32  V × K",
            "field 1000",
            "HTTP/2",
            "`v1.2s`",
            "S3 says",
            "e2e xs",
        ),
        *(
            "| 16 | 3 |",
            "| `max` | 9 |",
            "100,000 models",
            "aligned to 64 bytes",
            "10 and seconds",
            "p50 / p99 / p99.9",
            "4     microseconds",
            "| 1 in 32 |",
        ),
    ],
)
def test_a_number_without_a_unit_is_none(text: str) -> None:
    assert found(text) == []


def test_it_is_said_where() -> None:
    (only,) = figures.typed_in("docs/page.md", "one\ntwo\nthree 2.3\nµs\n", {})
    assert str(only) == "docs/page.md:3: '2.3 µs' is typed"


def test_a_phrase_allows_itself_and_nothing_else_of_its_line() -> None:
    text = "messages of 16 MiB at\nmost, which take 5 ms"
    assert found(text, "docs/page.md", "16 MiB at most") == ["5 ms"]


def test_what_is_allowed_in_vain_is_told() -> None:
    (told,) = found("nothing", "docs/page.md", "16 MiB at most")
    assert "need not be allowed" in str(told)


def test_what_is_written_between_marks_is_passed_over_and_no_more() -> None:
    block = BLOCKS[0]
    text = f"1 ms\n{block.begin}2 ms\n{block.end}3 ms\n"
    assert found(text, block.page) == ["1 ms", "3 ms"]
    # Nobody writes it there, or its end is missing.
    assert found(text, "docs/page.md") == ["1 ms", "2 ms", "3 ms"]
    assert found(text.replace(block.end, ""), block.page) == ["1 ms", "2 ms", "3 ms"]
    assert found(text + text, block.page) == ["1 ms", "3 ms", "1 ms", "2 ms", "3 ms"]


def test_of_python_comments_and_docstrings_count() -> None:
    source = '''"""Takes 1 ms."""
TEXT = "takes 2 ms"  # or 3 ms
class Some:
    """Of 4 ms."""
    async def act(self):
        """Of
        5
        ms."""
        # 6
        # ms
        return f"{0} 7 ms"
'''
    assert found(source, "cell/some.py") == ["1 ms", "3 ms", "4 ms", "5 ms", "6 ms"]


def test_of_scripts_comments_do() -> None:
    assert found("#!/bin/sh\n# Takes 1 ms,\nsleep 2  # and 3 s\necho 4 ms\n", "bench/peers/install") == [
        "1 ms",
        "3 s",
    ]


def test_of_proto_files_what_follows_two_slashes() -> None:
    assert found('// 1 ms\nstring name = 3;  // 2 ms\noption x = "3 ms";\n', "protos/a/v1/a.proto") == [
        "1 ms",
        "2 ms",
    ]


def test_of_cython_too() -> None:
    source = (
        '"""Takes 1 ms."""\ncdef int x = 2  # 2 ms\ndef f():\n    """Of\n    3 ms"""\n    return "4 ms"\n'
    )
    assert found(source, "cell/some.pyx") == ["1 ms", "2 ms", "3 ms"]
