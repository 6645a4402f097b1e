from pathlib import Path
from typing import Any

import pytest

from croupier.settings import InvalidSettings
from croupier.stores.etcd import Etcd
from croupier.stores.etcd_connection import EtcdConfig

_HERE = "127.0.0.1:2379"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"endpoints": ()}, "needs an endpoint"),
        ({"endpoints": ("http://127.0.0.1:2379",)}, "is host:port"),
        ({"endpoints": ("127.0.0.1",)}, "is host:port"),
        ({"endpoints": (":2379",)}, "is host:port"),
        ({"endpoints": (_HERE,), "certificate": Path("a.pem")}, "needs its key"),
        ({"endpoints": (_HERE,), "certificate": Path("a.pem"), "key": Path("a.key")}, "authority"),
        ({"endpoints": (_HERE,), "password": "secret"}, "needs a user"),
        ({"endpoints": (_HERE,), "timeout": 0.0}, "above 0"),
        ({"endpoints": (_HERE,), "silence": -1.0}, "above 0"),
    ],
)
def test_config_that_cannot_be_used(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidSettings, match=complaint):
        EtcdConfig(**settings)


def test_config_does_not_show_the_password() -> None:
    assert "secret" not in repr(EtcdConfig(endpoints=(_HERE,), user="root", password="secret"))


async def test_missing_file_of_the_authority(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"missing\.pem"):
        async with Etcd(EtcdConfig(endpoints=(_HERE,), ca=tmp_path / "missing.pem")):
            pass
