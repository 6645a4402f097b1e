from bench.system.loading import Seen
from bench.system.records import _parts, audited, puts
from croupier.stores.etcd import MAX_TRANSACTION
from version_manager.map.keys import Keys, ReleaseKey, VersionKey
from version_manager.map.records import decode
from version_manager.model.release import Version

VERSION = Version(1, bytes(32), 200, "linear", 1.0)


def test_records_are_those_of_a_version_manager_and_say_that_one_wrote_them() -> None:
    keys = Keys()
    *records, audit = audited(puts("acme", "churn", VERSION))
    assert audit.key.startswith(keys.audits)
    parsed = [keys.parse(one.key) for one in records]
    assert parsed == [VersionKey("acme", "churn", 1), ReleaseKey("acme", "churn")]
    values = [decode(key, one.value) for key, one in zip(parsed, records, strict=True)]
    assert values[0] == VERSION
    assert values[1].splits[0].version == 1  # type: ignore[union-attr]


def test_a_part_and_its_entry_of_the_audit_fit_into_a_transaction() -> None:
    parts = list(_parts(range(1_000)))
    assert [number for part in parts for number in part] == [*range(1_000)]
    for part in parts:
        ops = [put for number in part for put in puts("acme", f"m{number}", VERSION)]
        assert len(audited(ops)) <= MAX_TRANSACTION


def test_what_was_refused_failed_or_wrong_was_not_answered() -> None:
    assert Seen(requests=10, refused=1, failed=2, wrong=3, per_s=1.0).answered == 4
