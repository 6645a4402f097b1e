"""URLs of Redis, and that nothing which they are refused with tells a password."""

import pytest

from croupier.settings import InvalidSettings
from croupier.stores.features_redis_url import parse


def test_one_server():
    place = parse("redis://user:pass%2Fword@features.example:6380/3?timeout=0.5&connections=2")
    assert (place.kind, place.hosts, place.database) == ("", (("features.example", 6380),), 3)
    assert (place.user, place.password) == ("user", "pass/word")
    assert (place.tls, place.timeout, place.connections) == (False, 0.5, 2)
    assert str(place) == "redis://features.example:6380/3"


def test_what_is_not_said():
    place = parse("redis://[::1]")
    assert (place.hosts, place.database, place.user, place.password) == ((("::1", 6379),), 0, "", "")
    assert (place.timeout, place.connections) == (1.0, 8)
    assert str(place) == "redis://[::1]:6379/0"


def test_several_hosts():
    place = parse("rediss+sentinel://user:p@a,b:5/features/1")
    assert (place.kind, place.hosts, place.service, place.database) == (
        "sentinel",
        (("a", 26379), ("b", 5)),
        "features",
        1,
    )
    assert place.tls
    assert str(place) == "rediss+sentinel://a:26379,b:5/features/1"
    assert parse("redis+cluster://a:1,b").hosts == (("a", 1), ("b", 6379))


def test_files_of_tls_and_of_the_password(tmp_path):
    for name in ("ca", "certificate", "key"):
        (tmp_path / name).write_text("")
    (tmp_path / "password").write_text("secret\n")
    place = parse(
        f"rediss://user@a?ca={tmp_path}/ca&certificate={tmp_path}/certificate&key={tmp_path}/key"
        f"&password_file={tmp_path}/password"
    )
    assert (place.ca, place.certificate, place.key) == tuple(
        f"{tmp_path}/{name}" for name in ("ca", "certificate", "key")
    )
    assert place.password == "secret"
    assert "secret" not in f"{place!r} {place}"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+other://a", "no Redis"),
        ("redis://", "no host"),
        ("redis://u:secret@", "no host"),
        ("redis://u:secret@a:port", "no host"),
        ("redis://u:secret@a:99999", "no host"),
        ("redis://u:secret@a,b", "several hosts"),
        ("redis://u:secret@a/name", "a database is a number"),
        ("redis://a/1/2", "a database is a number"),
        ("redis+cluster://a/1", "a database is a number"),
        ("redis+sentinel://a", "service"),
        ("redis://u:secret@a#x", "no Redis"),
        ("redis://u:secret@a?db=1", "options that are none of"),
        # Not written as they have to be, but no reason to tell everybody.
        ("redis://u:12/secret@a", "a database is a number"),
        ("redis://u:12?secret@a", "options that are none of"),
        ("redis://u:secret@a?ca=/x", "rediss"),
        ("rediss://u:secret@a?certificate=/x", "go together"),
        ("rediss://u:secret@a?ca=/nowhere/ca", "cannot be read"),
        ("redis://u:secret@a?password_file=/nowhere", "two passwords"),
        ("redis://u@a?password_file=/nowhere", "cannot be read"),
        ("redis://u:secret@a?timeout=0", "timeout"),
        ("redis://u:secret@a?timeout=nan", "timeout"),
        ("redis://u:secret@a?connections=many", "connections"),
    ],
)
def test_urls_that_make_no_sense(url, words):
    with pytest.raises(InvalidSettings, match=words) as caught:
        parse(url)
    assert "secret" not in str(caught.value)
