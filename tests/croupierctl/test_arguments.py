"""What verbs share of their command lines."""

import hashlib

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from croupierctl.arguments import Key, Label, Model, Tenant, Version, digest_of, duration, hand_size
from sharding.generation import Share


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_is_known_by_its_digits(digest: bytes) -> None:
    assert digest_of(digest.hex()) == digest_of(digest.hex().upper()) == digest


DIGITS = hashlib.sha256(b"model").hexdigest()


@pytest.mark.parametrize(
    "words",
    [
        "",
        "0102",
        DIGITS[:-2],
        DIGITS[:-1],
        DIGITS + "00",
        "g" * 64,
        f"sha256:{DIGITS}",
        "0x" + DIGITS[2:],
        "٣" * 64,
    ],
)
def test_what_is_no_digest_is_refused(words: str) -> None:
    with pytest.raises(typer.BadParameter, match="64 digits of its SHA-256"):
        digest_of(words)


def verb(tenant: Tenant, model: Model, version: Version = 0, label: Label = "", key: Key = "") -> None:
    typer.echo(f"{tenant} {model} {version} {label} {key}")


def run(*words: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(verb)
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.stdout


def test_a_version_is_a_number_of_at_least_0() -> None:
    words = ("acme", "churn", "--label", "new", "--key", "user-7")
    assert run(*words, "--version", "3") == (0, "acme churn 3 new user-7\n")
    for wrong in ("-1", "one", "1.5"):
        assert run(*words, "--version", wrong) == (2, "")


def test_tenant_and_model_are_needed() -> None:
    assert run() == run("acme") == (2, "")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("90s", 90.0),
        ("10m", 600.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("7", 7.0),
        ("2d", 172_800.0),
        (0.0, 0.0),
    ],
)
def test_times_are_read_with_their_units(said: str | float, seconds: float) -> None:
    assert duration(said) == seconds


def test_a_size_is_a_number_of_cells_or_a_share_of_them() -> None:
    assert (hand_size("6"), hand_size("20%"), hand_size("20 %", 4)) == (6, Share(20), Share(20, 4))
