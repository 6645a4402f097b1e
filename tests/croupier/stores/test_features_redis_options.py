"""What every Redis is told."""

from croupier.stores.features_redis_options import command, escaped, milliseconds, options, tls_options
from croupier.stores.features_redis_url import parse


def test_a_command_is_its_words_with_their_lengths():
    assert command(b"GET", b"a\r\n") == b"*2\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n"


def test_no_sign_of_a_pattern_is_left():
    assert escaped(b"a*[b]^-?\\") == rb"a\*\[b\]\^\-\?\\"


def test_a_key_is_never_kept_for_no_time():
    assert [milliseconds(seconds) for seconds in (0.0, 0.0004, 1.5)] == [1, 1, 1500]


def test_nothing_is_sent_that_an_acl_would_have_to_allow():
    found = options(parse("redis://user:secret@a"))
    assert (found["username"], found["password"]) == ("user", "secret")
    assert (found["protocol"], found["driver_info"]) == (2, None)
    assert options(parse("redis://a"), attempts=2)["retry"].get_retries() == 1


def test_a_server_is_who_its_certificate_says():
    found = tls_options(parse("rediss://a"))
    assert (found["ssl_cert_reqs"], found["ssl_check_hostname"]) == ("required", True)
