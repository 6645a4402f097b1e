"""What a version manager can be told, and what it refuses to be told."""

import math

import pytest

from croupier.settings import InvalidSettings, load
from version_manager import app
from version_manager.settings import ManagerSettings


def told(*argv: str) -> ManagerSettings:
    return load(ManagerSettings, app.PROGRAM, argv, {})


def test_the_defaults_are_the_local_stack(monkeypatch, tmp_path):
    monkeypatch.setenv("CROUPIER_HOME", str(tmp_path))
    settings = told()
    settings.check()
    assert settings.listen == "127.0.0.1:8400"
    assert settings.etcd_config.endpoints == ("127.0.0.1:2379",)
    assert settings.prefix == "croupier/"
    assert settings.store_url == f"file://{tmp_path}/objects"
    assert settings.snapshot_path == tmp_path / "version-manager.snapshot"


def test_etcd_is_told_by_flags(tmp_path):
    (tmp_path / "password").write_text("secret\n")
    files = ["--etcd-ca", "/ca", "--etcd-certificate", "/crt", "--etcd-key", "/key"]
    user = ["--etcd-user", "me", "--etcd-password-file", str(tmp_path / "password")]
    config = told("--etcd", "a:1,b:2", *files, *user).etcd_config
    assert config.endpoints == ("a:1", "b:2")
    assert [str(path) for path in (config.ca, config.certificate, config.key)] == ["/ca", "/crt", "/key"]
    assert (config.user, config.password) == ("me", "secret")


def test_what_is_told_outranks_the_home(tmp_path):
    settings = told("--store", "s3://bucket/x", "--snapshot", str(tmp_path / "kept"))
    assert (settings.store_url, settings.snapshot_path) == ("s3://bucket/x", tmp_path / "kept")


def test_only_the_line_ends_of_a_password_are_not_its_own(tmp_path):
    path = tmp_path / "password"
    path.write_bytes(b" se cret \r\n\n")
    assert told("--etcd-user", "me", "--etcd-password-file", str(path)).etcd_config.password == " se cret "
    assert told().etcd_config.password == ""


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_password_that_cannot_be_read_is_an_error_in_words(tmp_path, content):
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidSettings, match="etcd's password cannot be read: "):
        _ = told("--etcd-password-file", str(path)).etcd_config


def test_no_byte_of_a_password_is_quoted(tmp_path):
    path = tmp_path / "password"
    path.write_bytes(b"se\xe9cret")
    with pytest.raises(InvalidSettings, match="is not UTF-8") as error:
        _ = told("--etcd-password-file", str(path)).etcd_config
    assert "e9" not in str(error.value).replace(str(path), "")
    assert (error.value.__cause__, error.value.__suppress_context__) == (None, True)


@pytest.mark.parametrize("name", ["lease_seconds", "history", "max_artifact_bytes"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_what_must_be_above_0_is_named_as_its_flag(name, value):
    with pytest.raises(InvalidSettings, match=f"--{name.replace('_', '-')} must be above 0"):
        ManagerSettings(**{name: value}).check()


@pytest.mark.parametrize("value", [-0.1, math.nan])
def test_a_release_waits_for_no_time_or_some(value):
    ManagerSettings(warm_seconds=0.0).check()
    with pytest.raises(InvalidSettings, match="--warm-seconds cannot be below 0"):
        ManagerSettings(warm_seconds=value).check()


def test_beyond_loopback_it_needs_tls():
    with pytest.raises(InvalidSettings, match="TLS"):
        told("--listen", "0.0.0.0:8400").check()


@pytest.mark.parametrize(
    "wrong",
    [
        *(["--ramp-errors", share] for share in ("0", "-0.1", "1.1", "nan")),
        *(["--ramp-hits", share] for share in ("0", "1.1")),
        *([f"--ramp-{name}", "-1"] for name in ("load-seconds", "requests", "settle-seconds")),
    ],
)
def test_bounds_of_a_ramp_that_bound_nothing_are_refused(wrong):
    with pytest.raises(InvalidSettings, match=wrong[0]):
        told(*wrong).check()
