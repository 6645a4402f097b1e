"""What a router can be told, and what it refuses to be told."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest

from croupier.settings import InvalidSettings, load
from router.settings import RouterSettings
from router.tokens import DEFAULT_RULES, TokenRules


def test_a_router_beyond_loopback_needs_tls_and_tokens(tmp_path: Path) -> None:
    tls = {"tls_certificate": tmp_path / "c", "tls_key": tmp_path / "k"}
    wide = "0.0.0.0:8500"
    for bad in (
        RouterSettings(listen=wide),
        RouterSettings(listen=wide, token_key=tmp_path / "t"),
        RouterSettings(listen=wide, **tls),
        # Certificates name no tenant: whoever has one could fill in any header.
        RouterSettings(listen=wide, **tls, tls_client_ca=tmp_path / "ca"),
    ):
        with pytest.raises(InvalidSettings):
            bad.check()
    RouterSettings(listen=wide, **tls, token_key=tmp_path / "t").check()
    RouterSettings(listen=wide, insecure=True).check()
    RouterSettings(listen="127.0.0.1:1").check()


def test_every_setting_is_a_flag_and_a_variable() -> None:
    settings = load(
        RouterSettings,
        "croupier-router",
        ["--max-in-flight", "7", "--snapshot", "s", "--attempt-timeout", "0.5"],
        {"CROUPIER_ROUTER_MAX_ITEMS": "9", "CROUPIER_ROUTER_INSECURE": "yes"},
    )
    assert (settings.max_in_flight, settings.max_items, settings.insecure) == (7, 9, True)
    assert (settings.snapshot, settings.attempt_timeout) == (Path("s"), 0.5)
    assert (settings.listen, settings.manager) == ("127.0.0.1:8500", "127.0.0.1:8400")


def test_the_defaults_are_the_local_stack_and_pass() -> None:
    settings = load(RouterSettings, "croupier-router", [], {})
    settings.check()
    assert settings == RouterSettings()
    assert not settings.takes_tokens
    assert settings.token_rules == DEFAULT_RULES


def test_what_tokens_are_for_and_from_is_told_by_flags() -> None:
    words = ["--token-audience", "eu", "--token-issuer", "login", "--token-max-seconds", "60"]
    settings = load(RouterSettings, "croupier-router", words, {})
    assert settings.token_rules == TokenRules("eu", "login", 60.0)


@pytest.mark.parametrize("kind", ["token_keys", "token_key"])
def test_either_kind_of_keys_is_tokens(kind: str, tmp_path: Path) -> None:
    assert RouterSettings(**{kind: tmp_path}).takes_tokens


@pytest.mark.parametrize(
    "told",
    [
        {"token_audience": ""},
        {"token_max_seconds": 0.0},
        {"token_max_seconds": -1.0},
        {"token_max_seconds": math.inf},
        {"token_max_seconds": math.nan},
    ],
)
def test_tokens_that_hold_for_ever_or_for_anybody_are_refused(told: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettings, match="--token-audience and --token-max-seconds"):
        RouterSettings(**told).check()


def test_whoever_may_say_that_it_is_any_tenant_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "router.settings"):
        RouterSettings(listen="127.0.0.1:1").check()
        assert not caplog.records
        RouterSettings(listen="0.0.0.0:8500", insecure=True).check()
    assert "anyone who can reach 0.0.0.0:8500 may say that it is any tenant" in caplog.text
