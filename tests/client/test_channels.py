"""Channels of the SDK: what `croupier.grpcio.channels` opens inside a fleet, for asyncio and for threads."""

from pathlib import Path

import pytest

from croupier.grpcio import channels as fleet
from croupier_client import channels
from croupier_client.errors import InvalidRequest


def test_they_have_the_options_of_those_inside_a_fleet():
    assert channels._OPTIONS == fleet._OPTIONS


def test_no_authority_means_plaintext():
    assert channels.credentials(None) is None


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"ca\.pem"):
        channels.credentials(tmp_path / "ca.pem")


@pytest.mark.parametrize("half", [(Path("a.pem"), None), (None, Path("a.key"))])
def test_a_certificate_and_its_key_go_together(half):
    with pytest.raises(InvalidRequest, match="go together"):
        channels.credentials(Path("ca.pem"), *half)
