"""What of tenants' records holds after a change, and what changed."""

import pytest
from support.records import KEYS, FakeEtcd

from version_manager.map.image import Image
from version_manager.map.keys import LimitsKey, ResidencyKey
from version_manager.map.records import encode
from version_manager.map.tenant_image import limits_after, residencies_after
from version_manager.model.limits import NO_LIMITS, UNLIMITED, Limits, TenantLimits
from version_manager.model.residency import ResidencyRule

FIVE, TEN = Limits(rate=5), Limits(rate=10)


def test_what_others_say_leaves_both_the_same_objects() -> None:
    rules, limits = {"acme": ResidencyRule(10)}, TenantLimits(FIVE, {"acme": TEN})
    assert residencies_after(rules, {LimitsKey("acme"): FIVE}) is rules
    assert limits_after(limits, {ResidencyKey("acme"): None}) == (limits, ())
    assert limits_after(limits, {ResidencyKey("acme"): None})[0] is limits


def test_only_what_changed_is_told() -> None:
    before = TenantLimits(FIVE, {"acme": TEN, "globex": TEN})
    after, told = limits_after(
        before,
        {
            LimitsKey("acme"): TEN,
            LimitsKey("globex"): None,
            LimitsKey("initech"): FIVE,
            LimitsKey("hooli"): None,
            LimitsKey("umbrella"): NO_LIMITS,
            LimitsKey(): None,
        },
    )
    assert after == TenantLimits(NO_LIMITS, {"acme": TEN, "initech": FIVE})
    assert dict(told) == {"globex": NO_LIMITS, "initech": FIVE}


@pytest.mark.parametrize("tenant", ["acme", ""])
def test_garbage_is_named_and_the_last_good_word_holds(tenant: str) -> None:
    image, etcd, key = Image(KEYS), FakeEtcd(), KEYS.limits(tenant)
    wanted = Limits(rate=5, in_flight=3)

    def take(event):
        return image.apply(event.puts, [name for name, _ in event.deletes], event.revision)

    change, problems = take(etcd.put({key: encode(wanted)}))
    assert (change.size, problems) == (1, [])
    held = image.map.limits
    for garbage in (b"?", b'{"schema":5,"rate":0}', b'{"schema":5,"rate":"fast"}', b'{"schema":9}'):
        change, (problem,) = take(etcd.put({key: garbage}))
        assert (problem.key, problem.kind, change.size) == (key, "limits", 0)
    assert (image.map.limits, image.bad) == (held, {key})
    assert image.map.limits is held
    assert held.of("acme") == wanted
    change, _ = take(etcd.delete(key))
    assert (image.map.limits, image.bad, change.size) == (TenantLimits(), frozenset(), 1)


def test_a_default_has_nothing_unlimited() -> None:
    image, etcd = Image(KEYS), FakeEtcd()
    image.apply(etcd.put({KEYS.limits(): encode(Limits(rate=UNLIMITED, rows=7))}).puts, [], 11)
    assert image.map.limits.default == Limits(rows=7)
