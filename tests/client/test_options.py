import random

import pytest

from croupier_client import AsyncClient, Client
from croupier_client.deadline import NEVER, Deadline
from croupier_client.errors import InvalidRequest
from croupier_client.options import Options


def build(*, tenant="", token="", paths=(None, None, None), timeout=5.0, retries=2):
    return Options.build("router:1", tenant, token, paths, timeout, retries)


def test_who_calls_is_metadata():
    assert build().metadata() == []
    expected = [("croupier-tenant", "acme"), ("authorization", "Bearer abc")]
    assert expected == build(tenant="acme", token="abc").metadata()


@pytest.mark.parametrize("token", ["a\nb", "schlüssel", "a\x00"])
def test_a_token_that_is_no_header(token):
    with pytest.raises(InvalidRequest) as caught:
        build(token=token).metadata()
    assert caught.value.field == "token"
    assert token not in str(caught.value)


def test_who_traces_without_opentelemetry_says_which_span_calls():
    said = [("traceparent", "00-1-2-01"), ("authorization", "Bearer of-another"), ("tracestate", "a=1")]
    for kind in (AsyncClient, Client):
        found = kind("router:1", trace=lambda: said)._options.metadata()
        assert found == [("traceparent", "00-1-2-01"), ("tracestate", "a=1")]


def test_a_revision_is_metadata():
    assert build().metadata("c0ffee:17") == [("croupier-min-revision", "c0ffee:17")]


@pytest.mark.parametrize("revision", ["a\nb", "ü:1", "a\x00"])
def test_a_revision_that_is_no_header(revision):
    with pytest.raises(InvalidRequest) as caught:
        build().metadata(revision)
    assert caught.value.field == "min_revision"


@pytest.mark.parametrize("tenant", ["a\x00b", "Größe", " acme"])
def test_a_tenant_that_no_metadata_can_carry(tenant):
    with pytest.raises(InvalidRequest, match="tenant"):
        build(tenant=tenant)


def test_a_certificate_needs_an_authority(tmp_path):
    with pytest.raises(InvalidRequest, match="ca"):
        build(paths=(None, tmp_path / "certificate.pem", tmp_path / "key.pem"))


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_file_that_cannot_be_read(kind, tmp_path):
    with pytest.raises(InvalidRequest, match=r"cannot read .*missing\.pem"):
        kind("router:1", ca=tmp_path / "missing.pem")


def test_a_calls_own_timeout_goes_before_the_clients():
    assert Deadline(105.0) == build().call(None, lambda: 100.0)["deadline"]
    assert Deadline(101.0) == build().call(1.0, lambda: 100.0)["deadline"]
    assert build(timeout=None).call(None, lambda: 100.0)["deadline"] == NEVER


def test_a_stream_has_no_deadline_of_its_own():
    assert build().window(1, None, lambda: 100.0).deadline == NEVER
    assert Deadline(103.0) == build().window(1, 3.0, lambda: 100.0).deadline


def test_clients_do_not_draw_alike():
    assert isinstance(build().rng, random.SystemRandom)


def test_a_priority_is_metadata():
    assert build().metadata(priority="batch") == [("croupier-priority", "batch")]
    with pytest.raises(InvalidRequest, match="priority"):
        build().metadata(priority="two\nlines")


def test_an_id_is_metadata():
    assert build().metadata(request_id="mine-7") == [("x-request-id", "mine-7")]
    assert build().metadata(request_id="x" * 128) == [("x-request-id", "x" * 128)]


@pytest.mark.parametrize("name", ["a\nb", "ü", "two words", "x" * 129, "x" * 2**20, "a\x00"])
def test_an_id_that_a_router_would_not_take(name):
    with pytest.raises(InvalidRequest) as caught:
        build().metadata(request_id=name)
    assert caught.value.field == "request_id"
