"""Names of a certificate, whole: what looks like one name of ours and is another must not become it."""

from pathlib import Path

import pytest
from support.certificates import Authority

from croupier.grpcio.certificate import alt_names
from croupier.roles import AltNames, RoleNames, UnknownCaller

URIS = ("croupier://cell/a", "croupier://tenant/acme")


def pem_of(folder: Path, **names: list[str]) -> bytes:
    return Authority(folder, "ours").issue("x", **names).certificate.read_bytes()


def test_uris_and_dns_names_are_told_apart(tmp_path: Path) -> None:
    found = alt_names(pem_of(tmp_path, uris=[*URIS], dns=["a.cell.croupier"], emails=["a@cell.croupier"]))
    assert found == AltNames(URIS, ("localhost", "a.cell.croupier"))


@pytest.mark.parametrize("name", ["croupier://cell/a\0b", "croupier://cell/\0", "\0croupier://cell/a"])
def test_a_name_is_not_cut_at_a_nul(tmp_path: Path, name: str) -> None:
    found = alt_names(pem_of(tmp_path, uris=[name]))
    assert found.uris == (name,)
    with pytest.raises(UnknownCaller):
        RoleNames().caller(found)


@pytest.mark.parametrize(
    "pem", [b"", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_cannot_be_read_has_no_names(pem: bytes) -> None:
    assert alt_names(pem) == AltNames()


def test_the_first_certificate_of_a_chain_is_the_callers(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    chain = authority.issue("x", uris=[URIS[0]]).certificate.read_bytes() + authority.certificate.read_bytes()
    assert alt_names(chain).uris == URIS[:1]


def test_one_without_such_names_has_none(tmp_path: Path) -> None:
    assert alt_names(Authority(tmp_path, "ours").certificate.read_bytes()) == AltNames()
