"""What a follower makes of etcd's messages, without etcd."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import Unavailable
from croupier.stores.etcd_errors import Compacted
from croupier.stores.etcd_types import Changed, KeyValue, Listed, Listing
from croupier.stores.etcd_watch import AnotherCluster, Follower
from protos.etcd.v3 import rpc_pb2 as pb

_CLUSTER = 1 << 63


def _header(revision: int, *, cluster: int = _CLUSTER, term: int = 5) -> pb.ResponseHeader:
    return pb.ResponseHeader(cluster_id=cluster, revision=revision, raft_term=term)


def _put(key: str, revision: int) -> pb.Event:
    value = str(revision).encode()
    return pb.Event(type=pb.Event.PUT, kv=pb.KeyValue(key=key.encode(), value=value, mod_revision=revision))


def _delete(key: str, revision: int) -> pb.Event:
    return pb.Event(type=pb.Event.DELETE, kv=pb.KeyValue(key=key.encode(), mod_revision=revision))


def _response(*events: pb.Event, revision: int = 1000, fragment: bool = False) -> pb.WatchResponse:
    return pb.WatchResponse(header=_header(revision), events=events, fragment=fragment)


def _pair(key: str, revision: int) -> KeyValue:
    return KeyValue(key, str(revision).encode(), mod_revision=revision, create_revision=0, lease=0)


@pytest.fixture
def follower() -> Follower:
    """One that has listed revision 10."""
    follower = Follower("models/")
    follower.listed(Listing((), revision=10, cluster_id=_CLUSTER), raft_term=5)
    return follower


def _next_revision(follower: Follower) -> int:
    return follower.watch().create_request.start_revision


def test_lists_first() -> None:
    follower = Follower("models/")
    assert follower.must_list(_header(10))
    listed = follower.listed(Listing((_pair("models/a", 9),), 10, _CLUSTER), raft_term=5)
    assert Listed((_pair("models/a", 9),), 10, _CLUSTER) == listed
    assert not follower.must_list(_header(10))


def test_watches_the_whole_prefix_from_the_next_revision(follower: Follower) -> None:
    request = follower.watch().create_request
    assert (request.key, request.range_end, request.start_revision) == (b"models/", b"models0", 11)
    assert request.fragment


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (_header(10), False),
        (_header(99), False),
        (_header(99, term=6), False),
        (_header(9), True),
        (_header(99, cluster=7), True),
        (_header(99, term=4), True),
    ],
    ids=["same", "later", "new leader", "revision back", "another cluster", "term back"],
)
def test_lists_again_when_the_position_is_bad(
    follower: Follower, head: pb.ResponseHeader, expected: bool
) -> None:
    assert expected == follower.must_list(head)


def test_resumes_after_the_last_event_and_not_after_the_header(follower: Follower) -> None:
    expected = Changed((_pair("models/a", 12),), (), revision=12)
    assert expected == follower.receive(_response(_put("models/a", 12), revision=50))
    assert _next_revision(follower) == 13


def test_progress_moves_nothing(follower: Follower) -> None:
    assert follower.receive(pb.WatchResponse(header=_header(50), watch_id=-1)) is None
    assert follower.receive(pb.WatchResponse(header=_header(50), created=True)) is None
    assert _next_revision(follower) == 11


def test_old_events_are_ignored(follower: Follower) -> None:
    assert follower.receive(_response(_put("models/a", 9), _delete("models/b", 10))) is None
    expected = Changed((_pair("models/a", 11),), (), revision=11)
    assert expected == follower.receive(_response(_put("models/a", 10), _put("models/a", 11)))


def test_fragments_are_one_change(follower: Follower) -> None:
    assert follower.receive(_response(_put("models/a", 11), fragment=True)) is None
    assert follower.receive(_response(_put("models/b", 11), fragment=True)) is None
    expected = Changed((_pair("models/a", 11), _pair("models/b", 11)), (("models/c", 11),), revision=11)
    assert expected == follower.receive(_response(_delete("models/c", 11)))


def test_half_a_fragmented_response_is_forgotten_with_its_watch(follower: Follower) -> None:
    follower.receive(_response(_put("models/a", 11), fragment=True))
    assert _next_revision(follower) == 11
    expected = Changed((_pair("models/a", 11), _pair("models/b", 11)), (), revision=11)
    assert expected == follower.receive(_response(_put("models/a", 11), _put("models/b", 11)))


def test_a_key_changes_once(follower: Follower) -> None:
    changed = follower.receive(
        _response(
            _put("models/a", 11),
            _put("models/b", 11),
            _delete("models/a", 12),
            _delete("models/b", 13),
            _put("models/b", 14),
        )
    )
    assert Changed((_pair("models/b", 14),), (("models/a", 12),), revision=14) == changed


def test_compaction_loses_the_position(follower: Follower) -> None:
    with pytest.raises(Compacted):
        follower.receive(pb.WatchResponse(header=_header(50), canceled=True, compact_revision=40))
    assert follower.must_list(_header(50))


def test_another_cluster_loses_the_position(follower: Follower) -> None:
    with pytest.raises(AnotherCluster):
        follower.receive(pb.WatchResponse(header=_header(50, cluster=7)))
    assert follower.must_list(_header(50))


def test_cancelled_watch_keeps_the_position(follower: Follower) -> None:
    with pytest.raises(Unavailable, match="no leader"):
        follower.receive(
            pb.WatchResponse(header=_header(50), canceled=True, cancel_reason="etcdserver: no leader")
        )
    assert not follower.must_list(_header(50))
    assert _next_revision(follower) == 11


_history = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=30)


@given(history=_history, cuts=st.sets(st.integers(1, 29)), repeats=st.integers(0, 5))
def test_any_batching_leads_to_the_same_end(
    history: list[tuple[str, bool]], cuts: set[int], repeats: int
) -> None:
    events = [(_put if is_put else _delete)(key, 11 + index) for index, (key, is_put) in enumerate(history)]
    expected = {}
    for event in events:
        expected[event.kv.key.decode()] = event.kv.mod_revision if event.type == pb.Event.PUT else 0

    follower = Follower("")
    follower.listed(Listing((), revision=10, cluster_id=_CLUSTER), raft_term=5)
    seen: dict[str, int] = {}
    bounds = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    for start, end in itertools.pairwise(bounds):
        # Every batch begins with some events of the one before, as after a reconnect.
        changed = follower.receive(_response(*events[max(0, start - repeats) : end]))
        assert changed is not None
        assert 10 + end == changed.revision
        seen |= {pair.key: pair.mod_revision for pair in changed.puts}
        seen |= {key: 0 for key, _ in changed.deletes}
    assert expected == seen
