import base64
import hashlib

import pytest

from croupier_bench.report import style


def luminance(color: str) -> float:
    """As WCAG 2.2 defines it."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [style.LIGHT, style.DARK])
def test_text_and_lines_can_be_told_from_their_ground(theme: dict[str, str]) -> None:
    for ground in ("ground", "panel"):
        for name in ("text", "faint", "bad", "good", "doubt"):
            assert contrast(theme[name], theme[ground]) >= 4.5, (name, ground)
    for name in ("first", "second", "third", "fourth", "quiet"):
        assert contrast(theme[name], theme["ground"]) >= 3, name
    # Numbers of events lie on these.
    for name in ("text", "bad"):
        assert contrast(theme["ground"], theme[name]) >= 4.5


def test_both_themes_have_the_same_colours_and_rules_know_no_others() -> None:
    assert style.LIGHT.keys() == style.DARK.keys()
    sheet = style.style()
    used = {part.split(")")[0] for part in sheet.split("var(--")[1:]}
    assert used - {"tone"} <= style.LIGHT.keys()
    assert "prefers-color-scheme:dark" in sheet
    assert "url(" not in sheet


def test_only_our_script_may_run() -> None:
    digest = base64.b64encode(hashlib.sha256(style.SCRIPT.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in style.policy()
    assert "default-src 'none'" in style.policy()
