from router.features import NoFeatures
from version_manager.model.resolve import Target


def test_nothing_is_added() -> None:
    payload = b"\x0a\x01m"
    assert NoFeatures().complete(Target("acme", "churn", 1, bytes(32)), payload) is payload
