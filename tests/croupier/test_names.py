import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import InvalidRequest
from croupier.names import MAX_NAME_BYTES, MAX_VERSION, InvalidName, check_digest, check_name, parse_version


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "churn",
        "churn-v2_final",
        "-",
        "_",
        "...",
        "a.b",
        "a b",
        "tenant@example.com",
        "Zürich",
        "模型",
        "a" * MAX_NAME_BYTES,
        "é" * (MAX_NAME_BYTES // 2),
    ],
)
def test_good_names(name: str) -> None:
    assert check_name(name, "model") is name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "is empty"),
        ("a" * (MAX_NAME_BYTES + 1), "longer than 128 bytes"),
        ("é" * (MAX_NAME_BYTES // 2) + "a", "longer than 128 bytes"),
        ("a\0b", "cannot be printed"),
        ("\0", "cannot be printed"),
        ("a\nb", "cannot be printed"),
        ("a\x7f", "cannot be printed"),
        ("\u202eevil", "cannot be printed"),
        ("a\u00a0b", "cannot be printed"),
        ("zero\u200bwidth", "cannot be printed"),
        (" a", "white space"),
        ("a ", "white space"),
        ("a/b", "slash"),
        ("../etc", "slash"),
        ("/", "slash"),
        ("a\\b", "slash"),
        (".", "relative path"),
        ("..", "relative path"),
        ("e\u0301", "normal form C"),
        ("\ud800", "not valid UTF-8"),
    ],
)
def test_bad_names_say_what_is_wrong(name: str, says: str) -> None:
    with pytest.raises(InvalidName, match=f"^tenant .*{says}") as caught:
        check_name(name, "tenant")
    assert caught.value.field == "tenant"
    assert isinstance(caught.value, InvalidRequest)


@given(st.text(max_size=140))
def test_a_name_that_passes_is_a_safe_path_segment(name: str) -> None:
    try:
        check_name(name, "model")
    except InvalidName:
        return
    assert 0 < len(name.encode()) <= MAX_NAME_BYTES
    assert not {"/", "\\", "\0", "\n"} & set(name)
    assert name not in {".", ".."}
    assert name == name.strip() == unicodedata.normalize("NFC", name)


def test_a_digest_has_32_bytes() -> None:
    digest = bytes(range(32))
    assert check_digest(digest) is digest
    for bad in (b"", digest[:31], digest + b"\0"):
        with pytest.raises(InvalidName, match=f"artifact is not a SHA-256 digest: {len(bad)} bytes"):
            check_digest(bad)


@pytest.mark.parametrize(
    ("text", "version"), [("", 0), ("1", 1), ("007", 7), (str(MAX_VERSION), MAX_VERSION)]
)
def test_versions(text: str, version: int) -> None:
    assert version == parse_version(text)


@pytest.mark.parametrize(
    "text", ["0", "-1", "+1", "1.0", " 1", "1_0", "one", "٣", "²", str(MAX_VERSION + 1), "9" * 5_000]
)
def test_what_is_not_a_version(text: str) -> None:
    with pytest.raises(InvalidName, match="label is not a version number") as caught:
        parse_version(text, "label")
    assert caught.value.field == "label"


@given(st.integers(1, MAX_VERSION))
def test_a_version_survives_its_spelling(version: int) -> None:
    assert version == parse_version(str(version))
